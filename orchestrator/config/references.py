"""PURE. Names of watchers and tasks that refer to each other: to what is not there, in circles; and names too alike."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from orchestrator.config.check import Problem, nearest
from orchestrator.config.locate import KeyPath
from orchestrator.config.wording import quoted
from orchestrator.supervise.order import cycle

SUGGESTIONS: Final = 20  # how many wrong names are worth a comparison with all others, not only the first few
SHOWN: Final = 20  # names


def check_twins(section: str, names: Iterable[str], taken: Iterable[str] = ()) -> list[Problem]:
    """Find names that are one on file systems without case (macOS), where they would share files."""
    seen = {name.lower(): name for name in taken}
    problems = []
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other != name:
            text = f"differs from the {section[:-1]} {quoted(other)} only in upper and lower case; choose another name"
            problems.append(Problem((section, name), text))
    return problems


def check_references(
    section: str,
    key: str,
    tables: Mapping[str, Mapping[str, Any]],
    known: Collection[str],
    elsewhere: Mapping[str, Sequence[str]] | None = None,
) -> list[Problem]:
    """Check the lists of names under `key`: that each is one of `known`, and that no circle comes of them.

    `known` may hold more names than `tables`: what has problems of its own can be referred to all the same.
    `elsewhere`: references of what is not in `tables`, for circles that go through it.
    """
    what = section[:-1]
    problems: list[Problem] = []
    graph = dict[str, Sequence[str]]()
    unknown = 0
    for name, said in tables.items():
        path: KeyPath = (section, name, key)
        found = graph[name] = list[str]()
        for needed in dict.fromkeys(said.get(key, ())):
            if needed == name:
                problems.append(Problem(path, f"names the {what} itself; name others only"))
            elif needed in known:
                found.append(needed)
            else:
                unknown += 1
                others = (other for other in known if other != name)
                allowed = _instead(what, needed, list(others if unknown <= SUGGESTIONS else islice(others, SHOWN + 1)))
                problems.append(Problem(path, f"names {quoted(needed)}, which is no {what}; {allowed}"))
    graph |= {name: needed for name, needed in (elsewhere or {}).items() if name not in graph}
    while circle := cycle(graph):
        first = next((name for name in circle if name in tables), None)
        if first is not None:
            text = f"is a cycle, {' -> '.join(circle)}; take one of these dependencies out"
            problems.append(Problem((section, first, key), text))
        graph = {name: needed for name, needed in graph.items() if name not in circle}
    return problems


def _instead(what: str, wrong: str, others: list[str]) -> str:
    if not others:
        return f"there is no other {what}"
    close = nearest(wrong, others)
    if close:
        return f"did you mean {quoted(close)}?"
    return f"there are: {', '.join(others[:SHOWN])}{' …' if len(others) > SHOWN else ''}"
