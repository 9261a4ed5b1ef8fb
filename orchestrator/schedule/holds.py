"""PURE. Agents that take no prompts for a while, and the lanes that wait with them: why, and until when."""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final, Self

from orchestrator.config.model import AgentConfig, BuiltinPrompt, Prompt, TaskConfig
from orchestrator.schedule.runs import Hold, HoldKind, precise

FIRST: Final = 60.0  # seconds to the first try where nobody says until when; each further one waits twice as long, …
LONGEST: Final = 3600.0  # … up to this
SOONER: Final = {HoldKind.NETWORK: 900.0, HoldKind.BUSY: 900.0}  # … or this: what mends itself is noticed earlier
LEAST: Final = 1.0  # seconds to the end that an agent names, though it has passed by our clock
FARTHEST: Final = 8 * 86_400.0  # seconds; limits are for a week at most, so whoever names a later end is misread

_Key = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Held:
    """An agent, and the lane of the run that met the trouble. All that may still be waited for is `length` seconds.

    `since`: when the trouble began. `step`: how many tries have met it again since then. `known`: the agent has named
    the end itself. `whose`: what stood behind the agent's name, see `identity`.
    """

    agent: str
    lane: str | None
    kind: HoldKind
    why: str
    until: datetime
    since: datetime
    step: int
    known: bool
    length: float
    whose: str = ""

    def in_words(self, now: datetime, zone: tzinfo, to: str | None = None) -> str:
        """Say to a person in `zone` until when runs wait, and why; for whom, where that is not the agent `to`."""
        until = self.until.astimezone(zone)
        day = "" if until.date() == now.astimezone(zone).date() else f"{until:%Y-%m-%d} "
        whom = "" if to in (None, self.agent) else f" for agent {self.agent}"
        return f"waits until {day}{until:%H:%M}{whom}: {self.why}"

    def as_json(self) -> dict[str, Any]:
        return {
            "agent": self.agent,
            "lane": self.lane,
            "kind": self.kind.value,
            "why": self.why,
            "until": precise(self.until),
            "since": precise(self.since),
            "step": self.step,
            "known": self.known,
            "length": self.length,
            "whose": self.whose,
        }


class Holds:
    """By agent and lane. One that has ended is remembered until a success, for the waits to go on growing.

    `use` says which agents there are, `use_for` what they are there for.
    """

    def __init__(self, those: Iterable[Held] = ()) -> None:
        self._held: dict[_Key, Held] = {(each.agent, each.lane): each for each in those}
        self._agents: dict[str, str] = {}  # by name: what stands behind it
        self._unused: frozenset[str] = frozenset()  # agents whose lanes are free, since nobody waits for them

    def use(self, agents: Mapping[str, AgentConfig]) -> list[Held]:
        """Forget the trouble of agents that are gone, or are others by now under their old names; give what it was."""
        self._agents = {name: identity(agent) for name, agent in agents.items()}
        gone = [each for each in self._held.values() if self._agents.get(each.agent) != each.whose]
        for each in gone:
            del self._held[each.agent, each.lane]
        return gone

    def use_for(self, tasks: Iterable[TaskConfig]) -> bool:
        """Let a lane be free while its holder is an agent of none of `tasks`: nobody is any better for that wait.

        Tell whether others than before are free now.
        """
        unused = {each.agent for each in self._held.values()}
        for task in tasks:
            if not unused:
                break
            unused.discard(agent_of(task) or "")
        before, self._unused = self._unused, frozenset(unused)
        return self._unused != before

    def put(self, agent: str, lane: str | None, hold: Hold, now: datetime) -> Held:
        """Hold an agent and the lane of the run that has found it in trouble.

        A try during a hold, by a person or in another lane, is no reason to wait longer than one after it.
        """
        before = [each for each in self._held.values() if each.agent == agent]
        during = [each for each in before if each.until > now]
        step = max(each.step for each in during) if during else max((each.step + 1 for each in before), default=0)
        named = next((each for each in during if each.known and each.kind is hold.kind), None)
        if hold.until is None and named is not None:
            known, length = True, (named.until - now).total_seconds()
        else:
            known, length = _length(hold, step, now)
        since = min((each.since for each in before), default=now)
        until = now + timedelta(seconds=length)
        if hold.until is not None and known:
            until = max(until, hold.until)  # exactly what was named
        whose = self._agents.get(agent, "")
        held = Held(agent, lane, hold.kind, hold.why, until, min(since, now), step, known, length, whose)
        self._held[agent, lane] = held
        return held

    def of(self, task: TaskConfig, now: datetime) -> Held | None:
        """Give what keeps the task's runs from starting at `now`: what lasts longest of its agent's and its lane's."""
        agent = agent_of(task)
        return _last(
            each
            for each in self.current(now)
            if each.agent == agent
            or (each.lane is not None and each.lane == task.lane and each.agent not in self._unused)
        )

    def of_agent(self, agent: str, now: datetime) -> Held | None:
        """Give what keeps an agent from taking prompts at `now`."""
        return _last(each for each in self.current(now) if each.agent == agent)

    def current(self, now: datetime) -> list[Held]:
        """Give the holds that have not ended at `now`."""
        return [each for each in self._held.values() if each.until > now]

    def succeeded(self, agent: str) -> bool:
        """An agent has taken a prompt: nothing is left of its trouble. False: there was none."""
        mine = [key for key in self._held if key[0] == agent]
        for key in mine:
            del self._held[key]
        return bool(mine)

    def end_all(self, now: datetime) -> list[Held]:
        """Forget all trouble, since a person says so, and give what was in force.

        Known ends too: who has paid for more, or moved to another account, is not to wait for days.
        """
        ended, self._held = self.current(now), {}
        return ended

    def trim(self, now: datetime) -> bool:
        """Let no hold last longer from `now` on than it was to last at all: the clock may have been set back."""
        late = {
            key: replace(each, until=latest)
            for key, each in self._held.items()
            if each.until > (latest := now + timedelta(seconds=max(each.length, LEAST)))
        }
        self._held |= late
        return bool(late)

    def next_end(self, now: datetime) -> datetime | None:
        """Give when the first of the holds in force at `now` ends."""
        return min((each.until for each in self.current(now)), default=None)

    def as_json(self) -> list[dict[str, Any]]:
        return [each.as_json() for each in self._held.values()]

    @classmethod
    def from_json(cls, found: Any) -> Self:
        """Read what `as_json` gave. Raises ValueError where it is something else."""
        if not isinstance(found, list):
            raise ValueError("it is no list")  # noqa: TRY004  one kind of error for whatever is wrong with it
        return cls(_read(each) for each in found)


