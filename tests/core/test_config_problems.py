"""Every problem of a supervisor.toml at once, each with its file, line and key."""

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.config import schema
from orchestrator.config.load import load
from orchestrator.errors import ConfigInvalid
from orchestrator.exits import Exit


def problems_of(folder: Path, text: str | bytes) -> list[tuple[int, str, str]]:
    """Line, key and text of every problem, after making sure that each has the contract's shape."""
    file = folder / "supervisor.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    try:
        load(file, environ={})
    except ConfigInvalid as invalid:
        problems = invalid.problems
    else:
        return []
    found = []
    for problem in problems:
        assert problem.isprintable()
        assert problem.startswith(f"{file}:")
        shape = re.fullmatch(
            r'(\d+): ((?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*")(?:\.(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"))*): (.+; .+)',
            problem.removeprefix(f"{file}:"),
        )
        assert shape is not None, problem
        found.append((int(shape[1]), shape[2], shape[3]))
    assert found
    return found


WATCHER = '[watchers.inbox]\ncommand = ["x"]\n'
TASK = '[tasks.a]\ncommand = ["x"]\n'


@pytest.mark.parametrize(
    ("text", "line", "key", "said"),
    [
        # unknown keys and tables
        (WATCHER + "auto_start = true", 3, "watchers.inbox.auto_start", "unknown key; did you mean `autostart`?"),
        (WATCHER + "stop-timeout = 1", 3, "watchers.inbox.stop-timeout", "unknown key; did you mean `stop_timeout`?"),
        (WATCHER + "Restart = 'never'", 3, "watchers.inbox.Restart", "unknown key; did you mean `restart`?"),
        (WATCHER + "max_restarts = 1", 3, "watchers.inbox.max_restarts", "did you mean `crash_loop.max_restarts`?"),
        (WATCHER + "backof = {}", 3, "watchers.inbox.backof", "unknown table; did you mean `backoff`?"),
        (WATCHER + "backoff.maximum = 1", 3, "watchers.inbox.backoff.maximum", "did you mean `max`?"),
        (WATCHER + '"a b" = 1', 3, 'watchers.inbox."a b"', "unknown key; did you mean `"),
        (WATCHER + '"a\\nb" = 1', 3, 'watchers.inbox."a\\nb"', "unknown key; did you mean `"),
        ("\n[watcher.inbox]\ncommand = []", 2, "watcher", "unknown table; did you mean `watchers`?"),
        ("vault = 'v'", 1, "vault", "unknown key; did you mean `supervisor.vault`?"),
        ("[supervisor]\ntime_zone = 'UTC'", 2, "supervisor.time_zone", "did you mean `timezone`?"),
        ("[supervisor.log]\nbackups = 1", 1, "supervisor.log", "unknown table; did you mean `logs`?"),
        ("[watchers.a]\ncommand = ['x']\n[watchers.a.b]", 3, "watchers.a.b", "unknown table; did you mean `"),
        # a table for a value, a value for a table
        ("supervisor = 5", 1, "supervisor", "is 5, not a table; write a table: [supervisor]"),
        ("[supervisor]\nlogs = true", 2, "supervisor.logs", "is true, not a table; write a table: [supervisor.logs]"),
        ("[watchers]\ninbox = ['x']", 2, "watchers.inbox", "is a list, not a table; "),
        (
            "[[watchers.inbox]]\ncommand = ['x']",
            1,
            "watchers.inbox",
            "write it with one pair of brackets: [watchers.inbox]",
        ),
        ("[[supervisor]]", 1, "supervisor", "write it with one pair of brackets: [supervisor]"),
        ("[supervisor.vault]", 1, "supervisor.vault", "is a table, not a string; "),
        (WATCHER + "[watchers.inbox.restart]", 3, "watchers.inbox.restart", "is a table; allowed: always"),
        (WATCHER + "backoff = '1s'", 3, "watchers.inbox.backoff", 'is "1s", not a table; '),
        (WATCHER + "env = ['A=1']", 3, "watchers.inbox.env", "is a list, not a table; "),
        # values
        ("[supervisor]\nvault = '~/v'", 2, "supervisor.vault", "~ is not expanded; write the full path"),
        ("[supervisor]\nvault = ''", 2, "supervisor.vault", "is empty; "),
        (
            "[supervisor]\ntimezone = 'Europe/Berln'",
            2,
            "supervisor.timezone",
            'no time zone here; did you mean "Europe/Berlin"?',
        ),
        ("[supervisor]\ntimezone = 'europe/berlin'", 2, "supervisor.timezone", 'did you mean "Europe/Berlin"?'),
        ("[supervisor]\ntimezone = 'xyzzy'", 2, "supervisor.timezone", 'an IANA name is needed, like "Europe/Berlin"'),
        ("[supervisor]\ntimezone = 1", 2, "supervisor.timezone", "is 1, not a string; "),
        ("[supervisor]\ndry_run = 'true'", 2, "supervisor.dry_run", "without quotes"),
        ("[supervisor]\nshutdown_timeout = '20'", 2, "supervisor.shutdown_timeout", "has no unit; "),
        ("[supervisor]\nlog_level = 'INFO'", 2, "supervisor.log_level", "allowed: debug, info, warning, error"),
        ("[supervisor.logs]\nmax_bytes = 0", 2, "supervisor.logs.max_bytes", "above 0"),
        ("[supervisor.logs]\nbackups = -1", 2, "supervisor.logs.backups", "from 0"),
        ("[supervisor]\ncrash_loop.window = 0", 2, "supervisor.crash_loop.window", "above 0"),
        ("[supervisor.crash_loop]\nmax_restarts = -1", 2, "supervisor.crash_loop.max_restarts", "from 0"),
        (WATCHER + "backoff = { factor = 0.9 }", 3, "watchers.inbox.backoff.factor", "at least 1 is allowed"),
        (
            WATCHER + "[watchers.inbox.backoff]\ninitial = '2m'\nmax = 90",
            5,
            "watchers.inbox.backoff.max",
            "is less than `initial`, 120 s; ",
        ),
        (WATCHER + "ready_timeout = 0", 3, "watchers.inbox.ready_timeout", "above 0"),
        (WATCHER + "enabled = 1", 3, "watchers.inbox.enabled", "true or false"),
        (WATCHER + "directory = '~/x'", 3, "watchers.inbox.directory", "~ is not expanded; "),
        (WATCHER + "env_file = 5", 3, "watchers.inbox.env_file", "is 5, not a string; "),
        (WATCHER + "env = { A = 1 }", 3, "watchers.inbox.env.A", "is a number, not a string; "),
        (WATCHER + "[watchers.inbox.env]\n'A=' = 'x'", 4, 'watchers.inbox.env."A="', "has no = in it"),
        (WATCHER + "required_env = 'TOKEN'", 3, "watchers.inbox.required_env", "not a list; "),
        # commands
        ("\n[watchers.inbox]\nenabled = true", 2, "watchers.inbox.command", "is missing; every watcher needs one"),
        ("[watchers]\ninbox = {}", 2, "watchers.inbox.command", "is missing; "),
        ("[watchers.inbox]\ncommand = 'python -m x'", 2, "watchers.inbox.command", '["python", "-m", "x"]'),
        ("[watchers.inbox]\ncommand = [\n'a',\n5]", 2, "watchers.inbox.command", "item 2 of the list is 5"),
        # names
        ("[watchers.all]\ncommand = ['x']", 1, "watchers.all", "a word of `aiempctl`; choose another name"),
        ("[watchers.'.x']\ncommand = ['x']", 1, 'watchers.".x"', 'has the name ".x"; a name has 1 to 64'),
        ("[watchers.'a/b']\ncommand = ['x']", 1, 'watchers."a/b"', "a name has 1 to 64"),
        ("[watchers.'']\ncommand = ['x']", 1, 'watchers.""', "has an empty name; "),
        (
            WATCHER + "[watchers.Inbox]\ncommand = ['x']",
            3,
            "watchers.Inbox",
            'from the watcher "inbox" only in upper and lower',
        ),
        # dependencies
        (WATCHER + "depends_on = ['inbox']", 3, "watchers.inbox.depends_on", "names the watcher itself; "),
        (
            WATCHER + "depends_on = ['x']",
            3,
            "watchers.inbox.depends_on",
            'names "x", which is no watcher; there is no other',
        ),
        (
            WATCHER + "depends_on = ['othr']\n[watchers.other]\ncommand = ['x']",
            3,
            "watchers.inbox.depends_on",
            'which is no watcher; did you mean "other"?',
        ),
        (
            WATCHER + "depends_on = ['xyz']\n[watchers.b]\ncommand = ['x']",
            3,
            "watchers.inbox.depends_on",
            "which is no watcher; there are: b",
        ),
        (
            WATCHER + "depends_on = ['b']\n[watchers.b]\ncommand = ['x']\ndepends_on = ['inbox']",
            3,
            "watchers.inbox.depends_on",
            "is a cycle, inbox -> b -> inbox; ",
        ),
        # the schedule's and the agents' tables
        ("[scheduler]\nmax_concurrent = 0", 2, "scheduler.max_concurrent", "from 1"),
        ("[scheduler]\nkeep_history = 0", 2, "scheduler.keep_history", "above 0"),
        ("[scheduler]\nhandler_packages = ['a b']", 2, "scheduler.handler_packages", 'item 1 of the list is "a b"; '),
        (TASK + "frequency = 'dayly'", 3, "tasks.a.frequency", "allowed: once, hourly, daily"),
        (TASK + "frequency = 'daily'\nat = '8:00'", 4, "tasks.a.at", 'a time is "08:00"'),
        (TASK + "retry = { max = 'x' }", 3, "tasks.a.retry.max", "a whole number from 0"),
        (TASK + "schedule = 'x'", 3, "tasks.a.schedule", "unknown key; did you mean `"),
        ("[agents.a]\nkind = 'gpt'", 2, "agents.a.kind", "allowed: claude, letta, command"),
        ("[approvals.actions]\nsend = 5", 2, "approvals.actions.send", "a list of words is needed"),
        # no TOML
        (
            "[watchers.inbox]\nrestart = always",
            2,
            "watchers.inbox.restart",
            "invalid value (column 11); text needs quotes",
        ),
        ("[watchers.inbox]\ncommand = ['a'\nenabled = true", 3, "watchers.inbox.command", "a list ends with ]"),
        ("[watchers.inbox]\n# one\n\ncommand = ['a'", 4, "watchers.inbox.command", "unclosed array"),
        ("[a]\nx = '''\n\n\n", 2, "a.x", "a string ends with the quotes it began with"),
        ("[a]\n[b]\n[a]\n", 3, "a", "is there a second time, first in line 1"),
        ("[a]\nx = 1\n\nx = 2\n", 4, "a.x", "is there a second time, first in line 2"),
        ("[watchers.inbox\n", 1, "watchers.inbox", "a table's header is [name]"),
        ("a.b = 'x\n", 1, "a.b", "a string ends with the quotes it began with"),
        ('x = "a\ny = 1', 1, "x", "a string on one line ends with the quotes it began with"),
        ('a = "\\q"', 1, "a", "in single quotes"),
        ("just words", 1, "just", "a key is followed by = and its value"),
        ("= 5", 1, "TOML", "TOML has [table] headers"),
        ("x = " + "[" * 5000, 1, "TOML", "nested too deeply; "),
        ("\nx = " + "1" * 5000, 2, "TOML", "a number is too long; "),
        (b"\n\n# \xff", 3, "file", "is not UTF-8 here; "),
    ],
)
def test_one_problem(tmp_path: Path, text: str | bytes, line: int, key: str, said: str) -> None:
    found = problems_of(tmp_path, text)
    assert [(one[0], one[1]) for one in found] == [(line, key)]
    assert said in found[0][2]


