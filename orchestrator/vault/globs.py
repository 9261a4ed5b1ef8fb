"""PURE. Patterns of files in the vault, as `on_change` and `only_if_any` have them.

A pattern is a path relative to the vault, its names separated by `/`. In a name `*` stands for any characters, `?` for
one, `[abc]`, `[a-z]` and `[!abc]` for one of a set; `**` in place of a name stands for any folders or none, and at the
end for every file below. Case counts. No wildcard matches the dot that a hidden name begins with.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

OURS: Final = frozenset({".aiemp", "Logs", "Dashboard.md"})  # where we write ourselves, in the vault: no change counts

_WILD: Final = re.compile(r"[*?\[]")
_ANY_FOLDERS: Final = "**"
_SET_END: Final = re.compile(r"\[!?+\]?+[^\]]*\]")  # a ] that comes first is a member (POSIX glob(7))


class Glob:
    """One pattern, read. Raises ValueError for a bad one; the text goes on from `which`: `begins with /`."""

    __slots__ = ("_names", "base", "pattern")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        names = _names(pattern)
        fixed = 0
        while fixed < len(names) - 1 and not _WILD.search(names[fixed]):
            fixed += 1
        self.base: Final = "/".join(names[:fixed])  # the folder that every match lies in or below; "": the vault
        if names[-1] == _ANY_FOLDERS:
            names.append("*")
        self._names = tuple(None if name == _ANY_FOLDERS else _name(name) for name in names)

    def matches(self, path: str) -> bool:
        """Whether a file of this path, relative to the vault, is meant."""
        return len(self._names) in self._reached(path.split("/"))

    def leads(self, folder: str) -> bool:
        """Whether a file in or below this folder could be meant; "" is the vault."""
        end = len(self._names)
        return any(place < end for place in self._reached(folder.split("/") if folder else []))

    def _reached(self, path: list[str]) -> set[int]:
        """How many names of the pattern can be used up by all of `path`. Its time is bounded, whatever the names."""
        places = self._onward({0})
        for name in path:
            following = set()
            for place in places:
                if place == len(self._names):
                    continue
                wanted = self._names[place]
                if wanted is None:
                    if not name.startswith("."):
                        following.add(place)
                elif wanted.fullmatch(name):
                    following.add(place + 1)
            if not following:
                return following
            places = self._onward(following)
        return places

    def _onward(self, places: set[int]) -> set[int]:
        """With those that `**` reaches by standing for nothing."""
        for place in sorted(places):
            beyond = place
            while beyond < len(self._names) and self._names[beyond] is None:
                beyond += 1
                places.add(beyond)
        return places


class Globs:
    """Several patterns at once. `skipped`: names right in the vault: these and all in them is not meant."""

    __slots__ = ("_globs", "patterns", "skipped")

    def __init__(self, patterns: Iterable[str], skipped: frozenset[str] = frozenset()) -> None:
        """Raises ValueError as Glob does."""
        self.patterns: Final = frozenset(patterns)
        self.skipped: Final = skipped
        self._globs = tuple(Glob(pattern) for pattern in sorted(self.patterns))

    def __bool__(self) -> bool:
        return bool(self._globs)

    def bases(self) -> list[str]:
        """The folders that every match lies in or below."""
        return sorted({glob.base for glob in self._globs if not self._is_skipped(glob.base)})

    def matching(self, path: str) -> set[str]:
        """The patterns that mean a file of this path."""
        if self._is_skipped(path):
            return set()
        return {glob.pattern for glob in self._globs if glob.matches(path)}

    def matches(self, path: str) -> bool:
        """Whether one of them means a file of this path."""
        return not self._is_skipped(path) and any(glob.matches(path) for glob in self._globs)

    def leads(self, folder: str) -> bool:
        """Whether a file in or below this folder could be meant."""
        return not self._is_skipped(folder) and any(glob.leads(folder) for glob in self._globs)

    def _is_skipped(self, path: str) -> bool:
        return path.partition("/")[0] in self.skipped


def _names(pattern: str) -> list[str]:
    """The names that the pattern is made of. Raises ValueError."""
    if not pattern:
        raise ValueError("is empty")
    if "\0" in pattern:
        raise ValueError("contains NUL")
    if "\\" in pattern:
        raise ValueError("has a \\ in it, where folders are separated by /")
    if pattern.startswith("/"):
        raise ValueError("begins with /, where the vault's own folder is meant")
    if pattern.endswith("/"):
        raise ValueError("names a folder; its files are /* and all below it /**")
    names = pattern.split("/")
    for name in names:
        if not name:
            raise ValueError("has two / in a row")
        if name == "..":
            raise ValueError("has .. in it, and nothing outside of the vault is looked at")
        if name == ".":
            raise ValueError("has . as a name, which can be left out")
        if _ANY_FOLDERS in name and name != _ANY_FOLDERS:
            raise ValueError("has ** beside other characters, where it stands alone: **/*.md")
    return names


@lru_cache(maxsize=1024)
def _name(name: str) -> re.Pattern[str]:
    """What one name of a pattern means. Raises ValueError.

    Each `*` but the last takes as little as it can and never reconsiders (an atomic group), which finds every match
    and needs no more than the square of the name's length.
    """
    runs: list[str] = [""]  # what stands between the stars
    at = 0
    while at < len(name):
        character = name[at]
        match character:
            case "*":
                runs.append("")
                at += 1
            case "?":
                runs[-1] += "."
                at += 1
            case "[":
                found = _SET_END.match(name, at)
                if found is None:
                    raise ValueError("has a [ without its ]; the character itself is written [[]")
                runs[-1] += _set(found.group())
                at = found.end()
            case _:
                runs[-1] += re.escape(character)
                at += 1
    whole = runs[0]
    if len(runs) > 1:
        whole += "".join(f"(?>.*?{run})" for run in runs[1:-1]) + ".*" + runs[-1]
    shown = r"(?!\.)" if _WILD.match(name) else ""
    return re.compile(shown + whole, re.DOTALL)


def _set(written: str) -> str:
    """`[a-z]` as a regular expression. Raises ValueError."""
    inner = written[1:-1]
    negated = inner.startswith("!")
    members = inner[1:] if negated else inner
    parts, at = "", 0
    while at < len(members):
        first = members[at]
        if at + 2 < len(members) and members[at + 1] == "-":
            last = members[at + 2]
            if last < first:
                raise ValueError(f"has the range {first}-{last}, whose end comes before its beginning")
            parts += f"{re.escape(first)}-{re.escape(last)}"
            at += 3
        else:
            parts += re.escape(first)
            at += 1
    return f"[{'^' if negated else ''}{parts}]"
