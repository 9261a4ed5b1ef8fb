"""The vault's notes: file names made safe, and frontmatter that nothing from outside can forge.

Pure. A name is a `str` as the operating system gives it, with bytes that are no UTF-8 as lone surrogates
(`surrogateescape`); lengths are in bytes.
"""

import json
from collections.abc import Mapping
from typing import Final

# What Obsidian cannot have in a link or on some system in a file name, and what Markdown would take for markup.
UNSAFE: Final = frozenset('#^[]|\\/:*"<>?%`')
LONGEST_EXTENSION: Final = 20  # bytes, the dot included; what is longer is part of the name


class Word(str):
    """A fixed word of ours, such as a status: the only text that is written without quotes."""

    __slots__ = ()


def raw(name: str) -> bytes:
    """The bytes that `name` has on the disk."""
    return name.encode("utf-8", "surrogateescape")


def text(name: str) -> str:
    r"""`name` as real text: a byte that is no UTF-8 becomes `\xNN`, four visible characters."""
    return raw(name).decode("utf-8", "backslashreplace")


def quoted(value: str) -> str:
    """`value` as a double-quoted YAML scalar on one line, which is a JSON string too.

    Everything invisible is escaped: YAML allows few control characters, takes U+0085, U+2028 and U+2029 for line
    breaks, and text direction marks would let a name look like another. Astral characters stay as they are, since
    JSON can only escape them as surrogates, which libyaml refuses.
    """
    plain = json.dumps(value.encode("utf-8", "replace").decode(), ensure_ascii=False)
    return "".join(c if c.isprintable() or c > "\uffff" else f"\\u{ord(c):04x}" for c in plain)


def frontmatter(fields: Mapping[str, str | int]) -> str:
    """A flat YAML block between its `---` lines. Keys are ours; every text is quoted, except a Word."""
    lines = (f"{key}: {value if isinstance(value, Word | int) else quoted(value)}\n" for key, value in fields.items())
    return "---\n" + "".join(lines) + "---\n"


def safe(name: str) -> str:
    """`name` as it may stand in a note's name or a link: recognisable, one line, nothing in it means anything."""
    return "".join(c if c.isprintable() and c not in UNSAFE else "_" for c in name).strip(" .") or "_"


def numbered(name: str, number: int, limit: int) -> str:
    """`report.pdf`, `report (2).pdf`, …: the name to try as the `number`th, at most `limit` bytes long."""
    if number == 1 and len(raw(name)) <= limit:
        return name
    stem, dot, extension = name.rpartition(".")
    if not stem or len(raw(dot + extension)) > LONGEST_EXTENSION:
        stem, dot, extension = name, "", ""
    mark = f" ({number})" if number > 1 else ""
    return _shortened(stem, limit - len(raw(mark + dot + extension))) + mark + dot + extension


def note_name(file: str, number: int, limit: int) -> str:
    """The name of the note about `file`: `FILE_report.pdf.md`, then `FILE_report.pdf (2).md`, … in `limit` bytes."""
    ending = f" ({number}).md" if number > 1 else ".md"
    return "FILE_" + numbered(safe(file), 1, limit - len("FILE_" + ending)) + ending


def link(file: str) -> str:
    """An Obsidian link to a file in the note's own folder; it stays right when both are moved together.

    A wikilink cannot hold every name; for others it is a Markdown link with every odd byte percent-encoded.
    """
    if safe(file) == file:
        return f"[[{file}]]"
    from urllib.parse import quote  # noqa: PLC0415  loads slowly, and few names need it

    return f"[{safe(file)}]({quote(raw(file), safe='')})"


def file_note(*, original_name: str, file: str, size: int, received: str) -> bytes:
    """The note about a file that was dropped into the Inbox and now lies as `file` beside the note.

    `size` is in bytes, `received` UTC in RFC 3339.
    """
    head = frontmatter(
        {
            "type": Word("file_drop"),
            "original_name": text(original_name),
            "file": text(file),
            "size": size,
            "received": received,
            "status": Word("pending"),
        }
    )
    return f"{head}\nA file was dropped into the Inbox: {link(file)}\n".encode()


def _shortened(name: str, limit: int) -> str:
    while len(raw(name)) > limit:
        name = name[:-1]
    return name