BROKEN = """\
vault = "x"
[supervisor]
timezone = "Europe/Berln"
dry_run = "yes"
shutdown_timeout = "20 parsecs"
logs = { max_bytes = 0, backups = -1 }
crash_loop = 5

[watcher.x]
command = "not looked at: the whole table is unknown"

[watchers.inbox]
comand = ["python"]
restart = "allways"
expected_exit_codes = [0, 256]
start_seconds = -1
stop_signal = "NOPE"
memory_limit = "3 apples"
env = { "A=B" = "x", KEY = 5 }
depends_on = ["other", "inbox", "b"]

[watchers.b]
command = "python -m x"
depends_on = ["c"]
[watchers.c]
command = [
  "",
]
depends_on = ["b"]

[watchers.C]
command = ["x"]
depends_on = ["d"]
[watchers.d]
command = ["x"]
depends_on = ["C"]

[tasks.t]
frequency = "dayly"
prompt = "p"
after = ["u"]
[tasks.u]
command = ["x"]
after = ["t"]
"""


def test_all_problems_at_once_in_the_files_order(tmp_path: Path) -> None:
    found = [(line, key) for line, key, _ in problems_of(tmp_path, BROKEN)]
    assert found == [
        (1, "vault"),
        (3, "supervisor.timezone"),
        (4, "supervisor.dry_run"),
        (5, "supervisor.shutdown_timeout"),
        (6, "supervisor.logs.max_bytes"),
        (6, "supervisor.logs.backups"),
        (7, "supervisor.crash_loop"),
        (9, "watcher"),
        (12, "watchers.inbox.command"),
        (13, "watchers.inbox.comand"),
        (14, "watchers.inbox.restart"),
        (15, "watchers.inbox.expected_exit_codes"),
        (16, "watchers.inbox.start_seconds"),
        (17, "watchers.inbox.stop_signal"),
        (18, "watchers.inbox.memory_limit"),
        (19, 'watchers.inbox.env."A=B"'),
        (19, "watchers.inbox.env.KEY"),
        (20, "watchers.inbox.depends_on"),
        (20, "watchers.inbox.depends_on"),
        (23, "watchers.b.command"),
        (24, "watchers.b.depends_on"),  # the cycle b -> c -> b
        (26, "watchers.c.command"),
        (31, "watchers.C"),
        (33, "watchers.C.depends_on"),  # the cycle C -> d -> C
        (39, "tasks.t.frequency"),
        (41, "tasks.t.after"),  # the cycle t -> u -> t
    ]


