"""PURE. What a new configuration changes about the watchers, and which of them that restarts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from typing import Any

from orchestrator.config.model import WatcherConfig


class Kind(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    RESTART = "restart"  # something changed that a process is started with
    UPDATE = "update"  # something changed that takes effect without
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Change:
    name: str
    kind: Kind
    keys: tuple[str, ...] = ()  # as they stand in supervisor.toml


def compare(
    old: Mapping[str, WatcherConfig], new: Mapping[str, WatcherConfig], stale: Collection[str] = ()
) -> list[Change]:
    """What becomes of each watcher: those of the new configuration in its order, then those removed.

    `stale` are watchers whose env_file has other content now than when their process was started.
    """
    found = []
    for name, watcher in new.items():
        if name not in old:
            found.append(Change(name, Kind.ADDED))
            continue
        launch = differing(old[name].launch, watcher.launch)
        if name in stale and "env_file" not in launch:
            launch = (*launch, "env_file")
        others = differing(old[name].policy, watcher.policy) + tuple(
            key for key in differing(old[name], watcher) if key.split(".")[0] not in {"launch", "policy"}
        )
        kind = Kind.RESTART if launch else Kind.UPDATE if others else Kind.UNCHANGED
        found.append(Change(name, kind, launch + others))
    return found + [Change(name, Kind.REMOVED) for name in old if name not in new]


def differing(old: Any, new: Any, prefix: str = "") -> tuple[str, ...]:
    """Name the fields in which two records of one dataclass differ, those of records inside as `outer.inner`."""
    found: list[str] = []
    for field in fields(old):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if is_dataclass(before) and is_dataclass(after):
            found += differing(before, after, f"{prefix}{field.name}.")
        elif before != after:
            found.append(prefix + field.name)
    return tuple(found)
