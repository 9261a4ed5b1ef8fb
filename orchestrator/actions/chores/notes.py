"""What a note says of itself, line by line and without YAML: for counting thousands, the broken ones too.

Nothing is decided by these lines but what is counted and which work is done again; for consent there is `frontmatter`.
"""

import os
import re
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final

from orchestrator.vault import frontmatter

FINISHED: Final = ("completed", "processed")  # a note's keys that say when it was done with, the surest first

_BLOCK: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?---[ \t]*(?:\r\n|\n|\r)(.*?)(?<=[\r\n])---[ \t]*(?:\r\n|[\r\n]|\Z)", re.DOTALL
)
_QUOTED: Final = re.compile(r"""(["'])(.*?)\1""")


def head(path: Path) -> bytes:
    """The beginning of a note, which its frontmatter must end in; nothing where the note can't be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, frontmatter.LIMIT)
    except OSError:  # a folder
        return b""
    finally:
        os.close(fd)


def body(text: bytes) -> bytes:
    """The text without its frontmatter, whatever stands in that."""
    block = _BLOCK.match(text)
    return text[block.end() :] if block else text


def said(note: bytes, key: str) -> str | None:
    """What the first line `key: value` of the frontmatter says, less quotes and comment; None without such a line."""
    block = _BLOCK.match(note)
    line = block and re.search(rb"(?:^|[\r\n])%s[ \t]*:[ \t]+([^\r\n]*)" % re.escape(key.encode()), block[1])
    if not line:
        return None
    value = line[1].decode(errors="replace").strip()
    quoted = _QUOTED.match(value)
    return quoted[2] if quoted else value.partition(" #")[0].strip()


def created(note: bytes, state: os.stat_result, zone: tzinfo, otherwise: datetime) -> datetime:
    """When it was made, as it says itself, else when its file was last written; `otherwise` for no date at all."""
    return frontmatter.moment(said(note, "created"), zone) or instant(state.st_mtime, otherwise)


def instant(seconds: float, otherwise: datetime) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError):  # a time beyond the year 9999, which a file may have
        return otherwise
