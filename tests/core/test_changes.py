"""Which key of a watcher restarts it on reload and which does not: every key there is."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.model import Backoff, CrashLoop, Launch, Policy, Ready, Restart, WatcherConfig
from orchestrator.supervise.changes import Change, Kind, compare, differing, foresee
from orchestrator.supervise.states import State
from orchestrator.supervise.verdict import View

A = WatcherConfig(name="a", launch=Launch(command=("true",), directory=Path("/vault")))

RESTARTS: dict[str, Any] = {
    "command": ("false",),
    "directory": Path("/elsewhere"),
    "env": (("KEY", "value"),),
    "env_file": Path("/vault/.env"),
    "memory_limit": 1,
}
TAKES_EFFECT: dict[str, Any] = {
    "restart": Restart.NEVER,
    "expected_exit_codes": frozenset({0, 3}),
    "start_seconds": 2.0,
    "ready": Ready.NOTIFY,
    "ready_timeout": 2.0,
    "watchdog": 2.0,
    "backoff": Backoff(initial=2.0),
    "crash_loop": CrashLoop(max_restarts=2),
    "stop_signal": 2,
    "stop_timeout": 2.0,
}
OUTSIDE: dict[str, Any] = {"enabled": False, "autostart": False, "required_env": ("KEY",), "depends_on": ("b",)}


def test_the_tables_below_hold_every_key() -> None:
    assert {field.name for field in fields(Launch)} == RESTARTS.keys()
    assert {field.name for field in fields(Policy)} == TAKES_EFFECT.keys()
    assert {field.name for field in fields(WatcherConfig)} == {"name", "launch", "policy"} | OUTSIDE.keys()


@pytest.mark.parametrize("key", RESTARTS)
def test_these_restart(key: str) -> None:
    new = replace(A, launch=replace(A.launch, **{key: RESTARTS[key]}))
    assert compare({"a": A}, {"a": new}) == [Change("a", Kind.RESTART, (key,))]


@pytest.mark.parametrize("key", TAKES_EFFECT)
def test_these_take_effect_without(key: str) -> None:
    (change,) = compare({"a": A}, {"a": replace(A, policy=replace(A.policy, **{key: TAKES_EFFECT[key]}))})
    assert change.kind is Kind.UPDATE
    assert [named.split(".")[0] for named in change.keys] == [key]


@pytest.mark.parametrize("key", OUTSIDE)
def test_so_do_these(key: str) -> None:
    assert compare({"a": A}, {"a": replace(A, **{key: OUTSIDE[key]})}) == [Change("a", Kind.UPDATE, (key,))]


@pytest.mark.parametrize(
    ("policy", "keys"),
    [
        (replace(A.policy, backoff=Backoff(max=1.0, factor=3.0)), ("backoff.factor", "backoff.max")),
        (replace(A.policy, crash_loop=CrashLoop(window=1.0)), ("crash_loop.window",)),
    ],
)
def test_keys_inside_tables_are_named_as_in_the_file(policy: Policy, keys: tuple[str, ...]) -> None:
    assert differing(A.policy, policy) == keys


def test_several_changes_at_once_are_one_restart_that_names_all() -> None:
    new = replace(
        A, launch=replace(A.launch, command=("b",)), policy=replace(A.policy, watchdog=1.0), depends_on=("b",)
    )
    assert compare({"a": A}, {"a": new}) == [Change("a", Kind.RESTART, ("command", "watchdog", "depends_on"))]


def test_nothing_changed() -> None:
    assert compare({"a": A}, {"a": replace(A)}) == [Change("a", Kind.UNCHANGED)]


def test_another_content_of_the_env_file_restarts_and_is_named_once() -> None:
    with_file = replace(A, launch=replace(A.launch, env_file=Path("/vault/.env")))
    assert compare({"a": with_file}, {"a": with_file}, ["a"]) == [Change("a", Kind.RESTART, ("env_file",))]
    assert compare({"a": A}, {"a": with_file}, ["a"]) == [Change("a", Kind.RESTART, ("env_file",))]


@given(
    old=st.lists(st.sampled_from("abcde"), unique=True),
    new=st.lists(st.sampled_from("abcde"), unique=True),
)
def test_everyone_is_told_of_once_in_the_new_files_order(old: list[str], new: list[str]) -> None:
    def configured(names: list[str]) -> dict[str, WatcherConfig]:
        return {name: replace(A, name=name) for name in names}

    changes = compare(configured(old), configured(new))
    assert [change.name for change in changes] == new + [name for name in old if name not in new]
    for change in changes:
        known, wanted = change.name in old, change.name in new
        assert change.kind is (Kind.REMOVED if not wanted else Kind.UNCHANGED if known else Kind.ADDED)


def named(*names: str, needs: dict[str, str] | None = None, **changes: Any) -> dict[str, WatcherConfig]:
    """Watchers of these names; `needs`: name -> the names it depends on; `changes` are of the first."""
    found = {name: replace(A, name=name, depends_on=tuple((needs or {}).get(name, ""))) for name in names}
    return found | {names[0]: replace(found[names[0]], **changes)}


def seen(state: State, *, wanted: bool = True, **others: Any) -> View:
    pid = 7 if state in {State.STARTING, State.RUNNING, State.STOPPING} else None
    return View(
        state=state, pid=pid, generation=1, wanted=wanted, hopeless=False, reason=None, **{"held": False, **others}
    )


UP = seen(State.RUNNING)
DOWN = seen(State.STOPPED, wanted=False)
WAITS = seen(State.STOPPED, wanted=False, held=True, start_held=True)
OTHER = replace(A.launch, command=("false",))
CHAIN = {"b": "a", "c": "b"}


def outcome(
    old: dict[str, WatcherConfig], new: dict[str, WatcherConfig], **views: View
) -> dict[str, tuple[str, str | None]]:
    found = foresee(compare(old, new), old, new, views)
    return {change.name: (change.kind.value, change.reason) for change in found if change.kind is not Kind.UNCHANGED}


@pytest.mark.parametrize(
    ("view", "kind"),
    [
        (UP, "restart"),
        (seen(State.STARTING), "restart"),
        (seen(State.BACKOFF), "restart"),
        (seen(State.STOPPING), "restart"),
        (seen(State.STOPPING, wanted=False), "update"),
        (seen(State.RUNNING, held=True, stop_held=True), "update"),  # it is to stop, and only waits for others
        (seen(State.RUNNING, held=True, stop_held=True, start_held=True), "restart"),
        (DOWN, "update"),
        (WAITS, "update"),
        (seen(State.EXITED), "update"),
        (seen(State.PAUSED), "update"),
        (seen(State.FATAL), "start"),
    ],
)
def test_what_another_command_comes_to(view: View, kind: str) -> None:
    assert outcome(named("a"), named("a", launch=OTHER), a=view) == {"a": (kind, None)}


@pytest.mark.parametrize(
    ("view", "kind"),
    [(UP, "stop"), (seen(State.BACKOFF), "stop"), (DOWN, "update"), (WAITS, "update"), (seen(State.PAUSED), "update")],
)
def test_what_is_disabled_is_stopped_if_there_is_something_to_stop(view: View, kind: str) -> None:
    assert outcome(named("a"), named("a", enabled=False, launch=OTHER), a=view) == {"a": (kind, None)}


def test_what_depends_on_the_disabled_is_stopped_too_if_it_is_not_down_already() -> None:
    old, new = named("a", "b", "c", needs=CHAIN), named("a", "b", "c", needs=CHAIN, enabled=False)
    all_stop = {"a": ("stop", None), "b": ("stop", "depends on a"), "c": ("stop", "depends on b")}
    assert outcome(old, new, a=UP, b=UP, c=UP) == all_stop
    assert outcome(old, new, a=UP, b=DOWN, c=WAITS) == {"a": ("stop", None)}
    assert outcome(old, new, a=DOWN, b=UP, c=DOWN) == {"a": ("update", None), "b": ("stop", "depends on a")}
    freed = named("a", "b", "c", needs={"c": "b"}, enabled=False)
    assert outcome(old, freed, a=UP, b=UP, c=UP) == {"a": ("stop", None), "b": ("update", None)}


def test_what_was_disabled_already_stops_nobody() -> None:
    old = named("a", "b", needs=CHAIN, enabled=False)
    new = named("a", "b", needs=CHAIN, enabled=False, launch=OTHER)
    assert outcome(old, new, a=DOWN, b=UP) == {"a": ("update", None)}


def test_what_is_enabled_again_starts_with_what_it_needs_and_what_waits_for_it() -> None:
    old = named("b", "a", "c", "d", needs=CHAIN | {"d": "ce"}, enabled=False) | named("e")
    new = named("b", "a", "c", "d", needs=CHAIN | {"d": "ce"}) | named("e")
    found = outcome(old, new, b=DOWN, a=DOWN, c=WAITS, d=WAITS, e=UP)
    assert found == {
        "b": ("start", None),
        "a": ("start", "b depends on it"),
        "c": ("start", "depends on b"),
        "d": ("start", "depends on c"),
    }
    found = outcome(old, new, b=DOWN, a=UP, c=WAITS, d=WAITS, e=DOWN)
    assert found == {"b": ("start", None), "c": ("start", "depends on b")}  # d waits for e too
    quiet = named("b", "a", "c", "d", needs=CHAIN | {"d": "ce"}, autostart=False) | named("e")
    assert outcome(old, quiet, b=DOWN, a=DOWN, c=WAITS, d=WAITS, e=UP) == {"b": ("update", None)}


def test_what_is_added_starts_what_it_needs() -> None:
    old, new = named("a"), named("a", "b", needs=CHAIN)
    assert outcome(old, new, a=DOWN) == {"a": ("start", "b depends on it"), "b": ("added", None)}
    assert outcome(old, new, a=UP) == {"b": ("added", None)}
