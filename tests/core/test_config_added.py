"""Tasks added at run time: written, read again, edited by hand, broken."""

import os
import stat
import tomllib
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config import added
from orchestrator.config.load import load
from orchestrator.config.model import Command, Config, Handler, Prompt, TaskConfig
from orchestrator.errors import ConfigInvalid, UserError
from orchestrator.schedule.when import Calendar, Cron, Every, Once, Starting

CONFIGURED = """
[scheduler]
handler_packages = ["mine"]
[tasks.configured]
command = ["x"]
[agents.companion]
agent_id = "agent-1"
kind = "letta"
"""
DO: dict[str, Any] = {"command": ["x"]}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    file = tmp_path / "supervisor.toml"
    file.write_text(CONFIGURED)
    return load(file, environ={})


@pytest.fixture
def state(tmp_path: Path) -> str:
    (tmp_path / ".aiemp").mkdir()
    return str(tmp_path / ".aiemp")


def put(state: str, name: str, text: str | bytes) -> str:
    """Write a file as a person would; its path."""
    path = Path(state, "tasks.d", f"{name}.toml")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def table(name: str, rest: str = "") -> str:
    return f'[tasks.{name}]\ncommand = ["x"]\n{rest}\n'


def others(state: str, config: Config) -> dict[str, tuple[str, ...]]:
    return {task.name: task.after for task in added.load_all(state, config).tasks}


def write(state: str, name: str, settings: dict[str, Any], config: Config) -> TaskConfig:
    return added.write(state, name, settings, config, others(state, config))


def refused(state: str, name: str, settings: dict[str, Any], config: Config) -> str:
    """The first problem of settings that are not taken; they must have left nothing."""
    before = added.load_all(state, config)
    with pytest.raises(ConfigInvalid) as caught:
        write(state, name, settings, config)
    assert added.load_all(state, config) == before
    return caught.value.problems[0]


def test_what_is_written_is_loaded(state: str, config: Config) -> None:
    settings = {"cron": "0 9 * * 1-5", "command": ["/r.sh", "a b"], "timeout": "5m", "retry": {"max": 0}}
    written = write(state, "report", settings, config)
    found = added.load_all(state, config)
    (task,) = found.tasks
    assert found.problems == []
    assert (task.name, task.action, task.schedule) == ("report", Command(("/r.sh", "a b")), Cron("0 9 * * 1-5"))
    assert (task.timeout, task.retry.max, task.added) == (300.0, 0, True)
    assert added.settings(state, "report") == settings
    assert written == task


def test_the_file_is_private_and_says_what_it_is(state: str, config: Config) -> None:
    write(state, "report", DO, config)
    path = Path(added.path_of(state, "report"))
    assert path == Path(state, "tasks.d", "report.toml")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    text = path.read_text()
    assert text.startswith("# A task that was added by `aiempctl add`")
    assert tomllib.loads(text) == {"tasks": {"report": DO}}
    assert list(path.parent.iterdir()) == [path]


def test_another_may_take_its_place(state: str, config: Config) -> None:
    write(state, "report", DO, config)
    write(state, "report", {"command": ["y"], "every": "2h"}, config)
    assert [task.action for task in added.load_all(state, config).tasks] == [Command(("y",))]


def test_a_file_made_by_hand_is_private_once_it_is_written(state: str, config: Config) -> None:
    path = Path(put(state, "report", table("report")))
    path.chmod(0o644)
    write(state, "report", DO, config)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("prompt", ["one\ntwo\n", "a\r\nb", '"""', "\\", "\x01", "'''\n\"\"\"\n "])
def test_a_text_comes_back_as_it_was(state: str, config: Config, prompt: str) -> None:
    write(state, "p", {"prompt": prompt, "agent": "companion"}, config)
    (task,) = added.load_all(state, config).tasks
    assert task.action == Prompt(prompt, "companion")
    assert added.settings(state, "p")["prompt"] == prompt


