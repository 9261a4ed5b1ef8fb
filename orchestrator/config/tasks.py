"""PURE. What the values of [tasks.*] mean together: tasks, or a problem for each thing that is wrong."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from orchestrator.actions.names import CHORES, NEEDS_AGENT
from orchestrator.config.agents import DEFAULT
from orchestrator.config.check import Problem, nearest
from orchestrator.config.model import (
    Action,
    AgentConfig,
    AgentKind,
    Builtin,
    BuiltinPrompt,
    Command,
    Handler,
    Prompt,
    Retry,
    TaskConfig,
)
from orchestrator.config.references import check_references, check_twins
from orchestrator.config.schema import DAYS
from orchestrator.config.wording import quoted
from orchestrator.schedule.when import Calendar, Cron, Every, Hourly, Manual, Once, Schedule, Starting
from orchestrator.vault.globs import OURS

AGENT_LANE: Final = "agent"  # that every prompt shares unless it says otherwise
OWN_HANDLERS: Final = "handlers"  # the package beside the configuration file

Said = Mapping[str, Any]

_ACTIONS: Final = ("action", "handler", "command", "prompt")
_ONE_ACTION: Final = f"exactly one of {', '.join(_ACTIONS)} is needed"
# A task's keys that are taken as they are.
_PLAIN: Final = (
    *("description", "on_change", "debounce", "only_if_any", "timeout", "priority", "lane", "overlap", "catch_up"),
    *("max_lateness", "max_runs", "enabled"),
)

# Which keys say when, and the frequencies that each belongs to.
_BY_DAY: Final = ("daily", "weekdays", "mwf", "weekly", "monthly")
_BELONGS: Final = {
    "at": ("once", "hourly", *_BY_DAY),
    "days": ("weekly",),
    "day": ("monthly",),
    "every": ("every",),
    "cron": ("cron",),
    "start_at": ("hourly", *_BY_DAY, "every", "cron"),
}
# What a frequency can't do without.
_NEEDS: Final = {
    "once": ("at", 'at = "2026-12-24T18:00"'),
    "weekly": ("days", 'days = ["mon", "thu"]'),
    "every": ("every", 'every = "15m"'),
    "cron": ("cron", 'cron = "0 9 * * 1-5"'),
}
_WEEKDAYS: Final = {"daily": frozenset(range(7)), "weekdays": frozenset(range(5)), "mwf": frozenset((0, 2, 4))}
_MIDNIGHT: Final = (time(0, 0),)


@dataclass(frozen=True, slots=True)
class Around:
    """What tasks may refer to. `folder`: the configuration file's."""

    folder: Path
    agents: Mapping[str, AgentConfig] = field(default_factory=dict)  # DEFAULT is always one of them
    handler_packages: Collection[str] = ()
    others: Mapping[str, Sequence[str]] | None = None  # tasks defined elsewhere, with their `after`


def read(tasks: Mapping[str, Said], written: object, around: Around) -> tuple[dict[str, TaskConfig], list[Problem]]:
    """The tasks, and all that is wrong with them.

    `tasks` are the values that are right, `written` what the file has under [tasks]: to know what is there, right or
    wrong. A task with a problem may be missing from the result, or be there with a default in place of what is wrong.
    """
    names: Mapping[str, object] = written if isinstance(written, dict) else {}
    others = around.others or {}
    problems = check_twins("tasks", names, others)
    problems += check_references("tasks", "after", tasks, {**names, **others}, others)
    read_tasks = {}
    for name, said in tasks.items():
        table = names.get(name)
        reader = _Reader(name, said, table if isinstance(table, dict) else {}, around)
        action, schedule = reader.action(), reader.schedule()
        reader.check_changes()
        if action is not None and schedule is not None:
            read_tasks[name] = reader.task(action, schedule)
        problems += reader.problems
    return read_tasks, problems


def needs_agent(action: Action) -> bool:
    """Whether it is a prompt to an agent, one's own or one that comes along."""
    return isinstance(action, Prompt | BuiltinPrompt)


