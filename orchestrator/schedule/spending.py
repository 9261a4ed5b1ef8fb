"""PURE. What agents and tasks have cost, today and this month as people's clocks have it, and whose budget is spent."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from orchestrator.config.model import AgentConfig

# Seconds that are summed up together. The days of all zones that are in use begin with one, so that another zone can
# be taken without asking the database again.
SPAN: Final = 900

EXACT: Final = 9  # digits of a dollar; sums of tenths are none otherwise

_Sums = dict[int, float]  # span → US dollars


@dataclass(frozen=True, slots=True)
class Spent:
    """US dollars that a task's prompts have cost through an agent in the span that begins at `at`."""

    at: datetime
    agent: str
    task: str
    cost_usd: float


class Spending:
    """A ledger of this month. `use` says which agents there are and what a day is, before anything is asked."""

    def __init__(self, spent: Iterable[Spent] = ()) -> None:
        self._agents: Mapping[str, AgentConfig] = {}
        self._zone: tzinfo = UTC
        self._by_agent: dict[str, _Sums] = {}
        self._by_task: dict[str, _Sums] = {}
        for each in spent:
            self._enter(each.agent, each.task, each.cost_usd, each.at)

    def use(self, agents: Mapping[str, AgentConfig], zone: tzinfo) -> None:
        self._agents = agents
        self._zone = zone

    def add(self, agent: str, task: str, cost_usd: float, at: datetime) -> None:
        """A prompt has cost that much, and forget what was before the month of `at`."""
        self._enter(agent, task, cost_usd, at)
        begin = _span(self.starts(at)[1])
        for ledger, name in ((self._by_agent, agent), (self._by_task, task)):
            ledger[name] = {span: cost for span, cost in ledger[name].items() if span >= begin}

    def of_agent(self, agent: str, now: datetime) -> tuple[float, float]:
        """Give what an agent has cost today and this month."""
        return self._of(self._by_agent.get(agent, {}), now)

    def of_task(self, task: str, now: datetime) -> tuple[float, float]:
        """Give what a task has cost today and this month."""
        return self._of(self._by_task.get(task, {}), now)

    def left(self, agent: str, now: datetime) -> float | None:
        """Give what is left of an agent's budget for today; None: it has none."""
        budget = self._budget(agent)
        if not budget:
            return None
        return max(0.0, round(budget - self.of_agent(agent, now)[0], EXACT))

    def refusal(self, agent: str, now: datetime) -> str | None:
        """Say why an agent gets no more prompts today, and from when on it does again; None: it does."""
        if self.left(agent, now) != 0.0:
            return None
        spent, budget = _dollars(self.of_agent(agent, now)[0]), _dollars(self._budget(agent))
        tomorrow = now.astimezone(self._zone).date() + timedelta(days=1)
        return f"budget: agent {agent} has spent {spent} of its daily {budget}; prompts run again on {tomorrow}"

    def starts(self, now: datetime) -> tuple[datetime, datetime]:
        """Give when this day and this month began in the zone."""
        today = self._midnight(now)
        return today.astimezone(UTC), today.replace(day=1).astimezone(UTC)

    def _midnight(self, now: datetime) -> datetime:
        return now.astimezone(self._zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)

    def _budget(self, agent: str) -> float:
        found = self._agents.get(agent)
        return 0.0 if found is None else found.daily_budget_usd

    def _enter(self, agent: str, task: str, cost_usd: float, at: datetime) -> None:
        span = _span(at)
        for ledger, name in ((self._by_agent, agent), (self._by_task, task)):
            sums = ledger.setdefault(name, {})
            sums[span] = sums.get(span, 0.0) + cost_usd

    def _of(self, sums: _Sums, now: datetime) -> tuple[float, float]:
        """Give the sums of the day and of the month, up to the day's end: there may be more, by a clock set back."""
        day, month = (_span(each) for each in self.starts(now))
        end = _span(self._midnight(now) + timedelta(days=1))  # on people's clocks: a day may have 23 hours, or 25
        today = math.fsum(cost for span, cost in sums.items() if day <= span < end)
        this_month = math.fsum(cost for span, cost in sums.items() if month <= span < end)
        return round(today, EXACT), round(this_month, EXACT)


def _span(moment: datetime) -> int:
    return math.floor(moment.timestamp()) // SPAN


def _dollars(amount: float) -> str:
    return f"${amount:.4f}" if 0 < amount < 0.01 else f"${amount:.2f}"
