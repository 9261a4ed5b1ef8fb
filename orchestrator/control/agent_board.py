"""What is told of agents: whether they take prompts now, why not and until when, and what they have cost."""

import os
from collections.abc import Mapping
from typing import Any, Final

from orchestrator.agents import getting
from orchestrator.clock import Clock, rfc3339
from orchestrator.config.model import AgentConfig, AgentKind, Config, TaskConfig
from orchestrator.events import AgentChanged, Bus, ConfigReloaded, Fact, RunFinished, SchedulerChanged, TaskChanged
from orchestrator.problems import Problems
from orchestrator.processes import programs
from orchestrator.processes.programs import Unlaunchable
from orchestrator.schedule.holds import agent_of
from orchestrator.schedule.runs import HoldKind
from orchestrator.schedule.scheduler import Scheduler
from orchestrator.turns import EndOfTurn

A_PERSONS: Final = frozenset({HoldKind.LOGIN, HoldKind.CREDIT})  # holds that only a person can end
FOUND_OUT_HERE: Final = frozenset({"missing", "spent"})  # of holds the scheduler tells

Told = dict[str, Any]


class AgentBoard:
    """The agents that tasks use or the configuration names. `look` says what has become of them since."""

    def __init__(
        self,
        config: Config,
        scheduler: Scheduler,
        environ: Mapping[str, str],
        *,
        clock: Clock,
        bus: Bus,
        problems: Problems,
    ) -> None:
        self.config = config
        self._scheduler = scheduler
        self._environ = environ
        self._clock = clock
        self._bus = bus
        self._problems = problems
        self._told: dict[str, Told] = {}
        self._soon = EndOfTurn(self._look_again)

    def note(self, fact: Fact) -> None:
        """Something happened; where it may have to do with agents they are looked at soon."""
        if isinstance(fact, ConfigReloaded | SchedulerChanged | TaskChanged) or self._was_a_prompt(fact):
            self._soon.ask()

    def _was_a_prompt(self, fact: Fact) -> bool:
        entry = self._scheduler.entries.get(fact.name) if isinstance(fact, RunFinished) else None
        return entry is not None and agent_of(entry.config) is not None

    def _look_again(self) -> None:
        self.look()

    def look(self) -> list[Told]:
        """Give the contract's objects, and let everybody know of each whose state is another than before."""
        tasks = self._tasks()
        before, self._told = self._told, {}
        for name, agent in self.config.agents.items():
            if name in tasks or agent != AgentConfig(name):  # "claude" is there for whoever uses it
                self._told[name] = self._object(agent)
        for name, told in self._told.items():
            old = before.get(name)
            if _state(told) == _state(old):
                continue
            self._problems.put(f"agent {name}", self._problem(told, tasks.get(name, [])))
            if {told["state"], "ready" if old is None else old["state"]} & FOUND_OUT_HERE:
                self._bus.publish(
                    AgentChanged(at=self._clock.now(), name=name, state=told["state"], reason=told["reason"])
                )
        for name in before.keys() - self._told.keys():
            self._problems.clear(f"agent {name}")
        return list(self._told.values())

    def blocked(self, task: TaskConfig) -> str | None:
        """Say why the task's prompts do not run now, as far as `look` has found."""
        agent = agent_of(task)
        told = None if agent is None else self._told.get(agent)
        if told is not None and told["reason"] is not None:
            return f"agent {agent}: {told['reason']}"
        held = None if agent is None else self._scheduler.holds.of(task, self._clock.now())
        return None if held is None else f"lane {held.lane} waits for agent {held.agent}: {held.why}"

    def _tasks(self) -> dict[str, list[str]]:
        """Give the enabled tasks of each agent that has some."""
        found = dict[str, list[str]]()
        for entry in self._scheduler.entries.values():
            if (agent := agent_of(entry.config)) is not None:
                found.setdefault(agent, []).extend([entry.name] if entry.enabled else [])
        return found

    def _object(self, agent: AgentConfig) -> Told:
        now = self._clock.now()
        today, month = self._scheduler.spending.of_agent(agent.name, now)
        state, reason, since, until = "ready", None, None, None
        held = self._scheduler.holds.of_agent(agent.name, now)
        if (missing := self._missing(agent)) is not None:
            state, reason = "missing", missing
        elif held is not None:
            state, reason, since, until = "held", held.why, rfc3339(held.since), rfc3339(held.until)
        elif (refusal := self._scheduler.spending.refusal(agent.name, now)) is not None:
            state, reason = "spent", refusal
        return {
            "name": agent.name,
            "kind": agent.kind.value,
            "state": state,
            "reason": reason,
            "since": since,
            "until": until,
            "cost_today_usd": round(today, 6),
            "cost_month_usd": round(month, 6),
            "daily_budget_usd": agent.daily_budget_usd,
        }

    def _missing(self, agent: AgentConfig) -> str | None:
        """Say what is missing of an agent that is a program."""
        if agent.kind is AgentKind.LETTA:
            return None
        folder, vault = str(self.config.file.parent), str(self.config.vault)
        try:
            program, _ = programs.find(agent.command, folder, vault, programs.absolute_path(self._environ))
        except Unlaunchable:
            return getting.not_on_path(agent)
        if not os.access(program, os.X_OK):
            return f"{program} does not exist, or is not executable; {getting.how(agent)}"
        return None

    def _problem(self, told: Told, tasks: list[str]) -> str | None:
        held = self._scheduler.holds.of_agent(told["name"], self._clock.now())
        if not tasks or not (told["state"] == "missing" or (held is not None and held.kind in A_PERSONS)):
            return None
        waiting = f"{', '.join(tasks[:5])}{' …' if len(tasks) > 5 else ''}"
        return f"agent {told['name']}: {told['reason']}; it is needed by {waiting}"


def _state(told: Told | None) -> tuple[object, ...]:
    return () if told is None else (told["state"], told["reason"], told["until"])
