"""Which runs may not start just now, and why: the schedule is paused, an agent is held, a budget is spent."""

import json
import logging
import math
from collections.abc import Callable, Mapping
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
    """

    def __init__(
        self, ledger: Ledger, *, clock: Clock, bus: Bus, problems: Problems, on_change: Callable[[], None]
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

    async def keep(self, give_up: Callable[[datetime], float | None]) -> None:
        """Look, for ever. `give_up` ends what has waited for too long, and gives the seconds until there is more."""
        while True:
            self._wake = anyio.Event()
            self.look()
            self._end_holds()
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

    def pause(self, *, paused: bool) -> bool:
        """Start nothing by itself any more, or again, because a person says so. False: that changes nothing.

        Who resumes may have logged in again: what is held until nobody knows when is tried at once.
        """
        self.look()  # who resumes is told at once what else is in the way
        ended = not paused and self.holds.end_unknown(self._clock.now())
        if ended:
            self._in_force = self.holds.current(self._clock.now())
            self._holds_changed()
        if self.paused is not paused:
            self.paused = paused
            self._ledger.put_setting(PAUSED, "yes" if paused else None)
        elif not ended:
            return False
        self._publish("paused" if paused else "resumed")
        self._on_change()
        return True

    # --- agents ---

    def lets(self, active: Active) -> bool:
        """Whether a run may start as soon as there is room for it. What a person has set off starts in a pause too."""
        return (active.run.trigger is Trigger.MANUAL or not self.shut) and self.held(active) is None

    def held(self, active: Active) -> Held | None:
        """Give what keeps a run waiting. What a person has set off is let through once: it may well be a test."""
        if active.run.trigger is Trigger.MANUAL and not active.tried:
            return None
        return self.holds.of(active.task, self._clock.now())

    def in_words(self, held: Held) -> str:
        return held.in_words(self._clock.now(), self._zone)

    def hold(self, agent: str, lane: str | None, hold: Hold) -> None:
        """An agent has not taken a prompt, which a run in `lane` had for it."""
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
        held = {each.agent for each in self._in_force}
        for agent in sorted({each.agent for each in before} - held):
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
