"""supervisor.toml -> Config."""

import signal
from collections.abc import Callable
from dataclasses import fields
from datetime import time
from pathlib import Path

import pytest

from orchestrator.config import schema
from orchestrator.config.load import load
from orchestrator.config.model import (
    AgentConfig,
    AgentKind,
    Backoff,
    Builtin,
    BuiltinPrompt,
    CatchUp,
    Command,
    Config,
    CrashLoop,
    Handler,
    Launch,
    LogsConfig,
    McpServer,
    Overlap,
    Policy,
    Priority,
    Prompt,
    Ready,
    Restart,
    Retry,
    SchedulerConfig,
    TaskConfig,
    WatcherConfig,
)
from orchestrator.errors import ConfigInvalid
from orchestrator.schedule.when import Calendar, Cron, Every

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        file = tmp_path / "supervisor.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return written


def test_an_empty_file_is_all_defaults(write: Write, tmp_path: Path) -> None:
    assert load(write(""), environ={"TZ": "Asia/Tokyo"}) == Config(
        file=tmp_path / "supervisor.toml",
        vault=tmp_path / "vault",
        timezone="Asia/Tokyo",
        agents={"claude": AgentConfig("claude")},
    )


def test_a_watcher_that_says_only_its_command_is_all_defaults(write: Write, tmp_path: Path) -> None:
    config = load(write('[watchers.inbox]\ncommand = ["python", "-m", "w"]'), environ={})
    launch = Launch(command=("python", "-m", "w"), directory=tmp_path / "vault")
    assert config.watchers == {"inbox": WatcherConfig(name="inbox", launch=launch)}


WHOLE = """
[supervisor]
vault = "my vault"
timezone = "Europe/Berlin"
dry_run = true
shutdown_timeout = "30s"
log_level = "debug"
[supervisor.logs]
max_bytes = "1 MiB"
backups = 0
[supervisor.crash_loop]
max_restarts = 3
window = "1h"

[watchers.zeta]
command = ["prog", "$HOME", "~"]
enabled = false
autostart = false
restart = "on-failure"
expected_exit_codes = [0, 3, 3]
start_seconds = 0
ready = "notify"
ready_timeout = "1m"
watchdog = "20s"
backoff = { initial = 0, factor = 1, max = "5m", reset_after = "10s" }
stop_signal = "INT"
stop_timeout = "500ms"
memory_limit = "300 MiB"
directory = "work"
env = { Z = "~/not expanded", A = "$HOME" }
env_file = ".env"
required_env = ["TOKEN"]
depends_on = ["alpha", "alpha"]
crash_loop = { window = "2h" }

[watchers.alpha]
command = ["prog"]

[scheduler]
max_concurrent = 3
enabled = false
handler_packages = ["mine"]
keep_history = "30d"

[tasks.morning_triage]
description = "Process everything"
frequency = "daily"
at = ["12:00:30", "08:00"]
on_change = ["Needs_Action/**/*.md"]
debounce = "1s"
after = ["other", "other"]
only_if_any = ["Inbox/*"]
command = ["x", "y"]
timeout = "1m"
priority = "high"
lane = "mine"
overlap = "queue"
catch_up = "none"
max_lateness = "1h"
retry = { max = 5, initial = "2s", factor = 3, max_delay = "1m" }
max_runs = 7
enabled = false

[tasks.other]
action = "done_archive"

[tasks.weekly]
frequency = "weekly"
days = ["sun", "mon"]
handler = "handlers.daily:run"

[tasks.last]
frequency = "monthly"
day = "last"
handler = "mine:run"

[tasks.every]
every = "15m"
prompt = "p"
agent = "companion"

[tasks.cron]
cron = "@daily"
action = "morning_triage"

[agents.claude]
kind = "claude"
command = ["claude"]
allowed_tools = ["Read", "Edit"]
permission_mode = "dontAsk"
max_turns = 0
daily_budget_usd = 0

[agents.companion]
kind = "letta"
base_url = "http://localhost:8283"
agent_id = "agent-1"
api_key_env = "LETTA_API_KEY"

[mcp.time]
command = ["mcp-server-time"]
env = { B = "$HOME", A = "1" }

[mcp.search]
url = "https://example.com/mcp"
headers = { Authorization = "Bearer x" }
timeout = "5s"

[mcp.off]
url = "https://example.com/mcp"
enabled = false

[approvals.actions]
send = ["send-mail"]
post = "linkedin_post"
"""


