"""What is shown of strangers' output, and the lines of the daemon's own log."""

import logging
import sys
from collections.abc import Callable

from orchestrator.logs.daemon import DaemonLogHandler
from orchestrator.logs.readable import lines_of


def test_the_last_lines_leave_out_empty_ones_and_show_where_one_is_cut() -> None:
    assert lines_of(b"est of it\r\n\n\xff!\nlast", 10, cut=True) == ["…est of it", "\ufffd!", "last"]
    assert lines_of(b"one\ntwo\nthree\n", 2, cut=False) == ["two", "three"]
    assert lines_of(b"one\n", 0, cut=False) == []
    assert lines_of(b"a\tb\x1b[31m", 3, cut=False) == ["a\tb\\x1b[31m"]
    assert lines_of(b"", 3, cut=False) == []


def taker(lines: list[bytes], room: list[bool] | None = None) -> Callable[[bytes], bool]:
    """Takes every line, or those for which there is room."""

    def take(line: bytes) -> bool:
        if room is not None and not room.pop(0):
            return False
        lines.append(line)
        return True

    return take


def record(message: str, name: str = "orchestrator.supervise.keeper") -> logging.LogRecord:
    made = logging.LogRecord(name, logging.INFO, __file__, 1, message, None, None)
    made.created = 1795232412.9  # 2026-11-21T03:40:12.9Z
    return made


def test_a_record_is_one_line_with_time_level_and_part() -> None:
    lines: list[bytes] = []
    handler = DaemonLogHandler(taker(lines))
    handler.handle(record("inbox: running (pid 12)"))
    handler.handle(record("a\nb \x1b[0m", "asyncio"))
    failed = record("it failed")
    try:
        int("first\nsecond")
    except ValueError:
        failed.exc_info = sys.exc_info()
    handler.handle(failed)
    assert lines[0] == b"2026-11-21T03:40:12Z INFO supervise: inbox: running (pid 12)\n"
    assert lines[1] == b"2026-11-21T03:40:12Z INFO asyncio: a\\nb \\x1b[0m\n"
    assert lines[2].startswith(b"2026-11-21T03:40:12Z INFO supervise: it failed\\nTraceback")
    assert lines[2].endswith(b"'first\\nsecond'\n")
    assert lines[2].count(b"\n") == 1


def test_lines_that_could_not_be_taken_are_counted_in_the_log() -> None:
    lines: list[bytes] = []
    room = [True, False, False, True, True]
    handler = DaemonLogHandler(taker(lines, room))
    for number in range(4):
        handler.handle(record(f"number {number}"))
    assert [line.split(b": ", 1)[1] for line in lines] == [
        b"number 0\n",
        b"2 lines are missing here: the log could not be written\n",
        b"number 3\n",
    ]
