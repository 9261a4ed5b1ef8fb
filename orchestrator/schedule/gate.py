"""Which runs may not start just now, and why: the schedule is paused, an agent is held, a budget is spent."""

import json
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Protocol
from zoneinfo import ZoneInfo

import anyio

from orchestrator.clock import Clock
from orchestrator.config.model import AgentConfig, Config, TaskConfig
from orchestrator.events import Bus, SchedulerChanged
from orchestrator.problems import Problems
from orchestrator.schedule.holds import Held, Holds, agent_of
from orchestrator.schedule.runner import Active
from orchestrator.schedule.runs import Hold, Outcome, Result, Trigger, precise
from orchestrator.schedule.spending import EXACT, Spending, Spent
from orchestrator.schedule.switch import pause_file
from orchestrator.turns import EndOfTurn

log = logging.getLogger(__name__)

LOOK: Final = 10.0  # seconds between two looks at the file PAUSE and at the clock on the wall
MARGIN: Final = timedelta(days=2)  # a month begins at another moment once another zone is configured
PAUSED: Final = "scheduler.paused"  # the settings' keys
HOLDS: Final = "holds"
PROBLEM: Final = "pause"  # the key of our line in `problems`


class Ledger(Protocol):
    """What outlives a daemon: `store.runs.RunStore`, or a stand-in in tests."""

    async def setting(self, key: str) -> str | None: ...
    def put_setting(self, key: str, value: str | None) -> None: ...
    def add_cost(self, cost_id: str, spent: Spent) -> None: ...
    async def spent_since(self, moment: datetime) -> list[Spent]: ...


