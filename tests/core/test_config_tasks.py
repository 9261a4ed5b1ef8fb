"""What the keys of a task mean together."""

from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.actions.names import CHORES, NEEDS_AGENT
from orchestrator.config import schema
from orchestrator.config.check import check
from orchestrator.config.load import load
from orchestrator.config.model import Builtin, BuiltinPrompt, Command, Config, Handler, Prompt, Retry, TaskConfig
from orchestrator.config.tasks import Around, needs_agent, read
from orchestrator.errors import ConfigInvalid
from orchestrator.schedule.when import Calendar, Cron, Every, Hourly, Manual, Once, Schedule, Starting

DO = 'command = ["x"]\n'
EVERY_DAY = frozenset(range(7))


def loaded(folder: Path, text: str) -> Config:
    file = folder / "supervisor.toml"
    file.write_text(text, encoding="utf-8")
    return load(file, environ={})


def task(folder: Path, text: str, rest: str = "") -> TaskConfig:
    return loaded(folder, f"[tasks.a]\n{text}\n{rest}").tasks["a"]


def problems(folder: Path, text: str) -> list[str]:
    """Each as `KEY: what is wrong; what is allowed`, without file and line."""
    with pytest.raises(ConfigInvalid) as caught:
        loaded(folder, text)
    return [problem.removeprefix(f"{folder}/supervisor.toml:").partition(": ")[2] for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", Manual()),
        ('frequency = "manual"', Manual()),
        ('frequency = "once"\nat = "2026-12-24T18:00"', Once((datetime(2026, 12, 24, 18),))),  # noqa: DTZ001  naive it is
        (
            'frequency = "once"\nat = ["2026-12-24T18:00:00Z", 2026-12-25T18:00:00Z]',
            Once((datetime(2026, 12, 24, 18, tzinfo=UTC), datetime(2026, 12, 25, 18, tzinfo=UTC))),
        ),
        ('frequency = "hourly"', Hourly((time(0),))),
        ('frequency = "hourly"\nat = [":45", ":15:30"]', Hourly((time(0, 15, 30), time(0, 45)))),
        ('frequency = "daily"', Calendar((time(0),))),
        ('frequency = "daily"\nat = ["18:00", "08:00:30"]', Calendar((time(8, 0, 30), time(18)))),
        ('frequency = "daily"\nat = 08:00:00', Calendar((time(8),), EVERY_DAY)),
        ('frequency = "weekdays"', Calendar((time(0),), frozenset({0, 1, 2, 3, 4}))),
        ('frequency = "mwf"\nat = "09:30"', Calendar((time(9, 30),), frozenset({0, 2, 4}))),
        ('frequency = "weekly"\ndays = ["sun", "sun", "tue"]', Calendar((time(0),), frozenset({1, 6}))),
        ('frequency = "monthly"', Calendar((time(0),), month_day=1)),
        ('frequency = "monthly"\nday = 31\nat = "08:00"', Calendar((time(8),), month_day=31)),
        ('frequency = "monthly"\nday = "last"', Calendar((time(0),), month_day="last")),
        ('frequency = "every"\nevery = "100ms"', Every(0.1)),
        ('every = "15m"', Every(900.0)),
        ('frequency = "cron"\ncron = "0 9 * * 1-5"', Cron("0 9 * * 1-5")),
        ('cron = "@weekly"', Cron("0 0 * * 0")),
        ('every = "15m"\nstart_at = "2026-12-01T08:00"', Starting(Every(900.0), datetime(2026, 12, 1, 8))),  # noqa: DTZ001  naive it is
        ('every = "15m"\nstart_at = 2026-12-01', Starting(Every(900.0), datetime(2026, 12, 1))),  # noqa: DTZ001  as above
        ('frequency = "daily"\nstart_at = "2026-12-01"', Starting(Calendar((time(0),)), datetime(2026, 12, 1))),  # noqa: DTZ001  as above
        (
            'cron = "@daily"\nstart_at = 2026-12-01T08:00:00Z',
            Starting(Cron("0 0 * * *"), datetime(2026, 12, 1, 8, tzinfo=UTC)),
        ),
        (
            'frequency = "hourly"\nstart_at = 2026-12-01T08:00:00Z',
            Starting(Hourly((time(0),)), datetime(2026, 12, 1, 8, tzinfo=UTC)),
        ),
    ],
)
def test_when(tmp_path: Path, text: str, meant: Schedule) -> None:
    assert task(tmp_path, DO + text).schedule == meant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('frequency = "once"', 'tasks.a.at: is missing; frequency = "once" needs it, like at = "2026-12-24T18:00"'),
        ('frequency = "weekly"', 'tasks.a.days: is missing; frequency = "weekly" needs it, like days = ["mon", "thu"]'),
        ('frequency = "every"', 'tasks.a.every: is missing; frequency = "every" needs it, like every = "15m"'),
        ('frequency = "cron"', 'tasks.a.cron: is missing; frequency = "cron" needs it, like cron = "0 9 * * 1-5"'),
        ('frequency = "weekly"\ndays = []', "tasks.a.days: is an empty list; at least one is needed, of mon tue"),
        (
            'frequency = "daily"\ndays = ["mon"]',
            'tasks.a.days: does not go with frequency = "daily"; it belongs to "weekly"',
        ),
        (
            'frequency = "manual"\nat = "08:00"',
            'tasks.a.at: does not go with frequency = "manual"; it belongs to "once", ',
        ),
        (
            'frequency = "weekdays"\nday = 3',
            'tasks.a.day: does not go with frequency = "weekdays"; it belongs to "month',
        ),
        (
            'frequency = "daily"\nevery = "1s"',
            'tasks.a.every: does not go with frequency = "daily"; it belongs to "every"',
        ),
        (
            'frequency = "daily"\ncron = "@daily"',
            'tasks.a.cron: does not go with frequency = "daily"; it belongs to "cron"',
        ),
        ('cron = "@daily"\nat = "08:00"', 'tasks.a.at: does not go with frequency = "cron"; it belongs to "once", "ho'),
        (
            'cron = "@daily"\nevery = "1s"',
            "tasks.a.cron: stands beside every; one of them says when, take the other out",
        ),
        (
            'at = "08:00"',
            'tasks.a.frequency: is missing; `at` belongs to "once", "hourly", "daily", "weekdays", "mwf", ',
        ),
        (
            'frequency = "once"\nat = "2026-12-24T18:00"\nstart_at = "2026-12-01"',
            'tasks.a.start_at: does not go with frequency = "once"; it belongs to "hourly", "daily", ',
        ),
        (
            'frequency = "manual"\nstart_at = "2026-12-01"',
            'tasks.a.start_at: does not go with frequency = "manual"; it belongs to "hourly", ',
        ),
        ('start_at = "2026-12-01"', 'tasks.a.frequency: is missing; `start_at` belongs to "hourly", "daily", '),
        (
            'every = "1h"\nstart_at = "tomorrow"',
            'tasks.a.start_at: is "tomorrow"; an ISO date-time of the years 1970 to 9000 is needed, like "2026-12-01T',
        ),
        ('days = ["mon"]', 'tasks.a.frequency: is missing; `days` belongs to "weekly": write which'),
        (
            'frequency = "daily"\nat = ["08:00", ":15"]',
            'tasks.a.at: has ":15", minutes past the hour; with frequency = "daily" a time of day is needed',
        ),
        (
            'frequency = "hourly"\nat = "08:00:30"',
            'tasks.a.at: has "08:00:30", a time of day; with frequency = "hourly" minutes past the hour are',
        ),
        (
            'frequency = "monthly"\nat = "2026-12-24T18:00"',
            'tasks.a.at: has "2026-12-24T18:00", a moment; with frequency = "monthly" a time of day is needed',
        ),
        (
            'frequency = "once"\nat = ":15:30"',
            'tasks.a.at: has ":15:30", minutes past the hour; with frequency = "once" an ISO date-time is needed',
        ),
        ('every = "50ms"', 'tasks.a.every: is "50ms", which is too often; at least "100ms" is needed'),
        ('cron = "61 * * * *"', 'tasks.a.cron: has "61" as its minute; allowed: 0 to 59'),
        ('cron = "0 0 30 2 *"', 'tasks.a.cron: is "0 0 30 2 *", which never fires; '),
        ('cron = "* * * *"', 'tasks.a.cron: is "* * * *", which has 4 fields; five are needed'),
        ('frequency = "dayly"\nat = ":15"', 'tasks.a.frequency: is "dayly"; allowed: once, hourly'),
    ],
)
def test_what_is_wrong_with_when(tmp_path: Path, text: str, said: str) -> None:
    (found,) = problems(tmp_path, f"[tasks.a]\n{DO}{text}")
    assert found.startswith(said)


