"""The frontmatter of a vault's notes, read: what can't be read is told with its line, and nothing is guessed.

Texts, numbers and words mean what they mean in Obsidian, which reads YAML 1.2's core schema. PyYAML's own is 1.1's:
there `no` is false, `12:30` is 750 and a date that does not exist makes the whole note unreadable. Dates stay text,
for `moment` to read.
"""

import errno
import os
import re
import stat
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache
from pathlib import Path
from typing import Any, Final

LIMIT: Final = 64 * 1024  # bytes at a note's beginning, within which its frontmatter must end

_BOM: Final = b"\xef\xbb\xbf"
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
_EOL: Final = re.compile(rb"\r\n|\n|\r")
_FENCE: Final = re.compile(rb"---[ \t]*")
# To PyYAML these end a line and could begin another key; to YAML 1.2 and whoever looks at the note they do not.
_SEPARATOR: Final = re.compile("[\u0085\u2028\u2029]")
_WORDS: Final = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"-?(?:0|[1-9][0-9]{0,99})", list("-0123456789")),  # 007 and +49 30 are names
    ("float", r"-?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?", list("-.0123456789")),
)
_SPACED_OFFSET: Final = re.compile(r"(?<=\d)\s+(?=Z$|[-+]\d\d)")  # 2026-11-20 23:30:00 +0100, as git writes it


class Unreadable(Exception):
    """A note's frontmatter cannot be read. The message says what is wrong, after `line`, where that is known."""

    def __init__(self, what: str, line: int | None = None) -> None:
        super().__init__(what if line is None else f"line {line}: {what}")
        self.line = line


def read(path: str | Path) -> dict[str, Any] | None:
    """The fields of the note at `path`, which must be a regular file; None where it has no frontmatter.

    Reads its first LIMIT bytes at most. Raises Unreadable, and OSError (EINVAL for what is no regular file).
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    with os.fdopen(fd, "rb") as file:
        return parse(file.read(LIMIT))


def parse(note: bytes) -> dict[str, Any] | None:
    """The fields of a note, or of its first LIMIT bytes; None where it has no frontmatter. Raises Unreadable."""
    if note.startswith(_UTF_16):
        raise Unreadable("it is UTF-16; save it as UTF-8", 1)
    block = _block(note[:LIMIT].removeprefix(_BOM))
    return None if block is None else _fields(block)


def moment(value: object, zone: tzinfo, *, whole_day: bool = False) -> datetime | None:
    """The instant (UTC) of an ISO date or date-time, which without an offset is the wall clock's in `zone`.

    A date alone is its first moment or, with `whole_day`, the one after its last: when what is good until that day is
    over. None when `value` is no such text.
    """
    if not isinstance(value, str):
        return None
    text = _SPACED_OFFSET.sub("", value.strip().upper())
    try:
        day = _day(text)
        if day is not None:
            found = datetime.combine(day + timedelta(days=1 if whole_day else 0), time())
        else:
            found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):  # the year 1 or 9999, moved to another zone
        return None


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _block(note: bytes) -> str | None:
    """The text between the two `---` lines."""
    lines = _EOL.split(note)
    if not _FENCE.fullmatch(lines[0]):
        return None
    end = next((number for number, line in enumerate(lines) if number and _FENCE.fullmatch(line)), None)
    if end is None:
        within = f" within {LIMIT // 1024} KiB" if len(note) >= LIMIT - len(_BOM) else ""
        raise Unreadable(f"the frontmatter that begins here is never closed{within}; close it with ---", 1)
    texts = []
    for number, line in enumerate(lines[1:end], start=2):
        try:
            texts.append(line.decode())
        except UnicodeDecodeError:
            raise Unreadable("it is not valid UTF-8; save the note as UTF-8", number) from None
        if found := _SEPARATOR.search(texts[-1]):
            what = f"an invisible line separator (U+{ord(found.group()):04X}) stands in it"
            raise Unreadable(f"{what}, which some programs take for a new line; remove it", number)
    return "\n".join(texts)


def _fields(block: str) -> dict[str, Any]:
    import yaml  # noqa: PLC0415  some 25 ms, and most programs that import this read no note

    try:
        fields = _loader()(block).get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Unreadable(_worded(error.problem or "it is not valid YAML"), mark.line + 2 if mark else None) from None
    except yaml.reader.ReaderError as error:
        line = block.count("\n", 0, error.position) + 2
        raise Unreadable(f"the character U+{ord(block[error.position]):04X} may not stand in YAML", line) from None
    except RecursionError:
        raise Unreadable("it is nested too deeply") from None
    if fields is None:
        return {}
    if not isinstance(fields, dict):
        raise Unreadable("the frontmatter has no lines of the form `key: value`", 2)
    return fields


def _worded(problem: str) -> str:
    if problem.startswith("mapping values are not allowed"):
        return "a second colon in one line; put the value into quotes"
    return f"{problem}; if it is plain text, put the value into quotes"


@cache
def _loader() -> Any:
    """PyYAML's safe loader with YAML 1.2's words, without aliases and without keys that stand there twice."""
    import yaml  # noqa: PLC0415  as above

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers = {}  # noqa: RUF012  PyYAML's way

        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            """Refuse aliases: a few lines of them unfold to gigabytes. Refuse tags: `!!bool x` would raise anything."""
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            if isinstance(event, yaml.AliasEvent) or event.tag is not None:
                sign = "*" if isinstance(event, yaml.AliasEvent) else "!"
                raise Unreadable(f"a value begins with {sign}; put it into quotes", event.start_mark.line + 2)
            return super().compose_node(parent, index)

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002, ARG002  PyYAML's signature
            fields: dict[str, Any] = {}
            for key, value in node.value:
                line = key.start_mark.line + 2
                if not isinstance(key, yaml.ScalarNode):
                    raise Unreadable("a key is no word but a list or more; put it into quotes if it is text", line)
                if key.value in fields:
                    raise Unreadable(f"the key {key.value!r} stands there twice; remove one", line)
                fields[key.value] = self.construct_object(value, deep=True)
            return fields

    for name, pattern, first in _WORDS:
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(rf"(?:{pattern})\Z"), first)
    return Loader
