"""What a killed daemon has left: adopted, ended or left alone, but never doubled."""

import os
import signal
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from real_site import Site, serving
from spawning import group_is_gone, group_lives, orphan, until

from orchestrator.adoption import Inheritance, respect, take_over
from orchestrator.config.model import Config, WatcherConfig
from orchestrator.processes.identity import Identity
from orchestrator.processes.procfs import group_members
from orchestrator.redaction import MARK
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


def adopt(
    site: Site, config: Config, *known: KnownProcess, search: bool = True, last_known: Collection[dict[str, Any]] = ()
) -> Inheritance:
    return take_over(
        known, config, site.places.state, site.machine, site.supervisor, search=search, last_known=last_known
    )


def stray(site: Site, name: str | bytes, script: str = OBEYS) -> int:
    """A process of a watcher's that no daemon has written down."""
    return posing(site, name, script, output=site.places.pipe("a"))


def posing(site: Site, name: str | bytes, script: str = OBEYS, output: str = os.devnull, **environ: str) -> int:
    """A process that says it is a watcher's."""
    ours = {"AIEMP_WATCHER": os.fsdecode(name), "AIEMP_STATE_DIR": site.places.state}
    return orphan(script, output, **ours, **environ)


async def still_lives(pid: int) -> bool:
    """Whether nobody has ended it; afterwards it is gone all the same."""
    await anyio.lowlevel.checkpoint()
    lives = group_lives(pid)
    os.killpg(pid, signal.SIGKILL)
    await group_is_gone(pid)
    return lives


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


@linux
async def test_what_nobody_wrote_down_is_adopted_to_be_started_anew(tmp_path: Path) -> None:
    async with next_daemon(tmp_path, "a") as (site, config):
        pid = stray(site, "a")
        assert adopt(site, config) == Inheritance(("a",), ("a",), ())
        assert site.pid("a") == pid


@linux
async def test_after_an_orderly_stop_nobody_is_searched_for(tmp_path: Path) -> None:
    async with next_daemon(tmp_path, "a") as (site, config):
        pid = stray(site, "a")  # such as a helper that has left its watcher's session
        assert adopt(site, config, search=False) == NOBODY
        assert site.state("a") is State.STOPPED
        assert await still_lives(pid)


@linux
@pytest.mark.parametrize("why", ["no autostart", "disabled", "stopped by a person", "being stopped"])
async def test_a_stray_of_who_was_not_to_run_is_ended_and_starts_nothing(tmp_path: Path, why: str) -> None:
    async with next_daemon(tmp_path, "a") as (site, config):
        last_known = [{"name": "a", "wanted": False, "stopped_by_person": why == "stopped by a person"}]
        changed = replace(config.watchers["a"], autostart=why != "no autostart", enabled=why != "disabled")
        new = replace(config, watchers={"a": changed})
        known: tuple[KnownProcess, ...] = ()
        if why == "being stopped":
            gone = stray(site, "a")
            known = (left(config.watchers["a"], gone, wanted=False),)
            assert await still_lives(gone)
        pid = stray(site, "a")
        assert adopt(site, new, *known, last_known=last_known) == NOBODY
        assert site.state("a") is State.STOPPING
        assert respect(last_known, site.supervisor) == ({"a"} if why == "stopped by a person" else set())
        await group_is_gone(pid)
        await until(lambda: site.state("a") is State.STOPPED)


@linux
async def test_a_stray_of_who_ran_though_it_does_not_start_by_itself_is_adopted(tmp_path: Path) -> None:
    async with next_daemon(tmp_path, "a") as (site, config):
        new = replace(config, watchers={"a": replace(config.watchers["a"], autostart=False)})
        stray(site, "a")
        assert adopt(site, new, last_known=[{"name": "a", "wanted": True}]) == Inheritance(("a",), ("a",), ())


@linux
@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("name", [b"\xff\xfe", b"../escape", b"all", b""])
async def test_a_stranger_may_call_itself_what_it_likes(tmp_path: Path, name: bytes, *, ours: bool) -> None:
    async with next_daemon(tmp_path, "a") as (site, config):
        if ours:
            pid = stray(site, name)
        else:
            pid = orphan(OBEYS, AIEMP_WATCHER=os.fsdecode(name), AIEMP_STATE_DIR="/another/.aiemp")
        assert adopt(site, config) == NOBODY
        assert list(site.supervisor.keepers) == ["a"]
        assert await still_lives(pid)


@linux
async def test_who_only_says_to_be_ours_but_does_not_write_into_our_pipe_is_a_stranger(tmp_path: Path) -> None:
    async with next_daemon(tmp_path, "a") as (site, config):
        pid = posing(site, "a")
        assert adopt(site, config) == NOBODY
        assert await still_lives(pid)