AGENTS = {
    "claude": AgentConfig("claude", allowed_tools=("Read", "Edit")),
    "companion": AgentConfig(
        "companion", AgentKind.LETTA, base_url="http://localhost:8283", agent_id="agent-1", api_key_env="LETTA_API_KEY"
    ),
}
SERVERS = {
    "time": McpServer("time", ("mcp-server-time",), env=(("A", "1"), ("B", "$HOME"))),
    "search": McpServer("search", url="https://example.com/mcp", headers=(("Authorization", "Bearer x"),), timeout=5.0),
}


def test_every_key_of_the_contract_is_taken(write: Write, tmp_path: Path) -> None:
    config = load(write(WHOLE), environ={})
    assert config == Config(
        file=tmp_path / "supervisor.toml",
        vault=tmp_path / "my vault",
        timezone="Europe/Berlin",
        dry_run=True,
        shutdown_timeout=30.0,
        log_level="debug",
        logs=LogsConfig(max_bytes=1024 * 1024, backups=0),
        scheduler=SchedulerConfig(
            max_concurrent=3, enabled=False, handler_packages=("mine",), keep_history=30 * 86_400.0
        ),
        tasks={
            "morning_triage": TaskConfig(
                name="morning_triage",
                description="Process everything",
                schedule=Calendar((time(8), time(12, 0, 30))),
                on_change=("Needs_Action/**/*.md",),
                debounce=1.0,
                after=("other",),
                only_if_any=("Inbox/*",),
                action=Command(("x", "y")),
                timeout=60.0,
                priority=Priority.HIGH,
                lane="mine",
                overlap=Overlap.QUEUE,
                catch_up=CatchUp.NONE,
                max_lateness=3600.0,
                retry=Retry(max=5, initial=2.0, factor=3.0, max_delay=60.0),
                max_runs=7,
                enabled=False,
            ),
            "other": TaskConfig("other", Builtin("done_archive")),
            "weekly": TaskConfig(
                "weekly", Handler("handlers.daily", "run", tmp_path), Calendar((time(0),), frozenset({0, 6}))
            ),
            "last": TaskConfig("last", Handler("mine", "run", None), Calendar((time(0),), month_day="last")),
            "every": TaskConfig("every", Prompt("p", "companion"), Every(900.0), lane="agent", retry=Retry(max=1)),
            "cron": TaskConfig(
                "cron",
                BuiltinPrompt("morning_triage", "claude"),
                Cron("0 0 * * *"),
                lane="agent",
                retry=Retry(max=1),
            ),
        },
        agents=AGENTS,
        mcp=SERVERS,
        watchers={
            "zeta": WatcherConfig(
                name="zeta",
                launch=Launch(
                    command=("prog", "$HOME", "~"),
                    directory=tmp_path / "work",
                    env=(("A", "$HOME"), ("Z", "~/not expanded")),
                    env_file=tmp_path / ".env",
                    memory_limit=300 * 1024 * 1024,
                ),
                policy=Policy(
                    restart=Restart.ON_FAILURE,
                    expected_exit_codes=frozenset({0, 3}),
                    start_seconds=0.0,
                    ready=Ready.NOTIFY,
                    ready_timeout=60.0,
                    watchdog=20.0,
                    backoff=Backoff(initial=0.0, factor=1.0, max=300.0, reset_after=10.0),
                    crash_loop=CrashLoop(max_restarts=3, window=7200.0),
                    stop_signal=signal.SIGINT,
                    stop_timeout=0.5,
                ),
                enabled=False,
                autostart=False,
                required_env=("TOKEN",),
                depends_on=("alpha",),
            ),
            "alpha": WatcherConfig(
                name="alpha",
                launch=Launch(command=("prog",), directory=tmp_path / "my vault"),
                policy=Policy(crash_loop=CrashLoop(max_restarts=3, window=3600.0)),
            ),
        },
    )
    assert list(config.watchers) == ["zeta", "alpha"]  # the file's order
    assert list(config.tasks) == ["morning_triage", "other", "weekly", "last", "every", "cron"]


def test_the_schema_and_the_model_have_the_same_keys() -> None:
    def names(*records: type) -> set[str]:
        return {field.name for record in records for field in fields(record)}

    watcher = names(WatcherConfig, Launch, Policy) - {"name", "launch", "policy"}
    assert set(schema.WATCHER.keys) == watcher
    assert set(schema.BACKOFF.keys) == names(Backoff)
    assert set(schema.CRASH_LOOP.keys) == names(CrashLoop)
    settings = names(Config) - {"file", "watchers", "scheduler", "tasks", "agents", "mcp"}
    assert set(schema.SUPERVISOR.keys) == settings | {"crash_loop"}
    assert set(schema.SCHEDULER.keys) == names(SchedulerConfig)
    assert set(schema.RETRY.keys) == names(Retry)
    when = {"frequency", "at", "days", "day", "every", "cron", "start_at"}
    what = {"handler", "command", "prompt", "agent", "agent_id"}
    assert set(schema.TASK.keys) - when - what == names(TaskConfig) - {"name", "schedule", "added"}


