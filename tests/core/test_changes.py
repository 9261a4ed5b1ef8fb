"""Which key of a watcher restarts it on reload and which does not: every key there is."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.model import Backoff, CrashLoop, Launch, Policy, Ready, Restart, WatcherConfig
from orchestrator.supervise.changes import Change, Kind, compare, differing

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