@linux
@pytest.mark.parametrize("which", ["its own", "all"])
async def test_a_pipe_that_was_removed_is_no_reason_to_start_a_twin(tmp_path: Path, which: str) -> None:
    async with next_daemon(tmp_path, "a", "b") as (site, config):
        pid = stray(site, "a")
        other = posing(site, "b") if which == "all" else None  # as where no named pipes can be made at all
        for name in ("a", "b") if which == "all" else ("a",):
            os.unlink(site.places.pipe(name))  # noqa: PTH108  places are strings
        assert set(adopt(site, config).adopted) == ({"a", "b"} if which == "all" else {"a"})
        assert site.pid("a") == pid
        assert other is None or site.pid("b") == other


@linux
async def test_a_vault_reached_through_a_symlink_has_the_same_pipes(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "vault").symlink_to("real")
    async with next_daemon(tmp_path / "vault", "a") as (site, config):
        pid = stray(site, "a")
        assert not site.machine.unheard("a", pid)
        os.unlink(site.places.pipe("a"))  # noqa: PTH108  places are strings
        assert site.machine.unheard("a", pid)
        assert adopt(site, config) == Inheritance(("a",), ("a",), ())


@linux
async def test_another_users_process_is_never_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with next_daemon(tmp_path, "a", "b") as (site, config):
        pid, leader = stray(site, "a"), stray(site, "b", "sleep 1000 & exec sleep 1000")
        known = left(config.watchers["b"], leader)
        await until(lambda: len(group_members(leader)) == 2)
        os.kill(leader, signal.SIGKILL)
        await until(lambda: not Identity(known.pid, known.start_time, known.boot_id).lives())
        with monkeypatch.context() as as_another:
            as_another.setattr(os, "geteuid", lambda: 2**31 - 9)
            assert adopt(site, config, known) == NOBODY
            assert site.state("b") is State.STOPPED
        assert await still_lives(pid)
        assert await still_lives(leader)


@linux
@pytest.mark.parametrize("we", ["are its child", "are it", "are in its session"])
async def test_a_daemon_that_a_watcher_started_does_not_take_itself_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, we: str
) -> None:
    async with next_daemon(tmp_path, "a") as (site, config):
        pid = stray(site, "a", "sleep 1000 & wait")
        await until(lambda: len(group_members(pid)) == 2)
        (child,) = set(group_members(pid)) - {pid}
        with monkeypatch.context() as within:
            if we == "are in its session":
                within.setattr(os, "getsid", lambda _pid: pid)
            else:
                within.setattr(os, "getpid", lambda: pid if we == "are it" else child)
            assert adopt(site, config) == NOBODY
        assert await still_lives(pid)


@linux
async def test_a_stray_of_who_was_paused_is_ended_and_the_pause_goes_on(tmp_path: Path) -> None:
    async with next_daemon(tmp_path, "a") as (site, config):
        pid = stray(site, "a")
        last_known = [{"name": "a", "state": "paused", "reason": "crash loop: exit code 3", "wanted": True}]
        assert adopt(site, config, last_known=last_known) == NOBODY
        assert respect(last_known, site.supervisor) == {"a"}
        assert site.state("a") is State.STOPPING
        await group_is_gone(pid)
        await until(lambda: site.state("a") is State.PAUSED)
        assert "exit code 3" in (site.supervisor.keepers["a"].reason() or "")
        assert (await site.ask(Verb.RESUME, "a"))["a"].ok


@linux
@pytest.mark.parametrize("watched", [True, False])
@pytest.mark.parametrize("written", [True, False])
async def test_whether_a_process_was_told_of_a_watchdog_is_known(
    tmp_path: Path, *, watched: bool, written: bool
) -> None:
    async with next_daemon(tmp_path, "a") as (site, config):
        told = {"WATCHDOG_USEC": "5000000"} if watched else {}
        pid = posing(site, "a", output=site.places.pipe("a"), **told)
        known = (replace(left(config.watchers["a"], pid), spec={"watched": watched}),) if written else ()
        assert adopt(site, config, *known).adopted == ("a",)
        assert site.supervisor.keepers["a"].watched is watched


@linux
async def test_the_secrets_of_an_adopted_process_are_known_too(tmp_path: Path) -> None:
    async with next_daemon(tmp_path, "a") as (site, config):
        pid = posing(site, "a", output=site.places.pipe("a"), GMAIL_TOKEN="k3y-of-gmail")  # noqa: S106  no secret
        assert adopt(site, config).adopted == ("a",)
        assert site.pid("a") == pid
        assert site.machine.redact("a", "logged in with k3y-of-gmail") == f"logged in with {MARK}"
