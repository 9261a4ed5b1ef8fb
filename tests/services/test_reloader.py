"""A changed configuration under a supervisor on a manual clock: what is said of it, and what becomes of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.abc
import pytest
from fake_machine import World, world
from manual_clock import at_rest

from orchestrator.control.commands import Commands
from orchestrator.control.server import Progress
from orchestrator.events import ConfigReloaded
from orchestrator.problems import Problems
from orchestrator.processes.programs import Unlaunchable
from orchestrator.reloading import Reloader, Source
from orchestrator.supervise.changes import Change
from orchestrator.supervise.verdict import Verb

Y = '[watchers.y]\ncommand = ["y"]\n'
DEP = '[watchers.dep]\ncommand = ["dep"]\ndepends_on = ["y"]\n'
LONE = '[watchers.lone]\ncommand = ["lone"]\n'
ALL = Y + DEP + LONE
DISABLED = "enabled = false\n"


class Site:
    """A daemon's half that reloads, with its configuration file."""

    stopping = False

    def __init__(self, w: World, folder: Path, tasks: anyio.abc.TaskGroup) -> None:
        self.w = w
        self.file = folder / "supervisor.toml"
        self._tasks = tasks
        self._problems = Problems(w.bus, w.clock)

    def configure(self, text: str) -> None:
        self.file.write_text(f'[supervisor]\nvault = "vault"\ntimezone = "UTC"\n{text}')

    def begin(self, text: str) -> None:
        self.configure(text)
        source = Source(self.file)
        config = source.load()
        for watcher in config.watchers.values():
            self.w.supervisor.add(watcher)
        self.w.supervisor.ask(Verb.START, [each.name for each in config.watchers.values() if each.enabled])
        self.reloader = Reloader(
            source,
            config,
            self.w.supervisor,
            {},
            bus=self.w.bus,
            problems=self._problems,
            clock=self.w.clock,
            apply_settings=lambda _: None,
        )

    async def plan(self, text: str) -> dict[str, tuple[Any, ...]]:
        """What would become of whom: the change, the PID that ends and why."""
        self.configure(text)
        before = self.w.states()
        answer = await self._commands()({"plan": True}, Progress())
        assert self.w.states() == before
        assert answer["results"] == []
        return {
            each["name"]: tuple(each[key] for key in ("change", "pid", "reason") if each[key] is not None)
            for each in answer["changes"]
        }

    async def begin_reload(self, text: str) -> list[dict[str, Any]]:
        """Reload; the list that this gives holds the answer once there is one."""
        self.configure(text)
        answers: list[dict[str, Any]] = []

        async def reload() -> None:
            answers.append(await self._commands()({"plan": False}, Progress()))

        self._tasks.start_soon(reload)
        await at_rest()
        return answers

    def pid(self, name: str) -> int | None:
        return self.w.supervisor.keepers[name].pid

    def _commands(self) -> Any:
        nothing = cast("Any", self)
        return Commands(self, self.w.supervisor, nothing, nothing, nothing)._reload

    # --- commands.Daemon ---

    methods: dict[str, Any] = {}  # noqa: RUF012  of no tasks

    async def started(self) -> None:
        pass

    def task_changes(self) -> dict[str, Any]:
        return {"tasks": [], "notes": []}

    async def remember(self) -> None:
        pass

    async def reload(self, *, plan: bool) -> tuple[list[Change], list[str]]:
        return self.reloader.reload(plan=plan)

    def shut_down(self) -> None:
        raise NotImplementedError

    async def events(self, limit: int) -> list[dict[str, Any]]:
        raise NotImplementedError


@asynccontextmanager
async def running(folder: Path, text: str = ALL) -> AsyncIterator[Site]:
    (folder / "vault").mkdir()
    async with world() as w, anyio.create_task_group() as tasks:
        site = Site(w, folder, tasks)
        site.begin(text)
        await w.clock.advance(3)
        yield site
        tasks.cancel_scope.cancel()


def changes(answer: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["change"] for each in answer["changes"] if each["change"] != "unchanged"}


def results(answer: dict[str, Any]) -> dict[str, tuple[bool, str, str]]:
    return {each["name"]: (each["ok"], each["state"], each["message"]) for each in answer["results"]}


