"""PURE. What other configuration comes to for the tasks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Final

from orchestrator.config.model import TaskConfig

# Fields that stand under several keys, or under none, in supervisor.toml.
_KEYS: Final = {"schedule": ("schedule",), "action": ("action",), "added": ()}


@dataclass(frozen=True, slots=True)
class TaskChange:
    """`change`: added, removed or changed; `keys`: what of it changed."""

    name: str
    change: str
    keys: tuple[str, ...] = ()


def compare(old: Mapping[str, TaskConfig], new: Iterable[TaskConfig]) -> list[TaskChange]:
    """Tell what becomes of each task: those of the new configuration in its order, then those removed."""
    found, names = list[TaskChange](), set[str]()
    for task in new:
        names.add(task.name)
        before = old.get(task.name)
        if before is None:
            found.append(TaskChange(task.name, "added"))
        elif before != task:
            differ = [each.name for each in fields(task) if getattr(before, each.name) != getattr(task, each.name)]
            keys = tuple(key for name in differ for key in _KEYS.get(name, (name,)))
            found.append(TaskChange(task.name, "changed", keys))
    return found + [TaskChange(name, "removed") for name in old if name not in names]