def identity(agent: AgentConfig) -> str:
    """A short text that differs when somebody else, or the same one by another way, stands behind an agent's name.

    A checksum, for what a person changed by hand.
    """
    told = (agent.kind.value, agent.command, agent.base_url, agent.agent_id, agent.api_key_env)
    return f"{zlib.crc32(repr(told).encode(errors='backslashreplace')):08x}"


def agent_of(task: TaskConfig) -> str | None:
    """Give the name of the agent that the task's prompts go to."""
    return task.action.agent if isinstance(task.action, Prompt | BuiltinPrompt) else None


def _length(hold: Hold, step: int, now: datetime) -> tuple[bool, float]:
    """Whether the end of a hold is known, and the seconds until it is over."""
    if hold.until is None:
        return False, min(SOONER.get(hold.kind, LONGEST), FIRST * 2 ** min(step, 20))
    left = (hold.until - now).total_seconds()
    if left > FARTHEST:
        return False, LONGEST
    if left <= LEAST:  # and it keeps saying so: no reason to ask it every second
        return True, min(LONGEST, LEAST * 2 ** min(step, 20))
    return True, left


def _last(those: Iterable[Held]) -> Held | None:
    return max(those, key=lambda each: each.until, default=None)


def _read(found: Any) -> Held:
    if not isinstance(found, Mapping):
        raise ValueError("a hold is no object")  # noqa: TRY004  as above
    try:
        agent, lane, why, whose = found["agent"], found["lane"], found["why"], found.get("whose", "")
        kind, step, known, length = HoldKind(found["kind"]), found["step"], found["known"], found["length"]
        until, since = (datetime.fromisoformat(found[key]) for key in ("until", "since"))
    except (KeyError, TypeError) as error:
        raise ValueError(f"a hold lacks something: {error!r}") from error
    right = (
        isinstance(agent, str)
        and (lane is None or isinstance(lane, str))
        and isinstance(why, str)
        and isinstance(whose, str)
        and isinstance(step, int)
        and step >= 0
        and isinstance(known, bool)
        and isinstance(length, int | float)
        and 0 <= length <= FARTHEST
        and until.tzinfo is not None
        and since.tzinfo is not None
    )
    if not right:
        raise ValueError(f"the hold of {agent} is none of ours")
    return Held(agent, lane, kind, why, until, since, step, known, float(length), whose)
