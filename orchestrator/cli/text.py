"""Values as a person reads them. What comes from watchers, mails and files cannot steer the terminal that shows it."""

from __future__ import annotations

import re

from orchestrator.readable import span, visible

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from typing import Any

_RESET = "\x1b[0m"
_COLOUR = r"\x1b\[[0-9;:]{0,64}m"  # Select Graphic Rendition (ECMA-48, 8.3.117)


def log_line(line: bytes, *, colour: bool) -> str:
    """A line of a log for a terminal: tabs stay, colours too when wanted (and end with the line), nothing else does."""
    text = line.decode(errors="replace").removesuffix("\n").removesuffix("\r")
    parts, start = [], 0
    for match in re.finditer(_COLOUR, text):
        parts += [text[start : match.start()], match.group() if colour else ""]
        start = match.end()
    parts.append(text[start:])
    coloured = colour and len(parts) > 1
    parts[::2] = ["\t".join(visible(piece) for piece in part.split("\t")) for part in parts[::2]]
    return "".join(parts) + (_RESET if coloured else "")


def settled(line: bytes) -> bytes:
    """As much of the beginning of a log's line as looks the same whatever comes next."""
    import codecs  # noqa: PLC0415  only for `tail -f` on a terminal

    whole = line[: codecs.utf_8_decode(line, "replace", False)[1]]  # noqa: FBT003  positional there: not the end
    return re.sub(rb"(?:\r|\x1b(?:\[[0-9;:]{0,64})?)+\Z", b"", whole)


def rest_of_log_line(line: bytes, shown: bytes, *, colour: bool) -> str:
    """What log_line() makes of a line, behind what it made of the line's beginning `shown`, which was settled."""
    before = log_line(shown, colour=colour)
    colours = "".join(re.findall(_COLOUR, shown.decode(errors="replace"))) if colour else ""
    return colours + log_line(line, colour=colour)[len(before.removesuffix(_RESET) if colours else before) :]


def size(count: float) -> str:
    """Bytes in binary units, three digits: `512 B`, `12.3 MiB`."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def result_line(result: dict[str, Any]) -> str:
    """What became of an order to a watcher: `inbox: running (pid 12): message`, as far as there is something to say."""
    name, state, pid, message = (visible(result.get(key) or "") for key in ("name", "state", "pid", "message"))
    known = f"{state} (pid {pid})" if pid else state
    return ": ".join(part for part in (name, known, message) if part)


def took(seconds: float) -> str:
    """How long something took: `350ms`, `4.2s`, `2m 5s`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    return f"{seconds:.1f}s" if seconds < 59.95 else span(seconds)


def local_time(moment: object) -> str:
    """An RFC 3339 time in the local time zone, `2026-11-21 03:40:12`; what is no time stays as it is, made visible."""
    from datetime import datetime  # noqa: PLC0415  1.5 ms that `--json` need not spend

    try:
        return datetime.fromisoformat(str(moment)).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return visible(moment)


def columns(rows: list[list[str]]) -> list[str]:
    """The rows as lines of aligned columns; nothing trails."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