def test_what(tmp_path: Path) -> None:
    text = '[scheduler]\nhandler_packages = ["mine", "their.jobs"]'
    assert task(tmp_path, 'command = ["./x.sh", "$HOME"]').action == Command(("./x.sh", "$HOME"))
    assert task(tmp_path, 'handler = "handlers.daily:run"').action == Handler("handlers.daily", "run", tmp_path)
    assert task(tmp_path, 'handler = "handlers:run"').action == Handler("handlers", "run", tmp_path)
    assert task(tmp_path, 'handler = "mine.daily:run"', text).action == Handler("mine.daily", "run", None)
    assert task(tmp_path, 'handler = "their.jobs:run"', text).action == Handler("their.jobs", "run", None)
    assert task(tmp_path, 'prompt = "hi"').action == Prompt("hi", "claude")
    assert task(tmp_path, 'prompt = "hi"\nagent = "claude"').action == Prompt("hi", "claude")
    letta = '[agents.b]\nkind = "letta"\n'
    assert task(tmp_path, 'prompt = "hi"\nagent = "b"', letta + 'agent_id = "x"').action == Prompt("hi", "b")
    assert task(tmp_path, 'prompt = "hi"\nagent = "b"\nagent_id = "y"', letta).action == Prompt("hi", "b", "y")
    for name in CHORES:
        assert task(tmp_path, f'action = "{name}"').action == Builtin(name)
    for name in NEEDS_AGENT:
        assert task(tmp_path, f'action = "{name}"').action == BuiltinPrompt(name, "claude")


