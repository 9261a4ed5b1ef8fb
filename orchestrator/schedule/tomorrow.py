"""PURE. Prompts of a moment that does not come again wait where their agent's budget is spent: until it has another."""

from datetime import datetime, timedelta
from typing import Final

from orchestrator.config.model import TaskConfig
from orchestrator.schedule.holds import Held, agent_of
from orchestrator.schedule.runs import HoldKind, Run, Trigger
from orchestrator.schedule.spending import Spending
from orchestrator.schedule.when import Once

# After a midnight on people's clocks that many hours lie within its day, be that of 23 hours or of 25.
INTO_THE_NEXT: Final = timedelta(hours=36)
OF_ITS_SLOT: Final = frozenset({Trigger.SCHEDULE, Trigger.CATCH_UP, Trigger.RETRY})


def may_wait(run: Run, task: TaskConfig) -> bool:
    """Whether a run waits for another day's budget: skipped, it would be so for good. One that has failed has begun."""
    return isinstance(task.schedule, Once) and run.trigger in OF_ITS_SLOT and not run.attempts


def wait(task: TaskConfig, spending: Spending, now: datetime) -> Held | None:
    """Give what keeps such a run from starting at `now`, until the next midnight on people's clocks."""
    agent = agent_of(task)
    why = None if agent is None else spending.refusal(agent, now)
    if agent is None or why is None:
        return None
    today, _ = spending.starts(now)
    until, _ = spending.starts(today + INTO_THE_NEXT)
    length = (until - now).total_seconds()
    return Held(agent, None, HoldKind.LIMIT, why, until, since=now, step=0, known=True, length=length)
