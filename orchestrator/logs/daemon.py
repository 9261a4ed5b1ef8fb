"""The daemon's own log: records as lines for Logs/aiemp.log, handed over to the capture thread."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from orchestrator.clock import rfc3339
from orchestrator.readable import visible

_PACKAGE: Final = "orchestrator."


class OneLine(logging.Formatter):
    """`2026-11-21T03:40:12Z INFO supervise: inbox: running (pid 12)`: UTC, level, part of the program, message.

    One line a record, whatever a message or a stack trace contains.
    """

    def format(self, record: logging.LogRecord) -> str:
        moment = rfc3339(datetime.fromtimestamp(record.created, UTC))
        part = record.name.removeprefix(_PACKAGE).partition(".")[0]
        message = record.getMessage()
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            message = f"{message}\n{record.exc_text}"
        return visible(f"{moment} {record.levelname} {part}: {message}", keep="\t")


class DaemonLogHandler(logging.Handler):
    """Sends each record as a line to `add_line`, which must not block and returns False when it cannot take more."""

    def __init__(self, add_line: Callable[[bytes], bool]) -> None:
        super().__init__()
        self._add_line = add_line
        self._refused = 0
        self.setFormatter(OneLine())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001  the boundary that logging prescribes: a bad record must not stop its caller
            self.handleError(record)
            return
        if self._refused:
            words = f"{self._refused} lines are missing here: the log could not be written"
            note = logging.LogRecord(f"{_PACKAGE}logs", logging.WARNING, __file__, 0, words, None, None)
            note.created = record.created
            if not self._add_line(self._encoded(self.format(note))):
                self._refused += 1
                return
            self._refused = 0
        if not self._add_line(self._encoded(line)):
            self._refused += 1

    @staticmethod
    def _encoded(line: str) -> bytes:
        return line.encode("utf-8", "backslashreplace") + b"\n"
