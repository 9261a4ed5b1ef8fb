"""Facts as lines of the daemon's log."""

import logging
import queue
import sys
import threading
from contextlib import suppress

from orchestrator.events import (
    Fact,
    McpChanged,
    ProblemChanged,
    RunFinished,
    RunRetrying,
    WatcherChanged,
    WatcherDied,
    WatcherRestarted,
    WatcherSaid,
)
from orchestrator.narration import tell
from orchestrator.turns import EndOfTurn

log = logging.getLogger("aiemp")

GRAVE = frozenset({"paused", "fatal"})
FINE = frozenset({"success", "skipped"})


def write(fact: Fact) -> None:
    """Log `fact`; a subscriber of the bus."""
    log.log(level(fact), "%s", tell(fact.as_json()))


def level(fact: Fact) -> int:
    """How loud `fact` is in the log."""
    match fact:
        case WatcherChanged(new=new):
            return logging.ERROR if new in GRAVE else logging.INFO
        case WatcherDied(expected=expected):
            return logging.INFO if expected else logging.WARNING
        case WatcherRestarted():
            return logging.WARNING
        case ProblemChanged(text=text):
            return logging.INFO if text is None else logging.WARNING
        case WatcherSaid():
            return logging.DEBUG
        case RunRetrying():
            return logging.WARNING
        case McpChanged(error=error):
            return logging.INFO if error is None else logging.WARNING
        case RunFinished(outcome=outcome):
            return logging.INFO if outcome in FINE else logging.WARNING
        case _:
            return logging.INFO


class Terminal(logging.Handler):
    """Log lines on stderr, written by a thread of its own: a stopped terminal (Ctrl-S) must not stop the daemon.

    What it does not take is dropped here; the log file has it all.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: queue.Queue[str | None] = queue.Queue(1000)
        self._turn: list[str] = []
        self._soon = EndOfTurn(self._hand_over)
        self._thread = threading.Thread(target=self._write, name="stderr", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._turn.append(self.format(record))
        except Exception:  # noqa: BLE001  the boundary that logging prescribes: a bad record must not stop its caller
            self.handleError(record)
        else:
            self._soon.ask()

    def _hand_over(self) -> None:
        self.acquire()  # emit() runs under this lock, on any thread
        try:
            lines, self._turn = self._turn, []
        finally:
            self.release()
        with suppress(queue.Full):
            self._lines.put_nowait("\n".join(lines))

    def close(self) -> None:
        """Write what is left, for at most a second."""
        if self._turn:
            self._hand_over()
        with suppress(queue.Full):
            self._lines.put_nowait(None)
        self._thread.join(1.0)
        super().close()

    def _write(self) -> None:
        while (text := self._lines.get()) is not None:
            with suppress(OSError):  # nobody is there to be told
                print(text, file=sys.stderr, flush=True)
