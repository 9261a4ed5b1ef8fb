"""PURE. What Claude Code printed, taken apart: what it tells of itself, and what else stands there."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

Event = Mapping[str, Any]

WORDS_MAX: Final = 64 * 1024  # characters that are kept of what is no JSON

_RESULT: Final = re.compile(rb'"type"\s*:\s*"result"')
_CLOSED: Final = re.compile(rb"[}\]][ \t\r]*(?:\n|\Z)")  # a document ends at the end of a line
_TELLING: Final = re.compile(r'"(?:result|init|rate_limit_event|is_api_error_message)"')
_SPACE: Final = re.compile(r"\s*")
_DECODER: Final = json.JSONDecoder()
_TRIES_MAX: Final = 100  # of lines that are no document by themselves and tell nothing
_SHORTEST_REST: Final = 8  # characters before the end at which a cut within \ud83d, false or 1e5 is found out


@dataclass(frozen=True, slots=True)
class Printed:
    """`events`: those that tell something, in order; `words`: what is no JSON; `cut_off`: the last document is."""

    events: tuple[Event, ...]
    words: str
    cut_off: bool

    @property
    def result(self) -> Event | None:
        """The last result: it counts what those before it cost, too."""
        return next((each for each in reversed(self.events) if each.get("type") == "result"), None)


def may_have_result(printed: bytes) -> bool:
    """Whether a result can stand there. Fast, for it is asked again and again of an answer that grows.

    Within a text quotes are escaped: one that talks about results does not look like one.
    """
    found = _RESULT.search(printed)
    return found is not None and _CLOSED.search(printed, found.end()) is not None


def take_apart(printed: bytes) -> Printed:
    """Find the documents that begin at the beginning of a line; one that is cut off hides all that stands in it."""
    text = printed.decode(errors="replace").removeprefix("\ufeff").strip()
    events, words = list[Event](), list[str]()
    cut_off, room, tries, begin = False, WORDS_MAX, _TRIES_MAX, 0
    while begin < len(text) and not cut_off:
        newline = text.find("\n", begin)
        end = len(text) if newline < 0 else newline
        line = text[begin:end].rstrip()
        read, is_document, stop = None, False, 0
        if line.startswith(("{", "[")):
            telling = _TELLING.search(line) is not None
            if line.startswith("{") and line.endswith("}") and not telling:
                is_document, stop = True, len(line)  # an event that is of no interest here
            elif telling or tries or newline < 0:
                read, is_document, stop = _decode(line)
                if not is_document and tries:
                    tries -= 1
                    if newline >= 0 and stop >= len(line) - 1:
                        read, is_document, stop = _decode(text[begin:])
                begun = stop >= min(2, len(line))  # "[error]" is none
                cut_off = not is_document and begun and begin + stop >= len(text) - _SHORTEST_REST
        if is_document:
            events += (each for each in (read if isinstance(read, list) else [read]) if isinstance(each, dict))
            begin = _after_space(text, begin + stop)
        else:
            if room > 0:
                words.append(line[:room])
                room -= len(line)
            begin = end + 1
    return Printed(tuple(events), "\n".join(filter(None, words)), cut_off)


def _decode(text: str) -> tuple[Any, bool, int]:
    """The document that `text` begins with, whether it is one, and where it ends, or where it stops to be one."""
    try:
        document, end = _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        return None, False, len(text) if error.msg.startswith("Unterminated") else error.pos
    except (ValueError, RecursionError):  # a number of thousands of digits; brackets without end
        return None, False, 0
    return document, True, end


def _after_space(text: str, begin: int) -> int:
    found = _SPACE.match(text, begin)
    return begin if found is None else found.end()
