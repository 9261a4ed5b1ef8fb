"""PURE. Which files belong together, and how names that are taken are told apart."""

from collections.abc import Iterable, Mapping
from typing import Final

_LONGEST_EXTENSION: Final = 20  # bytes, the dot included; what is longer is part of the name


def numbered(name: str, number: int, limit: int) -> str:
    """`report.pdf`, `report (2).pdf`, …: the name to try as the `number`th, at most `limit` bytes long."""
    if number == 1 and _size(name) <= limit:
        return name
    stem, dot, extension = name.rpartition(".")
    if not stem or _size(dot + extension) > _LONGEST_EXTENSION:
        stem, dot, extension = name, "", ""
    mark = f" ({number})" if number > 1 else ""
    while stem and _size(stem + mark + dot + extension) > limit:
        stem = stem[:-1]
    return stem + mark + dot + extension


def is_note(name: str) -> bool:
    return name.lower().endswith(".md")


def together(names: Iterable[str], mentioned: Mapping[str, str]) -> list[tuple[str, ...]]:
    """The files of one folder, each with what it belongs to: `X` with `X.md`, and a note with the file it mentions.

    `mentioned` is what the notes' frontmatter says they are about: note -> file.
    """
    groups = {name: [name] for name in sorted(names)}
    for name in list(groups):
        for other in (name[: -len(".md")] if is_note(name) else "", mentioned.get(name, "")):
            if other in groups and groups[other] is not groups[name]:
                groups[other] += groups[name]
                for member in groups[name]:
                    groups[member] = groups[other]
    return [tuple(sorted(group)) for name, group in groups.items() if min(group) == name]


def renamed(group: Iterable[str], number: int, limit: int) -> dict[str, str]:
    """The names that the files of a group get as the `number`th of theirs; a note stays named after its file."""
    members = sorted(group, key=len)  # a file before the note that has its name in its own
    names: dict[str, str] = {}
    for name in members:
        about = next((file for file in names if is_note(name) and name[: -len(".md")].endswith(file)), None)
        if about is None:
            names[name] = numbered(name, number, limit)
        else:
            start, end = name[: -len(about + ".md")], name[-len(".md") :]
            names[name] = start + numbered(names[about], 1, limit - _size(start + end)) + end
    return names


def _size(name: str) -> int:
    return len(name.encode("utf-8", "surrogateescape"))
