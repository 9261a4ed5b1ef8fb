"""PURE. Who is started before whom: questions to `depends_on`, a mapping name -> names it needs, in the file's order.

Names that are needed but are no keys of the mapping are passed over.
"""

from collections.abc import Mapping, Sequence

DependsOn = Mapping[str, Sequence[str]]


def cycle(depends_on: DependsOn) -> list[str] | None:
    """A circle of names, each needing the next, as [a, b, a]; None when there is none.

    It begins with the name that is first in the file.
    """
    done: set[str] = set()
    for root in depends_on:
        if root in done:
            continue
        trail = [root]  # the names from the root to where we are, and for each what is left to follow
        place = {root: 0}
        ahead = [iter(depends_on[root])]
        while trail:
            for needed in ahead[-1]:
                if needed in place:
                    return _from_the_first(trail[place[needed] :], depends_on)
                if needed in depends_on and needed not in done:
                    place[needed] = len(trail)
                    trail.append(needed)
                    ahead.append(iter(depends_on[needed]))
                    break
            else:
                done.add(trail[-1])
                del place[trail.pop()]
                ahead.pop()
    return None


def _from_the_first(circle: list[str], depends_on: DependsOn) -> list[str]:
    members = set(circle)
    first = circle.index(next(name for name in depends_on if name in members))
    return [*circle[first:], *circle[:first], circle[first]]


def dependencies(depends_on: DependsOn, *names: str) -> list[str]:
    """All that `names` need, directly or through others, without `names` themselves; in the file's order."""
    return _reachable(depends_on, names)


def dependents(depends_on: DependsOn, *names: str) -> list[str]:
    """All that need one of `names`, directly or through others, without `names` themselves; in the file's order."""
    return _reachable(_reversed(depends_on), names)


def _reversed(depends_on: DependsOn) -> dict[str, list[str]]:
    needed_by: dict[str, list[str]] = {name: [] for name in depends_on}
    for name, needs in depends_on.items():
        for needed in dict.fromkeys(needs):
            if needed in needed_by:
                needed_by[needed].append(name)
    return needed_by


def _reachable(edges: DependsOn, names: Sequence[str]) -> list[str]:
    found = set(names)
    ahead = list(names)
    while ahead:
        for other in edges.get(ahead.pop(), ()):
            if other not in found:
                found.add(other)
                ahead.append(other)
    found.difference_update(names)
    return [name for name in edges if name in found]