def test_the_error_ends_the_program_with_the_configurations_exit_code(tmp_path: Path) -> None:
    file = tmp_path / "supervisor.toml"
    file.write_text(BROKEN)
    with pytest.raises(ConfigInvalid) as caught:
        load(file, environ={})
    assert caught.value.exit_code == Exit.CONFIG
    assert str(caught.value) == "\n".join(caught.value.problems)


def test_the_file_is_named_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "s.toml").write_text("x = 1")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigInvalid) as caught:
        load(Path("s.toml"), environ={})
    assert str(caught.value).startswith("s.toml:1: x: ")


def test_a_broken_line_in_a_large_file_is_explained_soon(tmp_path: Path) -> None:
    text = "".join(f"[tasks.t{number}]\nprompt = 'words'\n" for number in range(20_000)) + "x = '''\n" * 2 + "y"
    assert problems_of(tmp_path, text)[0][0] > 40_000


# Any document: real keys with any values, so that hypothesis gets behind the check of the key names.

_names = st.sampled_from(["inbox", "Inbox", "b", "all", "", ".x", "a b", "é", "x" * 65, "a\nb", '"'])


def _literal(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in value)
            return f'"{escaped}"'
        case list():
            return "[" + ", ".join(_literal(item) for item in value) + "]"
        case dict():
            return "{" + ", ".join(f"{_literal(key)} = {_literal(item)}" for key, item in value.items()) + "}"
        case _:
            return str(value)