def test_a_handler_lies_beside_the_configuration(state: str, config: Config, tmp_path: Path) -> None:
    write(state, "own", {"handler": "handlers.daily:run"}, config)
    write(state, "theirs", {"handler": "mine.daily:run"}, config)
    own, theirs = added.load_all(state, config).tasks
    assert own.action == Handler("handlers.daily", "run", tmp_path)
    assert theirs.action == Handler("mine.daily", "run", None)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("a", {"command": ["x"], "cron": "61 * * * *"}, 'tasks.a.cron: has "61" as its minute; allowed: 0 to 59'),
        ("a", {"command": ["x"], "evry": "1s"}, "tasks.a.evry: unknown key; did you mean `every`?"),
        ("a", {"every": "1s"}, "tasks.a: does nothing; exactly one of action, handler, command, prompt is needed"),
        ("a", {"prompt": "x", "agent": "b"}, 'tasks.a.agent: is "b", which is no agent; there are: claude, companion'),
        ("a", {"handler": "os:x"}, 'tasks.a.handler: is "os:x", which may not be called; '),
        (
            "a",
            DO | {"after": ["configurd"]},
            'tasks.a.after: names "configurd", which is no task; did you mean "configu',
        ),
        ("a", DO | {"after": ["a"]}, "tasks.a.after: names the task itself; name others only"),
        ("a", DO | {"timeout": None}, "tasks.a.timeout: can't be written as TOML; text, numbers, true, false, "),
        ("a", DO | {"description": "\ud800"}, "tasks.a.description: can't be written as TOML; text, numbers, "),
        ("a", DO | {"retry": {"max": None}}, "tasks.a.retry: can't be written as TOML; text, numbers, true, false, "),
        ("a", {"prompt": "x" * 1024 * 1024}, "tasks.a: would be larger than 1 MiB; "),
        ("configured", DO, "tasks.configured: is a task of "),
        ("Configured", DO, 'tasks.Configured: differs from the task "configured" only in upper and lower case; '),
        ("all", DO, 'tasks.all: has the name "all", a word of `aiempctl`; choose another name'),
        ("../a", DO, 'tasks."../a": has the name "../a"; a name has 1 to 64 of the characters'),
        ("a" * 65, DO, "has a name of 65 characters; "),
    ],
)
def test_what_is_not_taken(state: str, config: Config, name: str, settings: dict[str, Any], said: str) -> None:
    assert said in refused(state, name, settings, config)
    assert not Path(state, "tasks.d").exists()


def test_chains_through_added_tasks(state: str, config: Config) -> None:
    write(state, "a", DO | {"after": ["configured"]}, config)
    write(state, "b", DO | {"after": ["a"]}, config)
    assert [task.after for task in added.load_all(state, config).tasks] == [("configured",), ("a",)]
    said = refused(state, "a", DO | {"after": ["b"]}, config)
    assert said == "tasks.a.after: is a cycle, a -> b -> a; take one of these dependencies out"
    with pytest.raises(UserError, match="b would fire after a no more; remove that first, or change its `after`"):
        added.remove(state, "a", others(state, config))
    added.remove(state, "b", others(state, config))
    added.remove(state, "a", others(state, config))
    assert added.load_all(state, config) == added.Added()


