"""The process that one message to a Letta agent is delivered in. Its stdin is the file with the call, see Record.

Killed at whatever moment, it leaves in that file whether the server may have the message.
"""

import signal
from typing import Final

from orchestrator.agents.letta_record import Record
from orchestrator.agents.letta_stage import Stage
from orchestrator.reach import CLIENT, GET_CLIENT

LINGER: Final = 60.0  # seconds beyond the task's timeout: then nobody is left to end this process
NO_CLIENT: Final = f"it takes an HTTP client that is not installed: {GET_CLIENT}"


def main() -> None:
    record = Record(0)
    _end_at_last(record.call["seconds"] + LINGER)
    try:
        from orchestrator.agents.letta_http import deliver  # noqa: PLC0415  what it needs may not be there
    except ModuleNotFoundError as error:
        if error.name != CLIENT:
            raise
        record.close(Stage.FAILED, sent=False, why=NO_CLIENT)
    else:
        deliver(record)


def _end_at_last(seconds: float) -> None:
    """See to it that the process ends even if the daemon that would end it is gone: by the kernel."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.setitimer(signal.ITIMER_REAL, min(seconds, 1e8))  # years, but no more than the kernel takes


if __name__ == "__main__":
    main()