class Gate:
    """Asked before anything starts. `on_change` is called when something may start that might not before, or no more.

    `prepare` comes first, then `keep`, which notices what nobody tells: the ends of holds, the file PAUSE.
    `tasks` gives what may have work for agents now.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        clock: Clock,
        bus: Bus,
        problems: Problems,
        tasks: Callable[[], Iterable[TaskConfig]],
        on_change: Callable[[], None],
    ) -> None:
        self.paused = False  # by command
        self.file: str | None = None  # that pauses the schedule
        self.holds = Holds()
        self.spending = Spending()
        self.agents: Mapping[str, AgentConfig] = {}
        self._enabled = True  # by configuration
        self._vault = ""
        self._zone: tzinfo = UTC
        self._ledger = ledger
        self._clock = clock
        self._bus = bus
        self._problems = problems
        self._tasks = tasks
        self._on_change = on_change
        self._in_force: list[Held] = []  # those that have not ended as far as anybody was told
        self._wake = anyio.Event()
        self._looked = False  # in this turn of the loop: five hundred runs that start together need one look
        self._turn_over = EndOfTurn(self._forget_look)

    async def prepare(self, config: Config) -> None:
        """Learn what was decided, met and spent before. Raises UserError: then try again."""
        self.paused = await self._ledger.setting(PAUSED) is not None
        self._vault = str(config.vault)
        self._take_up_holds(await self._ledger.setting(HOLDS))
        self.spending = Spending()
        self.use(config)
        _, month = self.spending.starts(self._clock.now())
        self.spending = Spending(await self._ledger.spent_since(month - MARGIN))
        self.use(config)

    def use(self, config: Config) -> None:
        """Let a new configuration take effect."""
        self._enabled = config.scheduler.enabled
        self._zone = ZoneInfo(config.timezone)
        self.agents = config.agents
        self.spending.use(config.agents, self._zone)
        if self.holds.use(config.agents):
            before, self._in_force = self._in_force, self.holds.current(self._clock.now())
            for agent in _agents(before, but_not=self._in_force):
                how = "is configured anew, and tried at once" if agent in self.agents else "is there no more"
                self._publish(f"agent {agent} {how}")
            self._holds_changed()

    async def keep(self, give_up: Callable[[datetime], float | None]) -> None:
        """Look, for ever. `give_up` ends what has waited for too long, and gives the seconds until there is more."""
        while True:
            self._wake = anyio.Event()
            self.look()
            self._end_holds()
            self.look_who_is_used()
            now = self._clock.now()
            pause, end, again = LOOK, self.holds.next_end(now), give_up(now)
            if end is not None:
                pause = min(pause, (end - now).total_seconds())
            with self._clock.move_on_after(pause if again is None else min(pause, again)):
                await self._wake.wait()

    def look_soon(self) -> None:
        """Something has begun to wait."""
        self._wake.set()

    # --- pauses ---

    @property
    def shut(self) -> bool:
        """Whether nothing may start by itself, as far as is known; `look` finds out more."""
        return self.paused or self.file is not None or not self._enabled

    def look(self) -> None:
        """Find out whether the file PAUSE has come or gone. Called before every start, so it is quick."""
        if self._looked:
            return
        self._looked = True
        self._turn_over.ask()
        before, self.file = self.file, pause_file(self._vault)
        if self.file == before:
            return
        if self.file is None:
            self._problems.clear(PROBLEM)
            self._publish(f"the file {before} is gone from the vault: runs start again")
        else:
            text = f"no task is started by itself: the file {self.file} lies in the vault; remove it to go on"
            self._problems.report(PROBLEM, text)
            self._publish(f"paused by the file {self.file} in the vault")
        self._on_change()

    def _forget_look(self) -> None:
        self._looked = False

    def pause(self, *, paused: bool) -> str:
        """Start nothing by itself any more, or again, because a person says so. Say what that changes, if anything.

        Who resumes says "try now", and may have logged in again, or paid for more: every hold ends, at the price of a
        try that may be in vain.
        """
        self.look()  # who resumes is told at once what else is in the way
        said = list[str]()
        if self.paused is not paused:
            self.paused = paused
            self._ledger.put_setting(PAUSED, "yes" if paused else None)
            said.append("paused" if paused else "resumed")
        if not paused:
            said += [f"agent {agent} is held no more" for agent in _agents(self.holds.end_all(self._clock.now()))]
            self._in_force = []
            self._holds_changed()
        if said:
            self._publish("; ".join(said))
            self._on_change()
        return "; ".join(said)

    # --- agents ---

    def lets(self, active: Active) -> bool:
        """Whether a run may start as soon as there is room for it. What a person has set off starts in a pause too."""
        return (active.run.trigger is Trigger.MANUAL or not self.shut) and self.held(active) is None

    def held(self, active: Active) -> Held | None:
        """Give what keeps a run waiting.

        What a person has set off is let through once, for it may well be a test, and waits for its own agent alone.
        """
        now = self._clock.now()
        if active.run.trigger is not Trigger.MANUAL:
            return self.holds.of(active.task, now)
        agent = agent_of(active.task)
        return self.holds.of_agent(agent, now) if agent is not None and active.tried else None

    def in_words(self, held: Held, to: str | None = None) -> str:
        """See Held.in_words."""
        return held.in_words(self._clock.now(), self._zone, to)

    def hold(self, agent: str, lane: str | None, hold: Hold) -> None:
        """An agent has not taken a prompt, which a run in `lane` had for it. One that is gone by now holds nobody."""
        if agent not in self.agents:
            return
        now = self._clock.now()
        held = self.holds.put(agent, lane, hold, now)
        self._in_force = self.holds.current(now)
        self._publish(f"agent {agent} {self.in_words(held)}")
        self._holds_changed()

    def account(self, active: Active, result: Result) -> None:
        """An attempt came to its end: write down what it has cost, and that its agent is well if it is."""
        run, agent, cost, now = active.run, agent_of(active.task), result.cost_usd, self._clock.now()
        if cost is not None and 0 <= cost < math.inf:
            run.cost_usd = round((run.cost_usd or 0.0) + cost, EXACT)
            if agent is not None and cost:
                spent = Spent(now, agent, run.task, cost)
                self.spending.add(agent, run.task, cost, now)
                self._ledger.add_cost(f"{run.run_id} {precise(now)} {active.number}", spent)
        if agent is not None and result.outcome is Outcome.SUCCESS and self.holds.succeeded(agent):
            if any(each.agent == agent for each in self._in_force):
                self._publish(f"agent {agent} takes prompts again")
            self._in_force = self.holds.current(now)
            self._holds_changed()

    def refusal(self, task: TaskConfig) -> str | None:
        """Say why a prompt is not to be paid for today."""
        agent = agent_of(task)
        return None if agent is None else self.spending.refusal(agent, self._clock.now())

    def look_who_is_used(self) -> None:
        """Find out which agents hold lanes though nobody waits for them any more, or does again."""
        if self.holds.use_for(self._tasks()):
            self._on_change()

    def use_changed(self) -> None:
        """Tasks or runs have come or gone: `keep` looks soon who is used now, once for all that come together."""
        if self._in_force:
            self.look_soon()

    # --- inside ---

    def _take_up_holds(self, text: str | None) -> None:
        try:
            self.holds = Holds() if text is None else Holds.from_json(json.loads(text))
        except (ValueError, OverflowError) as error:
            log.warning("which agents were held is unreadable, so all of them are tried: %s", error)
            self.holds = Holds()
        now = self._clock.now()
        self.holds.trim(now)
        self._in_force = self.holds.current(now)

    def _end_holds(self) -> None:
        """Notice which holds have ended, and which would last too long after the clock was set back."""
        now = self._clock.now()
        trimmed = self.holds.trim(now)
        before, self._in_force = self._in_force, self.holds.current(now)
        for agent in _agents(before, but_not=self._in_force):
            self._publish(f"agent {agent} is tried again")
        if trimmed or len(self._in_force) < len(before):
            self._holds_changed()

    def _holds_changed(self) -> None:
        found = self.holds.as_json()
        self._ledger.put_setting(HOLDS, json.dumps(found) if found else None)
        self.look_soon()
        self._on_change()

    def _publish(self, change: str) -> None:
        self._bus.publish(SchedulerChanged(at=self._clock.now(), change=change))


def _agents(those: Iterable[Held], but_not: Iterable[Held] = ()) -> list[str]:
    return sorted({each.agent for each in those} - {each.agent for each in but_not})