@pytest.mark.parametrize(
    ("in_file", "environ", "argument", "expected"),
    [
        (None, None, None, False),
        ("true", None, None, True),
        ("true", "false", None, False),
        ("false", "true", None, True),
        (None, "TRUE", None, True),
        (None, "1", None, True),
        ("true", "0", None, False),
        ("true", "true", False, False),
        ("false", "false", True, True),
        ("false", "nonsense", True, True),  # --dry-run settles it
    ],
)
def test_dry_run_argument_before_environment_before_file(
    write: Write,
    in_file: str | None,
    environ: str | None,
    argument: bool | None,  # noqa: FBT001  a table's column
    expected: bool,  # noqa: FBT001  a table's column
) -> None:
    text = f"[supervisor]\ndry_run = {in_file}" if in_file else ""
    surroundings = {} if environ is None else {"DRY_RUN": environ}
    assert load(write(text), environ=surroundings, dry_run=argument).dry_run is expected


@pytest.mark.parametrize("said", ["maybe", "yes", "2", " true"])
def test_any_other_dry_run_is_refused(write: Write, said: str) -> None:
    file = write("[supervisor]\n\ndry_run = false")
    with pytest.raises(ConfigInvalid) as caught:
        load(file, environ={"DRY_RUN": said})
    (problem,) = caught.value.problems
    assert problem.startswith(f'{file}:3: supervisor.dry_run: the environment\'s DRY_RUN is "{said}"; true or false')


def test_the_vault_argument_wins_and_is_every_watchers_directory(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write('[supervisor]\nvault = "/elsewhere"\n[watchers.a]\ncommand = ["x"]\nenv_file = "e"')
    monkeypatch.chdir(tmp_path)
    config = load(file, environ={}, vault=Path("other"))
    assert config.vault == tmp_path / "other"
    assert config.watchers["a"].launch.directory == tmp_path / "other"
    assert config.watchers["a"].launch.env_file == tmp_path / "e"


def test_paths_are_relative_to_the_file_not_to_the_working_folder(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write('[supervisor]\nvault = "./v"\n[watchers.a]\ncommand = ["x"]\ndirectory = "."')
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    config = load(Path("../supervisor.toml"), environ={})
    assert config.file == tmp_path / "supervisor.toml"
    assert config.vault == tmp_path / "v"
    assert config.watchers["a"].launch.directory == tmp_path


def test_a_first_wait_beyond_the_default_maximum_lifts_it(write: Write) -> None:
    config = load(write('[watchers.a]\ncommand = ["x"]\nbackoff = { initial = "2m" }'), environ={})
    assert config.watchers["a"].policy.backoff == Backoff(initial=120.0, max=120.0)


def test_edge_values_that_make_sense(write: Write) -> None:
    text = """
    [supervisor]
    shutdown_timeout = 0
    [watchers.a]
    command = ["x"]
    expected_exit_codes = []
    crash_loop.max_restarts = 0
    stop_timeout = 0
    backoff.max = 0
    backoff.initial = 0
    depends_on = []
    """
    policy = load(write(text), environ={}).watchers["a"].policy
    assert policy.crash_loop == CrashLoop(max_restarts=0)
    assert policy.expected_exit_codes == frozenset()
    assert policy.backoff == Backoff(initial=0.0, max=0.0)


def test_the_same_file_gives_an_equal_configuration(write: Write) -> None:
    file = write(WHOLE)
    assert load(file, environ={}) == load(file, environ={})


def test_a_configuration_can_be_compared_by_what_restarts_a_watcher(write: Write) -> None:
    before = load(write('[watchers.a]\ncommand = ["x"]\nenv = { A = "1", B = "2" }'), environ={}).watchers["a"]
    after = load(
        write('[watchers.a]\ncommand = ["x"]\nstop_timeout = 1\n[watchers.a.env]\nB = "2"\nA = "1"'), environ={}
    ).watchers["a"]
    assert before.launch == after.launch
    assert hash(before.launch) == hash(after.launch)
    assert before.policy != after.policy
