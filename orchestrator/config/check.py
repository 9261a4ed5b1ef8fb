"""PURE. A parsed document against the schema: the values that are right, and a problem for each that is wrong."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.config.locate import KeyPath
from orchestrator.config.schema import Named, Node, Table
from orchestrator.config.values import WrongValue, shown
from orchestrator.config.wording import dotted

_ALIKE: Final = 0.6  # difflib's own default for words that look alike
_LONGEST_WORD: Final = 100  # characters; comparing is quadratic


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at `path`; `text` is `what is wrong; what is allowed`."""

    path: KeyPath
    text: str


def check(node: Table | Named, value: Mapping[str, Any], path: KeyPath = ()) -> tuple[dict[str, Any], list[Problem]]:
    """The parsed values of `value`, nested like it but without what is wrong, and all that is wrong with it."""
    problems: list[Problem] = []
    return _table(node, value, path, problems), problems


def _table(node: Table | Named, value: Mapping[str, Any], path: KeyPath, problems: list[Problem]) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for key, item in value.items():
        here = (*path, key)
        try:
            child = _child(node, key, item)
        except WrongValue as wrong:
            problems.append(Problem(here, str(wrong)))
            if isinstance(node, Table):
                continue
            child = node.each  # the contents of a badly named table are checked all the same
        if isinstance(child, Table | Named):
            if isinstance(item, dict):
                parsed[key] = _table(child, item, here, problems)
            else:
                problems.append(Problem(here, f"is {shown(item)}, not a table; {_how_to_write(here, item)}"))
            continue
        try:
            parsed[key] = child(item)
        except WrongValue as wrong:
            problems.append(Problem(here, str(wrong)))
    if isinstance(node, Table):
        problems += [
            Problem((*path, key), f"is missing; {needed}") for key, needed in node.required.items() if key not in value
        ]
    return parsed


def _child(node: Table | Named, key: str, item: object) -> Node:
    if isinstance(node, Named):
        node.name(key)
        return node.each
    if key not in node.keys:
        what = "table" if isinstance(item, dict) else "key"
        raise WrongValue(f"unknown {what}", f"did you mean `{_meant(key, node)}`?")
    return node.keys[key]


def _meant(key: str, table: Table) -> str:
    """The known key that is most likely meant: the same one in a table below, else the one most like it."""
    below = next((path for path in _below(table) if path[-1] == key), None)
    return dotted(below) if below else _most_like(key, table.keys)[1]


def _below(table: Table, path: tuple[str, ...] = ()) -> Iterable[tuple[str, ...]]:
    for name, child in table.keys.items():
        yield (*path, name)
        if isinstance(child, Table):
            yield from _below(child, (*path, name))
        elif isinstance(child, Named) and isinstance(child.each, Table):
            yield from _below(child.each, (*path, name, "NAME"))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` that is most like `word`, case aside; None when none is much like it."""
    likeness, name = _most_like(word, known)
    return name if likeness >= _ALIKE else None


def _most_like(word: str, known: Iterable[str]) -> tuple[float, str]:
    """The best of `known` and how like `word` it is, 0 to 1; the earlier one of equals."""
    from difflib import SequenceMatcher  # noqa: PLC0415  a valid file never needs it, and the daemon's memory counts

    matcher = SequenceMatcher(b=word[:_LONGEST_WORD].lower())
    best, meant = -1.0, ""
    for name in known:
        matcher.set_seq1(name.lower())
        if (likeness := matcher.ratio()) > best:
            best, meant = likeness, name
    return best, meant


def _how_to_write(path: KeyPath, item: object) -> str:
    if isinstance(item, list):
        return f"write it with one pair of brackets: [{dotted(path)}]"
    return f"write a table: [{dotted(path)}]"