ONE = "exactly one of action, handler, command, prompt is needed"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('description = "x"', f"tasks.a: does nothing; {ONE}"),
        ('prompt = "x"\naction = "iteration"', f"tasks.a.prompt: stands beside action; {ONE}"),
        (
            'prompt = "x"\nhandler = "handlers:x"\ncommand = ["x"]',
            f"tasks.a.command: stands beside handler and prompt; {ONE}",
        ),
        (
            'action = "mroning_triage"',
            'tasks.a.action: is "mroning_triage", which does not come built in; did you mean "mor',
        ),
        (
            'action = "xyz"',
            'tasks.a.action: is "xyz", which does not come built in; there are: daily_rollover, done_archive',
        ),
        (
            'handler = "os.path:join"',
            (
                'tasks.a.handler: is "os.path:join", which may not be called; put it into the folder handlers beside '
                "the configuration file, as handlers.NAME:FUNCTION, or list its installed package: [scheduler] "
                'handler_packages = ["os"]'
            ),
        ),
        ('handler = "minery:run"', 'tasks.a.handler: is "minery:run", which may not be called; '),
        ('handler = "their:run"', 'tasks.a.handler: is "their:run", which may not be called; '),
        ('prompt = "x"\nagent = "claud"', 'tasks.a.agent: is "claud", which is no agent; did you mean "claude"?'),
        ('prompt = "x"\nagent = "xyz"', 'tasks.a.agent: is "xyz", which is no agent; there are: claude, companion'),
        (
            'action = "morning_triage"\nagent = "xyz"',
            'tasks.a.agent: is "xyz", which is no agent; there are: claude, comp',
        ),
        ('prompt = "x"\nagent = "companion"', "tasks.a.agent_id: is missing; give it here or as agent_id of [agents.c"),
        ('prompt = "x"\nagent_id = "y"', 'tasks.a.agent_id: belongs to agents of Letta; "claude" is none, take it out'),
        ('command = ["x"]\nagent_id = "y"', "tasks.a.agent_id: has nothing to be sent; it goes with a prompt"),
        ('command = ["x"]\nagent = "claude"', "tasks.a.agent: has nothing to be sent; it goes with a prompt"),
        ('action = "iteration"\nagent = "claude"', "tasks.a.agent: has nothing to be sent; it goes with a prompt"),
        ('command = "x y"', 'tasks.a.command: is one string; a list of words is needed, no shell reads it: ["x", "y"]'),
    ],
)
def test_what_is_wrong_with_what(tmp_path: Path, text: str, said: str) -> None:
    rest = '[scheduler]\nhandler_packages = ["mine", "their.jobs"]\n[agents.companion]\nkind = "letta"'
    (found,) = problems(tmp_path, f"[tasks.a]\n{text}\n{rest}")
    assert found.startswith(said)