def test_who_knows_the_others_needs_none_of_their_files(
    state: str, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        added.write(state, name, DO, config, {})
    monkeypatch.setattr(added, "_text", None)  # what reads a file
    known = {"configured": (), "a": (), "b": ("a",)}
    assert added.write(state, "b", DO | {"after": ["a", "configured"]}, config, known).after == ("a", "configured")
    with pytest.raises(ConfigInvalid, match="is a cycle, a -> b -> a"):
        added.write(state, "a", DO | {"after": ["b"]}, config, known)
    with pytest.raises(UserError, match="b would fire after a no more"):
        added.remove(state, "a", known)
    added.remove(state, "b", known)
    assert not Path(added.path_of(state, "b")).exists()


def test_remove_and_settings_of_what_is_not_there(state: str) -> None:
    with pytest.raises(UserError, match=r"there is no added task a: .*a\.toml does not exist; see `aiempctl tasks`"):
        added.remove(state, "a", {})
    with pytest.raises(UserError, match="does not exist; see `aiempctl tasks`"):
        added.settings(state, "a")


def test_dates_written_by_hand_are_given_as_text(state: str, config: Config) -> None:
    put(state, "a", '[tasks.a]\ncommand = ["x"]\nfrequency = "once"\nat = [2026-12-24T18:00:00Z]')
    put(state, "b", '[tasks.b]\ncommand = ["x"]\nfrequency = "daily"\nat = 08:00:00')
    put(state, "c", '[tasks.c]\ncommand = ["x"]\nevery = "1h"\nstart_at = 2026-12-24')
    assert added.settings(state, "a")["at"] == ["2026-12-24T18:00:00+00:00"]
    assert added.settings(state, "b")["at"] == "08:00:00"
    assert added.settings(state, "c")["start_at"] == "2026-12-24"
    before = added.load_all(state, config)
    for name in "abc":
        write(state, name, added.settings(state, name), config)
    assert added.load_all(state, config) == before
    once, daily, hourly = before.tasks
    assert daily.schedule == Calendar((time(8),))
    assert once.schedule == Once((datetime(2026, 12, 24, 18, tzinfo=UTC),))
    assert hourly.schedule == Starting(Every(3600.0), datetime(2026, 12, 24))  # noqa: DTZ001  of a zone yet to be named


def test_a_configured_name_wins(state: str, config: Config) -> None:
    path = put(state, "configured", table("configured"))
    said = f"{path}:1: tasks.configured: is a task of {config.file} too, which counts; rename this one and its file"
    assert added.load_all(state, config) == added.Added([], {"configured": said})


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a", table("a", 'cron = "x"'), ':3: tasks.a.cron: is "x", which has 1 field; five are needed'),
        ("a", table("a", "x = 1\ny = 2"), ":3: tasks.a.x: unknown key; did you mean `"),
        ("a", table("b"), ":1: tasks.a: is missing; the table has the name of its file (and 1 more)"),
        ("a", table("a") + table("b"), ':4: tasks.b: is another task; a file has one, which has its name: "a"'),
        ("a", "[supervisor]\n" + table("a"), ":1: supervisor: unknown table; did you mean `"),
        ("a", "", ":1: tasks.a: is missing; the table has the name of its file"),
        ("a", "tasks = 5", ":1: tasks: is 5, not a table; write a table: [tasks] (and 1 more)"),
        ("a", "[tasks.a]\ncommand = x", ":2: tasks.a.command: invalid value (column 11); text needs quotes"),
        ("a", b"\n\xff", ":1: file: is not UTF-8; save it as UTF-8, which TOML demands"),
        ("a", b"#" * (1024 * 1024 + 1), ":1: file: is larger than 1 MiB; is it the right file?"),
        ("all", table("all"), ':1: tasks.all: has the name "all", a word of `aiempctl`; choose another name'),
        ("a b", table('"a b"'), ':1: tasks."a b": has the name "a b"; a name has 1 to 64'),
        ("z", table("z", "after = ['b']"), 'z.after: names "b", which is no task; there are: good, configured'),
        ("Good", table("Good"), None),
    ],
)
def test_what_is_broken_is_told_and_the_others_are_loaded(
    state: str, config: Config, name: str, text: str | bytes, said: str | None
) -> None:
    good = put(state, "good", table("good"))
    path = put(state, name, text)
    if said is None:  # of two names that are one without case, the later one is told
        path, said = good, ':1: tasks.good: differs from the task "Good" only in upper and lower case; choose another'
    found = added.load_all(state, config)
    ((broken, line),) = found.broken.items()
    assert [broken, *(task.name for task in found.tasks)] == (["good", "Good"] if path == good else [name, "good"])
    assert line.startswith(f"{path}:")
    assert said in line
    assert line.isprintable()