class _Reader:
    """One task's values; finds its problems."""

    def __init__(self, name: str, said: Said, written: Mapping[str, object], around: Around) -> None:
        self.problems: list[Problem] = []
        self._name = name
        self._said = said
        self._written = written
        self._around = around

    def _problem(self, key: str | None, text: str) -> None:
        self.problems.append(
            Problem(("tasks", self._name) if key is None else ("tasks", self._name, *key.split(".")), text)
        )

    # --- what it does ---

    def action(self) -> Action | None:
        given = [key for key in _ACTIONS if key in self._written]
        if not given:
            self._problem(None, f"does nothing; {_ONE_ACTION}")
        elif len(given) > 1:
            self._problem(given[1], f"stands beside {_listed(given[:1] + given[2:], 'and')}; {_ONE_ACTION}")
        for_agent = "prompt" in given or self._said.get("action") in NEEDS_AGENT
        for key in ("agent", "agent_id"):
            if key in self._written and given and not for_agent:
                self._problem(key, "has nothing to be sent; it goes with a prompt")
        if len(given) != 1 or given[0] not in self._said:
            return None
        value = self._said[given[0]]
        match given[0]:
            case "action":
                return self._builtin(value)
            case "handler":
                return self._handler(value)
            case "command":
                return Command(value)
            case _:
                return Prompt(value, *self._agent())

    def _builtin(self, name: str) -> Builtin | BuiltinPrompt | None:
        if name in NEEDS_AGENT:
            return BuiltinPrompt(name, *self._agent())
        if name in CHORES:
            return Builtin(name)
        known = sorted(CHORES | NEEDS_AGENT)
        close = nearest(name, known)
        allowed = f"did you mean {quoted(close)}?" if close else f"there are: {', '.join(known)}"
        self._problem("action", f"is {quoted(name)}, which does not come built in; {allowed}")
        return None

    def _handler(self, written: str) -> Handler | None:
        module, _, function = written.partition(":")
        top = module.partition(".")[0]
        if top == OWN_HANDLERS:
            return Handler(module, function, self._around.folder)
        if any(f"{module}.".startswith(f"{package}.") for package in self._around.handler_packages):
            return Handler(module, function, None)
        text = (
            f"is {quoted(written)}, which may not be called; put it into the folder {OWN_HANDLERS} beside the "
            f"configuration file, as {OWN_HANDLERS}.NAME:FUNCTION, or list its installed package: [scheduler] "
            f'handler_packages = ["{top}"]'
        )
        self._problem("handler", text)
        return None

    def _agent(self) -> tuple[str, str | None]:
        """The agent's name, and the id that its Letta server knows it by where the task says that."""
        name: str = self._said.get("agent", DEFAULT)
        agent_id: str | None = self._said.get("agent_id")
        agent = self._around.agents.get(name)
        if agent is None:
            known = list(self._around.agents)
            close = nearest(name, known)
            allowed = f"did you mean {quoted(close)}?" if close else f"there are: {', '.join(known)}"
            self._problem("agent", f"is {quoted(name)}, which is no agent; {allowed}")
        elif agent.kind is AgentKind.LETTA and agent_id is None and agent.agent_id is None:
            text = f'is missing; give it here or as agent_id of [agents.{name}], like agent_id = "agent-…"'
            self._problem("agent_id", text)
        elif agent.kind is not AgentKind.LETTA and agent_id is not None:
            self._problem("agent_id", f"belongs to agents of Letta; {quoted(name)} is none, take it out")
        return name, agent_id

    # --- when ---

    def schedule(self) -> Schedule | None:
        """When it fires; None when something about that is wrong."""
        frequency = self._frequency()
        if frequency is None:
            return None
        problems = len(self.problems)
        for key, frequencies in _BELONGS.items():
            if key in self._written and frequency not in frequencies:
                belongs = _listed([quoted(each) for each in frequencies], "or")
                self._problem(key, f"does not go with frequency = {quoted(frequency)}; it belongs to {belongs}")
        needed, example = _NEEDS.get(frequency, (None, ""))
        if needed is not None and needed not in self._written:
            self._problem(needed, f"is missing; frequency = {quoted(frequency)} needs it, like {example}")
        relevant = [key for key, frequencies in _BELONGS.items() if frequency in frequencies]
        if len(self.problems) > problems or any(key in self._written and key not in self._said for key in relevant):
            return None
        found = self._of(frequency)
        if "start_at" in self._said and isinstance(found, Every | Hourly | Calendar | Cron):
            return Starting(found, self._said["start_at"])
        return found

    def _frequency(self) -> str | None:
        """As written, or what the other keys make it; None when there is no telling."""
        if "frequency" in self._written:
            return self._said.get("frequency")
        given = [key for key in _BELONGS if key in self._written]
        if not given:
            return "manual"
        clear = [key for key in given if key in {"every", "cron"}]
        if not clear:
            possible = _listed([quoted(each) for each in _BELONGS[given[0]]], "or")
            self._problem("frequency", f"is missing; `{given[0]}` belongs to {possible}: write which")
            return None
        if len(clear) > 1:
            self._problem("cron", "stands beside every; one of them says when, take the other out")
            return None
        return clear[0]

    def _of(self, frequency: str) -> Schedule | None:
        said = self._said
        match frequency:
            case "manual":
                return Manual()
            case "every":
                return Every(said["every"])
            case "cron":
                try:
                    return Cron(_checked_cron(said["cron"]))
                except ValueError as error:
                    self._problem("cron", str(error))
                    return None
            case "once":
                moments = self._times(datetime, frequency, 'an ISO date-time is needed, like "2026-12-24T18:00"')
                return None if moments is None else Once(moments)
            case "hourly":
                past = self._times(timedelta, frequency, 'minutes past the hour are needed, like ":15"')
                return None if past is None else Hourly(tuple(sorted(map(_of_hour, past))) or _MIDNIGHT)
            case _:
                clock = self._times(time, frequency, 'a time of day is needed, like "08:00" or "08:00:30"')
                if clock is None:
                    return None
                times = tuple(sorted(clock)) or _MIDNIGHT
                if frequency == "monthly":
                    return Calendar(times, month_day=said.get("day", 1))
                if frequency == "weekly":
                    return self._weekly(times)
                return Calendar(times, _WEEKDAYS[frequency])

    def _weekly(self, times: tuple[time, ...]) -> Calendar | None:
        days = frozenset(DAYS.index(day) for day in self._said["days"])
        if not days:
            self._problem("days", f"is an empty list; at least one is needed, of {' '.join(DAYS)}")
            return None
        return Calendar(times, days)

    def _times(self, kind: type[Any], frequency: str, needed: str) -> tuple[Any, ...] | None:
        """`at`, all of it of this kind; empty when it is not there."""
        for each in self._said.get("at", ()):
            if not isinstance(each, kind):
                self._problem("at", f"has {_shown(each)}; with frequency = {quoted(frequency)} {needed}")
                return None
        return tuple(self._said.get("at", ()))

    def check_changes(self) -> None:
        for pattern in self._said.get("on_change", ()):
            if pattern.partition("/")[0] in OURS:
                where = _listed(sorted(OURS), "and")
                self._problem("on_change", f"has {quoted(pattern)}; changes in {where} never count, aiemp writes there")

    # --- and everything else ---

    def task(self, action: Action, schedule: Schedule) -> TaskConfig:
        said, agent = self._said, needs_agent(action)
        values = {key: said[key] for key in _PLAIN if key in said}
        if agent:
            values = {"lane": AGENT_LANE} | values
        return TaskConfig(
            name=self._name,
            action=action,
            schedule=schedule,
            after=tuple(dict.fromkeys(said.get("after", ()))),
            retry=self._retry(said.get("retry", {}), Retry(max=1) if agent else Retry()),
            **values,
        )

    def _retry(self, said: Said, default: Retry) -> Retry:
        """A first wait beyond the default `max_delay` lifts it: what is written wins over what is not."""
        retry = replace(default, **said)
        if "max_delay" not in said:
            return replace(retry, max_delay=max(retry.max_delay, retry.initial))
        if "initial" in said and retry.max_delay < retry.initial:
            text = f"is less than `initial`, {retry.initial:g} s; a duration of at least that is needed"
            self._problem("retry.max_delay", text)
        return retry


@lru_cache(maxsize=1024)
def _checked_cron(expression: str) -> str:
    """See check_cron: a tenth of a millisecond each. cronsim is loaded only for those who use cron."""
    from orchestrator.schedule.cron import check_cron  # noqa: PLC0415

    return check_cron(expression)


def _of_hour(past: timedelta) -> time:
    seconds = int(past.total_seconds())
    return time(0, seconds // 60, seconds % 60)


def _shown(at: time | timedelta | datetime) -> str:
    """A time as a person would have written it, with its kind."""
    match at:
        case datetime():
            return f"{quoted(at.isoformat(timespec='minutes'))}, a moment"
        case time():
            return f"{quoted(at.isoformat('seconds' if at.second else 'minutes'))}, a time of day"
        case timedelta():
            past = _of_hour(at)
            return f"{quoted(past.isoformat('seconds' if past.second else 'minutes')[2:])}, minutes past the hour"


def _listed(words: Iterable[str], last: str) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, end = words
    return f"{', '.join(most)} {last} {end}" if most else end
