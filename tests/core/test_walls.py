"""The design's walls, read out of the source: who may import whom, who reads a clock, who catches everything."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for package in ("orchestrator", "watchers")
    for path in sorted((ROOT / package).rglob("*.py"))
}

# Where decisions are made: values in, values out.
PURE = {
    *(
        f"orchestrator/supervise/{name}.py"
        for name in ["lifecycle", "states", "crashloop", "verdict", "changes", "order"]
    ),
    *(f"orchestrator/vault/{name}.py" for name in ["dashboard", "health"]),
    "orchestrator/logs/rotation.py",
    *(
        f"orchestrator/config/{name}.py"
        for name in ["locate", "syntax", "values", "model", "schema", "check", "wording"]
    ),
    "orchestrator/control/protocol.py",
    "orchestrator/store/schema.py",
    "orchestrator/processes/death.py",
    "orchestrator/events.py",
    "orchestrator/errors.py",
    "orchestrator/exits.py",
    "watchers/items.py",
    "watchers/settling.py",
    # and whoever says so in the first word of its docstring
    *(path for path, tree in SOURCES.items() if (ast.get_docstring(tree) or "").startswith("PURE")),
}
OUTSIDE_WORLD = {
    *(
        [
            "anyio",
            "asyncio",
            "concurrent",
            "fcntl",
            "fnmatch",
            "glob",
            "http",
            "httpx2",
            "importlib",
            "io",
            "multiprocessing",
            "os",
            "psutil",
            "random",
            "secrets",
            "select",
        ]
    ),
    *(
        [
            "selectors",
            "shutil",
            "signal",
            "socket",
            "sqlite3",
            "ssl",
            "subprocess",
            "sys",
            "tempfile",
            "threading",
            "time",
            "urllib",
            "watchfiles",
        ]
    ),
}
# What of the outside world these pure files may name, and why.
NAMES_ONLY = {
    "orchestrator/config/values.py": {"signal"},  # the signals' names and numbers
    "watchers/items.py": {"urllib"},  # urllib.parse quotes text, nothing more
}
# A `Path` in a pure file is a value in a record; these methods would touch the disk.
DISK = {
    "open",
    "read_text",
    "read_bytes",
    "write_text",
    "write_bytes",
    "exists",
    "is_file",
    "is_dir",
    "is_symlink",
    "stat",
    "lstat",
    "mkdir",
    "rmdir",
    "unlink",
    "rename",
    "replace_file",
    "touch",
    "iterdir",
    "glob",
    "rglob",
    "resolve",
    "expanduser",
    "cwd",
    "home",
    "chmod",
    "readlink",
    "symlink_to",
}

CLOCKS = {
    "time": {
        "time",
        "time_ns",
        "monotonic",
        "monotonic_ns",
        "perf_counter",
        "perf_counter_ns",
        "clock_gettime",
        "sleep",
        "localtime",
    },
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}
# Who reads a clock beside clock.py, and why.
READS_A_CLOCK = {
    "orchestrator/clock.py": "it is the clock",
    "orchestrator/agents/letta_http.py": "the child that sends to Letta: a program of its own",
    "orchestrator/logs/capture.py": "a thread of its own, which no manual clock can drive; pauses after disk trouble",
    "orchestrator/logs/follow.py": "`aiempctl tail`: a program of its own",
    "orchestrator/control/client.py": "`aiempctl`: a program of its own",
    "orchestrator/cli/add.py": "`aiempctl`: a program of its own",
    "orchestrator/cli/shutdown.py": "`aiempctl`: a program of its own",
    "orchestrator/cli/status.py": "`aiempctl`: a program of its own",
    "orchestrator/cli/status_rich.py": "`aiempctl`: a program of its own",
    "orchestrator/cli/tasks.py": "`aiempctl`: a program of its own",
    "orchestrator/mcp/deadline.py": "the check of an MCP server: a program of its own",
    "watchers/kit.py": "watchers are programs of their own",
    "watchers/notify.py": "watchers are programs of their own",
    "watchers/filesystem.py": "watchers are programs of their own",
}

# Who may catch whatever comes, and why. Elsewhere errors reach the task group.
BOUNDARIES = {
    "orchestrator/actions/handler_child.py": "whatever a handler raises is a failed attempt",
    "orchestrator/doctor/examination.py": "a check's failure is a finding, and must not take the others down",
    "orchestrator/foreground.py": "unwraps what task groups wrap; all but a person's mistakes goes on",
    "orchestrator/journal.py": "logging's own boundary",
    "orchestrator/schedule/dispatcher.py": "a bug around one run must not reach the others or the watchers",
    "orchestrator/schedule/runner.py": "a bug around one action must not reach other runs or the watchers",
    "orchestrator/events.py": "one listener's bug must not reach the others",
    "orchestrator/control/server.py": "a bug in one command must not end the daemon",
    "orchestrator/logs/capture.py": "the thread's end, and the listener on the other side",
    "orchestrator/logs/daemon.py": "logging's own boundary",
    "orchestrator/store/database.py": "the thread's end: raised again in the event loop",
}


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports would climb over the walls unseen"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def reaches(path: str, package: str) -> list[str]:
    return [name for name in imported(SOURCES[path]) if name == package or name.startswith(f"{package}.")]


def in_folder(folder: str) -> list[str]:
    return [path for path in SOURCES if path.startswith(f"{folder}/")]


def clock_readings(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in CLOCKS.get(_last_name(node.value), ()):
            found.add(f"{_last_name(node.value)}.{node.attr}")
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            found |= {f"time.{alias.name}" for alias in node.names}
    return found


def _last_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def catches_everything(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    broad = {"Exception", "BaseException", "BaseExceptionGroup", "ExceptionGroup"}
    if not any(each is None or _last_name(each) in broad for each in caught):
        return False
    # What is raised again at the end of the block was not caught, only cleaned up after.
    return not (isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None)


def test_the_lists_name_files_that_exist() -> None:
    named = PURE | NAMES_ONLY.keys() | READS_A_CLOCK.keys() | BOUNDARIES.keys()
    assert named <= SOURCES.keys()


@pytest.mark.parametrize("path", sorted(PURE))
def test_pure_files_touch_nothing(path: str) -> None:
    tree = SOURCES[path]
    outside = {name.split(".")[0] for name in imported(tree)} & OUTSIDE_WORLD
    assert outside <= NAMES_ONLY.get(path, set())
    assert not clock_readings(tree)
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not {func.id for func in called if isinstance(func, ast.Name)} & {"open", "print", "input"}
    if "pathlib" in set(imported(tree)):
        assert not {func.attr for func in called if isinstance(func, ast.Attribute)} & DISK


LEAN_ON_PURE = ("/supervise/", "/vault/", "/agents/")


@pytest.mark.parametrize("path", sorted(path for path in PURE if any(each in path for each in LEAN_ON_PURE)))
def test_pure_files_lean_on_pure_files_only(path: str) -> None:
    plain = {"orchestrator/clock.py"}  # health.py writes times with rfc3339(), which reads none
    for name in imported(SOURCES[path]):
        file = f"{name.replace('.', '/')}.py"
        assert file not in SOURCES or file in PURE | plain


@pytest.mark.parametrize(
    ("folder", "never"),
    [
        ("orchestrator/supervise", "orchestrator.schedule"),
        ("orchestrator/schedule", "orchestrator.supervise"),
        ("orchestrator/processes", "orchestrator.supervise"),
        ("orchestrator/processes", "orchestrator.schedule"),
        ("orchestrator/actions", "orchestrator.supervise"),
        ("orchestrator", "watchers"),
        ("watchers", "orchestrator"),
        ("orchestrator/supervise", "orchestrator.control"),
        ("orchestrator/supervise", "orchestrator.vault"),
        ("orchestrator/supervise", "orchestrator.store"),
        ("orchestrator/supervise", "orchestrator.cli"),
        ("orchestrator/supervise", "orchestrator.actions"),
        ("orchestrator/supervise", "orchestrator.agents"),
        ("orchestrator/supervise", "orchestrator.mcp"),
        ("orchestrator/schedule", "orchestrator.actions"),
        ("orchestrator/schedule", "orchestrator.agents"),
        ("orchestrator/agents", "orchestrator.schedule.scheduler"),
        ("orchestrator/agents", "orchestrator.actions"),
        ("orchestrator/mcp", "orchestrator.actions"),
        ("orchestrator/mcp", "orchestrator.schedule"),
        ("orchestrator/processes", "orchestrator.actions"),
        ("orchestrator/vault", "orchestrator.supervise"),
        ("orchestrator/logs", "orchestrator.supervise"),
    ],
)
def test_these_never_import_each_other(folder: str, never: str) -> None:
    assert {path: names for path in in_folder(folder) if (names := reaches(path, never))} == {}


def test_actions_know_only_the_words_of_a_run_from_the_schedule() -> None:
    found = {name for path in in_folder("orchestrator/actions") for name in reaches(path, "orchestrator.schedule")}
    assert all(name.startswith("orchestrator.schedule.runs") for name in found)


@pytest.mark.parametrize(
    ("package", "users"),
    [
        ("orchestrator.doctor", {"orchestrator/cli/doctor.py"}),
        ("orchestrator.mcp", {"orchestrator/app.py", "orchestrator/doctor/servers.py"}),
        # One for each thing that is said over HTTP, and neither is in the daemon.
        ("httpx2", {"orchestrator/outbound.py", "orchestrator/agents/letta_http.py", "orchestrator/mcp/remote.py"}),
        (
            "orchestrator.outbound",
            {f"orchestrator/{each}.py" for each in ("agents/letta_http", "agents/letta_reach", "mcp/remote")},
        ),
        ("orchestrator.agents.letta_http", {"orchestrator/agents/letta_child.py"}),
        ("orchestrator.mcp.remote", {"orchestrator/mcp/check.py"}),
    ],
)
def test_only_these_use(package: str, users: set[str]) -> None:
    inside = package.replace(".", "/") + "/"
    assert {path for path in SOURCES if not path.startswith(inside) and reaches(path, package)} <= users


def test_only_clock_py_reads_clocks() -> None:
    found = {path for path, tree in SOURCES.items() if clock_readings(tree)}
    assert found <= READS_A_CLOCK.keys()
    assert READS_A_CLOCK.keys() <= found, "these no longer do: take them off the list"


def test_only_the_composition_root_knows_all_parts() -> None:
    parts = [f"orchestrator.{part}" for part in ("supervise", "control", "store", "vault", "logs", "config")]
    knows = {path for path in SOURCES if all(reaches(path, part) for part in parts)}
    assert knows == {"orchestrator/app.py"}
    users = {path for path in SOURCES if reaches(path, "orchestrator.app")}
    assert users == {"orchestrator/foreground.py"}


def test_only_named_boundaries_catch_whatever_comes() -> None:
    found = {
        path
        for path, tree in SOURCES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and catches_everything(node)
    }
    assert found == BOUNDARIES.keys()


def test_aiempctl_imports_little() -> None:
    heavy = {"anyio", "asyncio", "psutil", "dataclasses", "pathlib", "sqlite3", "watchfiles"}
    tree = SOURCES["orchestrator/cli/aiempctl.py"]
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not {name.split(".")[0] for node in top for name in imported(node)} & heavy