def test_a_circle_made_by_hand(state: str, config: Config) -> None:
    put(state, "a", table("a", "after = ['b']"))
    put(state, "b", table("b", "after = ['a']"))
    found = added.load_all(state, config)
    assert [task.name for task in found.tasks] == ["b"]
    assert found.broken["a"].endswith(
        "a.toml:3: tasks.a.after: is a cycle, a -> b -> a; take one of these dependencies out"
    )


def test_one_mistake_does_not_spread(state: str, config: Config) -> None:
    put(state, "a", "broken")
    put(state, "b", table("b", "after = ['a']"))
    found = added.load_all(state, config)
    assert [task.name for task in found.tasks] == ["b"]
    assert list(found.broken) == ["a"]
    added.write(state, "c", DO | {"after": ["a", "b"]}, config, {"b": ("a",)})


def test_what_is_no_file_or_no_task_of_ours(state: str, config: Config) -> None:
    good = put(state, "good", table("good"))
    folder = Path(good).parent
    (folder / "link.toml").symlink_to(good)
    (folder / "dangling.toml").symlink_to("nowhere")
    (folder / "folder.toml").mkdir()
    os.mkfifo(folder / "fifo.toml")
    for other in (".hidden.toml", "notes.md", "good.toml~", ".good.toml.0123.aiemp.tmp"):
        (folder / other).write_text("whatever")
    found = added.load_all(state, config)
    assert [task.name for task in found.tasks] == ["good"]
    assert [line.removeprefix(f"{folder}/") for line in found.broken.values()] == [
        "dangling.toml:1: file: is a symbolic link; put the file itself there",
        "fifo.toml:1: file: is no regular file; remove it, or put one there",
        "folder.toml:1: file: is no regular file; remove it, or put one there",
        "link.toml:1: file: is a symbolic link; put the file itself there",
    ]


def test_no_folder_and_something_else_in_its_place(state: str, config: Config) -> None:
    assert added.load_all(state, config) == added.Added()
    Path(state, "tasks.d").write_text("x")
    found = added.load_all(state, config)
    assert (found.tasks, found.broken, found.problems) == ([], {}, [found.folder])
    assert found.folder is not None
    assert "tasks.d:1: folder: can't be read (Not a directory); " in found.folder
    with pytest.raises(UserError):
        write(state, "a", DO, config)
    with pytest.raises(UserError):
        added.remove(state, "a", {})


def test_one_file_alone(config: Config) -> None:
    task = added.parse("/x/a.toml", table("a", "after = ['b']"), config, {"b": ()})
    assert task == TaskConfig("a", Command(("x",)), after=("b",), added=True)
    with pytest.raises(ConfigInvalid) as caught:
        added.parse("/x/a.toml", table("a", "after = ['b']\nx = 1"), config, {"b": ("a",)})
    assert caught.value.problems == (
        "/x/a.toml:3: tasks.a.after: is a cycle, a -> b -> a; take one of these dependencies out",
        "/x/a.toml:4: tasks.a.x: unknown key; did you mean `max_runs`?",
    )


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(["command", "prompt", "every", "env", "x", "retry", "é"]), _json, max_size=4))
def test_whatever_is_sent_is_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, settings: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "supervisor.toml").write_text("")
    config = load(folder / "supervisor.toml", environ={})
    try:
        write(str(folder), "a", settings, config)
    except ConfigInvalid as invalid:
        problems = invalid.problems
    else:
        found = added.load_all(str(folder), config)
        assert ([task.name for task in found.tasks], found.broken) == (["a"], {})
        assert added.settings(str(folder), "a") == settings
        return
    assert all(line.startswith("tasks.a") and "; " in line for line in problems)
    assert not (folder / "tasks.d").exists()
