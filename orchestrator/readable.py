"""Text from outside as text that is safe to show: nothing in it steers a terminal or breaks a line. Imports little."""

from __future__ import annotations

import re

# C0 and C1 control characters, DEL, line and paragraph separators, turns of the direction of writing, lone surrogates.
# Not compiled here: that takes 2 ms, and re keeps what it compiled.
_UNSAFE = "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"


def visible(value: object, keep: str = "") -> str:
    r"""One line: control characters but those in `keep` appear as escapes like \x1b or \n instead of taking effect."""
    text = str(value)
    if text.isprintable():
        return text
    return re.sub(_UNSAFE, lambda match: match.group() if match.group() in keep else _escape(match.group()), text)


def _escape(character: str) -> str:
    short = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}.get(character)
    code = ord(character)
    return short or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def span(seconds: float) -> str:
    """A duration in its two largest units: `4s`, `2m 5s`, `3h 0m`, `12d 4h`."""
    whole = max(0, int(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86_400
    if days:
        return f"{days}d {hours % 24}h"
    if hours:
        return f"{hours}h {minutes % 60}m"
    return f"{minutes}m {whole % 60}s" if minutes else f"{whole}s"
