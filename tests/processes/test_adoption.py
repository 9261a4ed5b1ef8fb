"""What a killed daemon has left: adopted, ended or left alone, but never doubled."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from real_site import Site, serving
from spawning import group_is_gone, group_lives, orphan, until

from orchestrator.adoption import Inheritance, take_over
from orchestrator.config.model import Config, WatcherConfig
from orchestrator.processes.identity import Identity
from orchestrator.processes.procfs import group_members
from orchestrator.store.database import KnownProcess
from orchestrator.supervise.launch import fingerprint
from orchestrator.supervise.states import State
from orchestrator.supervise.verdict import Verb

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
OBEYS = "exec sleep 1000"
NOBODY = Inheritance((), (), ())


def left(watcher: WatcherConfig, pid: int, *, wanted: bool = True) -> KnownProcess:
    """What the database knows of a process that lives."""
    identity = Identity.of(pid)
    assert identity is not None
    return KnownProcess(
        name=watcher.name,
        pid=pid,
        start_time=identity.start_time,
        boot_id=identity.boot_id,
        command=fingerprint(watcher.launch),
        spec={},
        wanted=wanted,
    )


@asynccontextmanager
async def next_daemon(vault: Path, *names: str) -> AsyncIterator[tuple[Site, Config]]:
    async with serving(vault) as site:
        watchers = {name: site.watcher(name, "sleep", "1000") for name in names}
        for watcher in watchers.values():
            site.supervisor.add(watcher)
        yield site, Config(file=vault / "supervisor.toml", vault=vault, timezone="UTC", watchers=watchers)


def adopt(site: Site, config: Config, *known: KnownProcess) -> Inheritance:
    return take_over(known, config, site.places.state, site.machine, site.supervisor)


async def test_who_still_runs_is_adopted_and_its_death_is_heard_of(tmp_path: Path) -> None:
    async with next_daemon(tmp_path, "a") as (site, config):
        pid = orphan(OBEYS)
        assert adopt(site, config, left(config.watchers["a"], pid)) == Inheritance(("a",), (), ())
        assert (site.state("a"), site.pid("a"), site.supervisor.keepers["a"].adopted) == (State.RUNNING, pid, True)
        await site.ask(Verb.START, "a")
        assert site.pid("a") == pid
        os.kill(pid, signal.SIGKILL)
        await until(lambda: site.supervisor.keepers["a"].generation == 2)
        assert site.supervisor.keepers["a"].adopted is False


async def test_an_adopted_process_is_stopped_like_any_other(tmp_path: Path) -> None:
    async with next_daemon(tmp_path, "a") as (site, config):
        pid = orphan('(trap "" TERM; exec sleep 1000) & exec sleep 1000')
        adopt(site, config, left(config.watchers["a"], pid))
        assert (await site.ask(Verb.STOP, "a"))["a"].ok
        assert not group_lives(pid)


async def test_who_would_be_started_differently_now_is_named(tmp_path: Path) -> None:
    async with next_daemon(tmp_path, "a") as (site, config):
        known = replace(left(config.watchers["a"], orphan(OBEYS)), command="another")
        assert adopt(site, config, known) == Inheritance(("a",), ("a",), ())


@pytest.mark.parametrize("why", ["not wanted", "disabled"])
async def test_who_was_to_stop_is_adopted_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    async with next_daemon(tmp_path, "a") as (site, config):
        known = left(config.watchers["a"], orphan(OBEYS), wanted=why != "not wanted")
        monkeypatch.setattr(site.machine, "unheard", lambda _name, _pid: True)  # no reason to start it after all
        new = replace(config, watchers={"a": replace(config.watchers["a"], enabled=why != "disabled")})
        assert adopt(site, new, known) == Inheritance(("a",), (), ("a",))


async def test_who_is_no_longer_configured_is_named_and_ended(tmp_path: Path) -> None:
    async with next_daemon(tmp_path, "a") as (site, config):
        pid = orphan(OBEYS)
        assert adopt(site, replace(config, watchers={}), left(config.watchers["a"], pid)) == NOBODY
        await group_is_gone(pid)
        await until(lambda: "a" not in site.supervisor.keepers)


@pytest.mark.parametrize("other", ["start time", "boot"])
async def test_a_stranger_with_the_same_pid_is_left_alone(tmp_path: Path, other: str) -> None:
    async with next_daemon(tmp_path, "a") as (site, config):
        pid = orphan(OBEYS)
        known = left(config.watchers["a"], pid)
        if other == "boot":
            known = replace(known, boot_id="another")
        else:
            known = replace(known, start_time=known.start_time + 1)
        assert adopt(site, config, known) == NOBODY
        assert group_lives(pid)
        os.killpg(pid, signal.SIGKILL)
        await group_is_gone(pid)


@linux
@pytest.mark.parametrize("ours", [True, False])
async def test_what_a_dead_leader_left_is_ended_if_it_is_ours(tmp_path: Path, *, ours: bool) -> None:
    async with next_daemon(tmp_path, "a") as (site, config):
        state = site.places.state if ours else "/another/.aiemp"
        pid = orphan("sleep 1000 & exec sleep 1000", AIEMP_WATCHER="a", AIEMP_STATE_DIR=state)
        known = left(config.watchers["a"], pid)
        await until(lambda: len(group_members(pid)) == 2)
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not Identity(known.pid, known.start_time, known.boot_id).lives())
        assert adopt(site, config, known) == NOBODY
        if ours:
            assert site.state("a") is State.STOPPING
            assert (await site.ask(Verb.START, "a"))["a"].ok  # only now, and with the old group gone
            await group_is_gone(pid)
            assert site.pid("a") not in {None, pid}
        else:
            await anyio.lowlevel.checkpoint()
            assert group_lives(pid)
            os.killpg(pid, signal.SIGKILL)
            await group_is_gone(pid)


async def test_who_cannot_be_watched_is_ended_rather_than_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with next_daemon(tmp_path, "a") as (site, config):
        pid = orphan(OBEYS)
        monkeypatch.setattr(site.machine, "adopt", lambda _name, _launched: False)  # as without a free descriptor
        assert adopt(site, config, left(config.watchers["a"], pid)) == NOBODY
        await group_is_gone(pid)
