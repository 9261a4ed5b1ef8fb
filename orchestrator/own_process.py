"""What the daemon does to its own process: before anything else, and when it is about to end."""

import os
import signal
import threading
from contextlib import suppress

from orchestrator.exits import Exit


def standard_descriptors() -> None:
    """Open /dev/null where descriptors 0 to 2 were closed, lest a file or socket of ours becomes someone's stdout."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)


def default_signals() -> None:
    """Undo what nohup, a shell's & or a careless parent left ignored: the watchers would inherit it."""
    for number in signal.valid_signals():
        if number not in {signal.SIGPIPE, getattr(signal, "SIGXFSZ", None)}:  # Python's own, reset at every spawn
            with suppress(OSError, ValueError):  # KILL and STOP cannot be asked about
                if signal.getsignal(number) is signal.SIG_IGN:
                    signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def leave_hanging_threads() -> None:
    """End the process here when a dead disk holds a thread: the interpreter would wait for it, maybe for ever."""
    others = [each for each in threading.enumerate() if each is not threading.main_thread() and not each.daemon]
    for each in others:
        each.join(0.5)
    if any(each.is_alive() for each in others):
        os._exit(Exit.OK)