@pytest.mark.parametrize("action", ['prompt = "x"', 'action = "morning_triage"'])
def test_what_needs_an_agent_shares_a_lane(tmp_path: Path, action: str) -> None:
    other = f"[tasks.b]\n{action}\nlane = 'l'\nretry.max = 5"
    config = loaded(tmp_path, f"[tasks.a]\n{action}\n{other}\n[tasks.c]\n{DO}")
    a, b, c = config.tasks.values()
    assert [a.lane, b.lane, c.lane] == ["agent", "l", None]
    assert [a.retry.max, b.retry.max, c.retry.max] == [1, 5, 3]
    assert [needs_agent(each.action) for each in (a, b, c)] == [True, True, False]


def test_retry(tmp_path: Path) -> None:
    assert task(tmp_path, DO + 'retry = { initial = "10m" }').retry == Retry(initial=600.0, max_delay=600.0)
    assert task(tmp_path, DO + 'retry = { max_delay = "100ms" }').retry == Retry(max_delay=0.1)
    assert problems(tmp_path, f'[tasks.a]\n{DO}[tasks.a.retry]\ninitial = "2m"\nmax_delay = 90') == [
        "tasks.a.retry.max_delay: is less than `initial`, 120 s; a duration of at least that is needed"
    ]


def test_patterns(tmp_path: Path) -> None:
    found = task(tmp_path, DO + 'on_change = ["Needs_Action/**/*.md"]\nonly_if_any = ["Logs/*.log"]')
    assert (found.on_change, found.only_if_any) == (("Needs_Action/**/*.md",), ("Logs/*.log",))
    meant = "the vault's own folder is meant"
    allowed = 'a list of patterns is needed: ["Needs_Action/**/*.md"]'
    assert problems(tmp_path, f'[tasks.a]\n{DO}on_change = ["/x", "../y"]\nonly_if_any = ["a", "a//b"]') == [
        f'tasks.a.on_change: item 1 of the list is "/x", which begins with /, where {meant}; {allowed}',
        f'tasks.a.only_if_any: item 2 of the list is "a//b", which has two / in a row; {allowed}',
    ]
    assert problems(tmp_path, f'[tasks.a]\n{DO}on_change = ["Logs/*"]') == [
        'tasks.a.on_change: has "Logs/*"; changes in .aiemp, Dashboard.md and Logs never count, aiemp writes there'
    ]


def test_chains(tmp_path: Path) -> None:
    chain = f'[tasks.c]\n{DO}after = ["a", "b", "a"]\n[tasks.a]\n{DO}[tasks.b]\n{DO}after = ["a"]'
    assert loaded(tmp_path, chain).tasks["c"].after == ("a", "b")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("after = ['a']", "tasks.a.after: names the task itself; name others only"),
        ("after = ['othr']", 'tasks.a.after: names "othr", which is no task; did you mean "other"?'),
        ("after = ['xyz']", 'tasks.a.after: names "xyz", which is no task; there are: other'),
        ("after = ['watch']", 'tasks.a.after: names "watch", which is no task; there are: other'),  # that is a watcher
        ("after = ['other']", "tasks.a.after: is a cycle, a -> other -> a; take one of these dependencies out"),
    ],
)
def test_wrong_chains(tmp_path: Path, text: str, said: str) -> None:
    rest = f'[tasks.other]\n{DO}after = ["a"]\n[watchers.watch]\n{DO}'
    assert problems(tmp_path, f"[tasks.a]\n{DO}{text}\n{rest}") == [said]