async def test_who_depends_on_a_disabled_one_waits_for_it_and_comes_back_with_it(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        plan = await site.plan(Y + DISABLED + DEP + LONE)
        assert plan == {
            "y": ("stop", site.pid("y")),
            "dep": ("stop", site.pid("dep"), "depends on y"),
            "lone": ("unchanged",),
        }
        (answer,) = await site.begin_reload(Y + DISABLED + DEP + LONE)
        assert changes(answer) == {"y": "stop", "dep": "stop"}
        assert results(answer) == {"y": (True, "stopped", "")}
        assert site.w.states() == {"y": "stopped", "dep": "stopped", "lone": "running"}
        found = site.w.describe("dep")
        assert (found["wanted"], found["stopped_by_person"]) == (True, False)
        assert found["reason"] == "waits for y, which is stopped"
        assert site.w.describe("y")["wanted"] is False

        assert await site.plan(ALL) == {"y": ("start",), "dep": ("start", "depends on y"), "lone": ("unchanged",)}
        answers = await site.begin_reload(ALL)
        assert answers == []
        await site.w.clock.advance(2)
        assert results(answers[0]) == {"y": (True, "running", ""), "dep": (True, "running", "")}
        assert site.w.machine.count("lone") == 1
        told = [fact for fact in site.w.facts if isinstance(fact, ConfigReloaded)]
        assert [(each.stopped, each.started) for each in told] == [(("y", "dep"), ()), ((), ("y", "dep"))]


async def test_disabled_with_another_command_is_a_stop_and_no_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        new = '[watchers.y]\ncommand = ["other"]\n' + DISABLED + LONE
        assert (await site.plan(new))["y"] == ("stop", site.pid("y"))
        (answer,) = await site.begin_reload(new)
        assert changes(answer) == {"y": "stop", "dep": "removed"}
        assert [each["keys"] for each in answer["changes"]] == [["command", "enabled"], [], []]
        assert site.w.machine.count("y") == 1


async def test_what_is_not_running_is_neither_stopped_nor_restarted(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        await site.w.ask(Verb.STOP, "y")
        (answer,) = await site.begin_reload('[watchers.y]\ncommand = ["other"]\n' + DISABLED + DEP + LONE)
        assert changes(answer) == {"y": "update"}
        assert answer["results"] == []
        assert site.w.describe("dep")["wanted"] is False  # it was stopped along with y, by someone


async def test_who_is_being_stopped_by_someone_does_not_come_back_with_a_reload(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        site.w.machine.stubborn.add("dep")
        site.w.supervisor.ask(Verb.STOP, ["dep"], person=True)
        await site.begin_reload(Y + DISABLED + DEP + LONE)
        await site.begin_reload(ALL)
        await site.w.clock.advance(20)
        assert site.w.states() == {"y": "running", "dep": "stopped", "lone": "running"}
        assert site.w.describe("dep")["stopped_by_person"] is True


async def test_a_reload_waits_until_what_it_restarts_is_up(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        new = ALL.replace('["lone"]', '["lone", "x"]') + '[watchers.new]\ncommand = ["new"]\nstart_seconds = 2\n'
        answers = await site.begin_reload(new)
        await site.w.clock.advance(1.9)
        assert answers == []
        await site.w.clock.advance(0.2)
        assert results(answers[0]) == {"lone": (True, "running", ""), "new": (True, "running", "")}


async def test_a_reload_says_who_did_not_come_up_and_why(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        site.w.machine.trouble["lone"] = [Unlaunchable("no such command")]
        (answer,) = await site.begin_reload(ALL.replace('["lone"]', '["nonesuch"]'))
        assert results(answer) == {"lone": (False, "fatal", "no such command")}
        assert await site.plan(ALL) == {"y": ("unchanged",), "dep": ("unchanged",), "lone": ("start",)}


async def test_a_reload_waits_no_longer_than_the_watchers_limits_explain(tmp_path: Path) -> None:
    never = LONE + 'ready = "notify"\nready_timeout = "1h"\nstop_timeout = 2\n'
    async with running(tmp_path, never + "start_seconds = 5\n") as site:
        site.w.machine.say("lone", READY="1")
        await site.w.clock.advance(10)
        site.w.machine.immortal.add("lone")
        answers = await site.begin_reload(never.replace('["lone"]', '["x"]'))
        await site.w.clock.advance(3611)
        assert answers == []
        await site.w.clock.advance(2)
        ((ok, state, message),) = results(answers[0]).values()
        assert (ok, state) == (False, "stopping")
        assert "still stopping after 3612 s" in message


@pytest.mark.parametrize("gone", [True, False])
async def test_a_reload_waits_until_what_it_stops_is_gone(tmp_path: Path, *, gone: bool) -> None:
    async with running(tmp_path) as site:
        site.w.machine.stubborn.add("lone")
        answers = await site.begin_reload(Y + DEP + ("" if gone else LONE + DISABLED))
        await site.w.clock.advance(9)
        assert answers == []
        await site.w.clock.advance(2)
        assert results(answers[0]) == {"lone": (True, "stopped", "is no longer configured" if gone else "")}


async def test_what_was_fatal_for_want_of_its_env_file_is_started_once_that_is_there(tmp_path: Path) -> None:
    wanting = LONE + 'env_file = ".env"\n'
    async with running(tmp_path, LONE) as site:
        site.w.machine.trouble["lone"] = [Unlaunchable("env_file .env: No such file or directory")]
        await site.begin_reload(wanting)
        await site.w.clock.advance(2)
        assert site.w.states() == {"lone": "fatal"}
        assert await site.plan(wanting) == {"lone": ("unchanged",)}
        (tmp_path / ".env").write_text("KEY=value\n")
        assert await site.plan(wanting) == {"lone": ("start",)}
        answers = await site.begin_reload(wanting)
        await site.w.clock.advance(2)
        assert answers[0]["changes"][0]["keys"] == ["env_file"]
        assert results(answers[0]) == {"lone": (True, "running", "")}
        assert await site.plan(wanting) == {"lone": ("unchanged",)}