_texts = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=6),
    st.sampled_from(
        ["10s", "5 MiB", "0", "TERM", "always", "notify", "inbox", "b", "~/x", "08:00", "daily", "\0", "python"]
    ),
)
_scalars = st.one_of(st.booleans(), st.integers(), st.floats(), st.dates(), _texts)
_any_value = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=2),
    max_leaves=4,
)


def _tables(node: schema.Node) -> st.SearchStrategy[object]:
    """Tables such as the schema has, with any values; now and then something else in their place."""
    match node:
        case schema.Table():
            known = {key: _tables(child) for key, child in node.keys.items()}
            whole: st.SearchStrategy[object] = st.fixed_dictionaries({}, optional={**known, "unknown": _any_value})
            return whole | _any_value
        case schema.Named():
            return st.dictionaries(_names, _tables(node.each), max_size=3)
        case _:
            return _any_value


@given(
    _tables(
        schema.Table({key: schema.FILE.keys[key] for key in ("supervisor", "watchers", "scheduler", "tasks", "agents")})
    )
)
def test_any_document_loads_or_gives_problems(tmp_path_factory: pytest.TempPathFactory, document: object) -> None:
    text = (
        "\n".join(f"{_literal(k)} = {_literal(v)}" for k, v in document.items()) if isinstance(document, dict) else ""
    )
    tomllib.loads(text)
    for line, _, _ in problems_of(tmp_path_factory.getbasetemp(), text):
        assert 1 <= line <= text.count("\n") + 1


@given(st.one_of(st.binary(max_size=60), st.text(max_size=60), st.text("[]{}=.,\"'\\#\nab1 \r\t", max_size=30)))
@example("[" * 3000)
@example("a." * 300 + "a = 1")
@example("x = {a = " * 500)
@example("\ufeff\ufeff")
@example("x = 1_\n")
@example("\r")
@example("x = 1e999999")
@example('"""')
def test_any_text_loads_or_gives_problems(tmp_path_factory: pytest.TempPathFactory, text: str | bytes) -> None:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    problems_of(tmp_path_factory.getbasetemp(), data)


@given(st.integers(0, len(BROKEN)), st.integers(0, 40), st.text("[]{}=.,\"'\\#\nab1 ", max_size=5))
def test_any_edit_of_a_file_loads_or_gives_problems(
    tmp_path_factory: pytest.TempPathFactory, at: int, deleted: int, put: str
) -> None:
    problems_of(tmp_path_factory.getbasetemp(), BROKEN[:at] + put + BROKEN[at + deleted :])