def test_a_task_with_problems_can_be_named_all_the_same(tmp_path: Path) -> None:
    assert problems(tmp_path, f'tasks.a = {{ {DO.strip()}, after = ["b", "c"] }}\ntasks.b = {{}}\ntasks.c = 5') == [
        f"tasks.b: does nothing; {ONE}",
        "tasks.c: is 5, not a table; write a table: [tasks.c]",
    ]


def test_names(tmp_path: Path) -> None:
    """A watcher's name may be a task's too; names that are one file on some systems may not."""
    assert loaded(tmp_path, f"[watchers.a]\n{DO}[tasks.a]\n{DO}").tasks.keys() == {"a"}
    assert problems(tmp_path, f"[tasks.a]\n{DO}[tasks.A]\n{DO}") == [
        'tasks.A: differs from the task "a" only in upper and lower case; choose another name'
    ]
    for name in ("all", "watcher", "task"):
        assert problems(tmp_path, f"[tasks.{name}]\n{DO}") == [
            f'tasks.{name}: has the name "{name}", a word of `aiempctl`; choose another name'
        ]


def test_many_wrong_names_are_told_without_comparing_each_with_all(tmp_path: Path) -> None:
    text = "".join(f'[tasks.t{number}]\n{DO}after = ["u{number}"]\n' for number in range(3000))
    found = problems(tmp_path, text)
    assert len(found) == 3000
    assert found[-1].startswith('tasks.t2999.after: names "u2999", which is no task; there are: t0, t1, t2')
    assert found[-1].endswith(", t19 …")


_some = st.sampled_from(
    [
        "daily",
        "once",
        "every",
        "08:00",
        ":15",
        "2026-12-24T18:00",
        "1s",
        "@daily",
        "iteration",
        "claude",
        "b",
        "handlers:x",
    ]
) | st.lists(st.sampled_from(["mon", "b", "x/**", "08:00"]), max_size=2)
_tables: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries({}, optional=dict.fromkeys(schema.TASK.keys, _some))


@given(st.dictionaries(st.sampled_from(["a", "b", "B"]), _tables))
def test_any_tables_become_tasks_or_problems(tables: dict[str, dict[str, Any]]) -> None:
    given_, problems = check(schema.TASKS, tables, ("tasks",))
    found, more = read(given_, tables, Around(Path("/c")))
    assert found.keys() <= tables.keys()
    assert found.keys() == tables.keys() or problems or more
    for problem in more:
        assert problem.path[:2] in {("tasks", name) for name in tables}
        assert "; " in problem.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[agents.a]\nkind = "gpt"', 'agents.a.kind: is "gpt"; allowed: claude, letta, command'),
        ('[agents.a]\nkind = "command"', 'agents.a.command: is missing; kind = "command" needs one'),
        (
            '[agents.a]\nkind = "letta"\ncommand = ["x"]',
            'agents.a.command: does not go with kind = "letta"; it belongs',
        ),
        ('[agents.a]\nbase_url = "http://x"', 'agents.a.base_url: does not go with kind = "claude"; it belongs to "l'),
        (
            '[agents.a]\nkind = "letta"\ndaily_budget_usd = 1',
            'agents.a.daily_budget_usd: does not go with kind = "letta"; it belongs to "claude"',
        ),
        ("[mcp.a]", "mcp.a: is reached by exactly one of command and url"),
        ('[mcp.a]\ncommand = ["x"]\nurl = "http://x"', "mcp.a: is reached by exactly one of command and url"),
        ('[mcp.a]\nurl = "http://x"\nenv = { A = "b" }', "mcp.a.env: does not go with url; take it out"),
        ('[mcp.a]\ncommand = ["x"]\nheaders = { A = "b" }', "mcp.a.headers: does not go with command; take it out"),
    ],
)
def test_what_is_wrong_with_agents_and_servers(tmp_path: Path, text: str, said: str) -> None:
    (found,) = problems(tmp_path, text)
    assert found.startswith(said)
