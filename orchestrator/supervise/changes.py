"""PURE. What a new configuration changes about the watchers, and which of them that restarts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import StrEnum
from typing import Any

from orchestrator.config.model import WatcherConfig
from orchestrator.supervise import order
from orchestrator.supervise.states import State
from orchestrator.supervise.verdict import View


class Kind(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    STOP = "stop"  # it is disabled, or depends on what is
    START = "start"  # it is no longer disabled, or was fatal as it was configured, or another's start concerns it
    RESTART = "restart"  # something changed that a process is started with
    UPDATE = "update"  # something changed that takes effect without
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Change:
    name: str
    kind: Kind
    keys: tuple[str, ...] = ()  # as they stand in supervisor.toml
    reason: str | None = None  # why it is stopped or started, when that is another's doing


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


def foresee(
    changes: Sequence[Change],
    old: Mapping[str, WatcherConfig],
    new: Mapping[str, WatcherConfig],
    views: Mapping[str, View],
) -> list[Change]:
    """What `changes` (see `compare`) come to while the watchers of `old` are as `views` shows them."""
    foreseen = {change.name: _alone(change, old, new, views) for change in changes}
    kept = {name: watcher for name, watcher in new.items() if name in old}
    needs = {name: watcher.depends_on for name, watcher in new.items()}

    # What depends on the disabled ones is stopped with them, and waits.
    stopped = dict.fromkeys(newly_disabled(changes, old, new, views))
    for name in order.dependents(needs, *stopped):
        if name in kept and kept[name].enabled and _lives(views[name]):
            need = next((need for need in needs[name] if need in stopped), next(iter(stopped)))
            foreseen[name] = replace(foreseen[name], kind=Kind.STOP, reason=f"depends on {need}")
            stopped[name] = None

    # A start brings along what is needed and not up.
    started = dict.fromkeys(
        name
        for name, change in foreseen.items()
        if change.kind is Kind.START or (change.kind is Kind.ADDED and new[name].enabled and new[name].autostart)
    )
    for name in reversed(order.dependencies(needs, *started)):
        if name in kept and kept[name].enabled and name not in started and not _is_up(views[name]):
            other = next((other for other in new if name in needs[other] and other in started), next(iter(started)))
            if foreseen[name].kind is not Kind.RESTART:
                foreseen[name] = replace(foreseen[name], kind=Kind.START, reason=f"{other} depends on it")
            started[name] = None

    # What has waited for those starts too, unless it waits for others as well.
    up = {name for name in kept if _is_up(views[name]) and name not in stopped}
    waiting = [name for name in kept if views[name].start_held and name not in stopped and name not in started]
    for name in waiting * len(waiting):  # one of them may wait for another that comes later
        arrived = [need for need in needs[name] if need in started]
        if name not in started and arrived and up | started.keys() >= set(needs[name]):
            foreseen[name] = replace(foreseen[name], kind=Kind.START, reason=f"depends on {arrived[0]}")
            started[name] = None
    return list(foreseen.values())


def newly_disabled(
    changes: Sequence[Change],
    old: Mapping[str, WatcherConfig],
    new: Mapping[str, WatcherConfig],
    views: Mapping[str, View],
) -> list[str]:
    """Name the watchers that are to be stopped because they are disabled now."""
    changed = [change.name for change in changes if change.name in old and change.name in new and change.keys]
    return [name for name in changed if not new[name].enabled and (old[name].enabled or _lives(views[name]))]


def _alone(
    change: Change, old: Mapping[str, WatcherConfig], new: Mapping[str, WatcherConfig], views: Mapping[str, View]
) -> Change:
    """What a change comes to for that watcher alone."""
    name, kind = change.name, change.kind
    if kind not in {Kind.RESTART, Kind.UPDATE}:
        return change
    view, watcher = views[name], new[name]
    if not watcher.enabled:
        kind = Kind.STOP if _lives(view) else Kind.UPDATE
    elif view.state is State.FATAL or (watcher.autostart and not old[name].enabled):
        kind = Kind.START
    elif kind is Kind.RESTART and not _is_to_run(view):
        kind = Kind.UPDATE  # what is stopped, exited or paused takes it up when it is started
    return replace(change, kind=kind)


def _lives(view: View) -> bool:
    return view.pid is not None or view.state is State.BACKOFF


def _is_up(view: View) -> bool:
    return view.state in {State.STARTING, State.RUNNING} and not view.stop_held


def _is_to_run(view: View) -> bool:
    return view.wanted and view.state not in {State.EXITED, State.PAUSED} and (view.start_held or not view.stop_held)


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
