"""Handlers for real: what they are given, what counts as their result, and that nothing they do goes further."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from acting import SLOT, dry, gone, new_run, stage
from spawning import until

from orchestrator.config.model import Handler
from orchestrator.processes.printed import OUTPUT_MAX
from orchestrator.schedule.runs import Outcome, Result

SUCCESS, FAILURE = Outcome.SUCCESS, Outcome.FAILURE
WELL = 'return {"status": "success", "output": "well", "error": None}'


def function(*lines: str, head: str = "def run(context):") -> str:
    return "\n    ".join([head, *lines])


# --- what it is given ---


async def test_its_context(tmp_path: Path) -> None:
    source = function(
        "import os, sys",
        'return {"status": "success", "output": [context, os.getcwd(), sys.stdin.read(), os.environ["AIEMP_RUN"]]}',
    )
    async with stage(tmp_path) as here:
        run = replace(new_run(), slot=SLOT.replace(microsecond=250_000), attempts=3)
        result = await here.handle(source, dry(run))
        assert result.error is None
        assert json.loads(result.output) == [
            {
                "task_id": "t",
                "run_id": "r1",
                "scheduled_time": "2026-11-20T23:30:00.25Z",
                "attempt": 3,
                "vault": str(here.vault),
                "dry_run": True,
            },
            str(here.vault),
            "",
            "r1",
        ]
        assert json.loads((await here.handle(source)).output)[0]["scheduled_time"] == "2026-11-20T23:30:00Z"


async def test_a_process_of_its_own_that_passes_no_descriptor_on(tmp_path: Path) -> None:
    source = function(
        "import os, subprocess",
        'fds = subprocess.run(["ls", "/dev/fd"], close_fds=False, capture_output=True, text=True).stdout.split()',
        'return {"status": "success", "output": [os.getpid(), os.getpgrp(), os.getsid(0), fds]}',
    )
    async with stage(tmp_path) as here:
        pid, group, session, descriptors = json.loads((await here.handle(source)).output)
        assert pid == group == session != os.getpid()
        assert {"0", "1", "2"} <= set(descriptors)
        assert len(descriptors) <= 4  # one is that of `ls` itself


# --- what counts ---


@pytest.mark.parametrize(
    ("source", "result"),
    [
        (function(WELL), Result(SUCCESS, "well")),
        (function(WELL, head="async def run(context):"), Result(SUCCESS, "well")),
        (
            function("import asyncio", "await asyncio.sleep(0)", WELL, head="async def run(context):"),
            Result(SUCCESS, "well"),
        ),
        (f"class Run:\n  def __call__(self, context): {WELL}\nrun = Run()", Result(SUCCESS, "well")),
        (function('print("one")', 'return {"status": "success"}'), Result(SUCCESS, "one\n")),
        (function('print("one")', 'return {"status": "success", "output": ""}'), Result(SUCCESS, "")),
        (function('print("one")', WELL), Result(SUCCESS, "well")),
        (function('return {"status": "success", "output": {"ä": [1, None]}}'), Result(SUCCESS, '{"ä": [1, null]}')),
        (
            function("import pathlib", 'return {"status": "success", "output": [pathlib.Path("/a")]}'),
            Result(SUCCESS, '["/a"]'),
        ),
        (function('return {"status": "success", "output": "grün € 😀 \\ud800"}'), Result(SUCCESS, "grün € 😀 ?")),
        (
            function('return {"status": "failure", "output": "half", "error": "no disk"}'),
            Result(FAILURE, "half", "no disk"),
        ),
        (
            function('return {"status": "failure"}'),
            Result(FAILURE, "", "the handler returned a failure without an error"),
        ),
        (function('return {"status": "failure", "error": {"code": 7}}'), Result(FAILURE, "", '{"code": 7}')),
        # what prints wherever it can disturbs nothing
        (
            function("import os", 'os.write(1, b"{}")', 'os.write(2, b"{}")', "print('{\"outcome\": 1}')", WELL),
            Result(SUCCESS, "well"),
        ),
        (function("import sys", "sys.stdout = sys.stderr = None", WELL), Result(SUCCESS, "well")),
        (function("import os", "os.close(1)", "os.close(2)", WELL), Result(SUCCESS, "well")),
    ],
)
async def test_what_it_returns_is_the_result(tmp_path: Path, source: str, result: Result) -> None:
    async with stage(tmp_path) as here:
        assert await here.handle(source) == result


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (function('raise ValueError("no\\n disk")'), "ValueError: no ⏎ disk (a.py:2)"),
        (function("raise KeyError"), "KeyError (a.py:2)"),
        (function("import json", 'json.loads("{")'), "(a.py:3)"),  # its own line, not the library's
        (
            function("import asyncio", "await asyncio.sleep(0)", 'raise ValueError("x")', head="async def run(c):"),
            "ValueError: x (a.py:4)",
        ),
        (function("raise KeyboardInterrupt"), "KeyboardInterrupt (a.py:2)"),
        ("class E(Exception):\n  def __str__(self): 1 / 0\ndef run(c): raise E", "E (a.py:3)"),
        ("def run(): pass", "TypeError: run() takes 0 positional arguments but 1 was given"),
        (function("import sys", "sys.exit(3)"), "it called sys.exit(3) instead of returning a result"),
        (function("import sys", "sys.exit()"), "it called sys.exit(None) instead of returning a result"),
        (function('exit("bye")'), "it called sys.exit('bye') instead of returning a result"),
        (function("import os", "os._exit(0)"), "the handler did not come to return: exit code 0"),
        (function("import os", 'os.write(2, b"why")', "os._exit(4)"), "did not come to return: exit code 4: why"),
        (function("import os", "os.kill(os.getpid(), 9)"), "the handler did not come to return: killed by SIGKILL"),
        (function("pass"), 'a handler returns a dict with "status", "output", "error"; this one returned None'),
        (function("return 'x' * 1000"), f"returned '{'x' * 199}…"),
        (function("return {}"), 'the "status" that a handler returns is "success" or "failure"; this one\'s is None'),
        (function('return {"status": "skipped"}'), "this one's is 'skipped'"),
        (function('return {"status": []}'), "this one's is []"),
        (function("x = []", "x.append(x)", 'return {"status": "success", "output": x}'), "cannot be written as JSON"),
        ("x = 1", "the module handlers.a has no function run; correct `handler` or write it"),
        ("run = 1", "handlers.a:run is no function, but 1"),
        ("def run(:", "SyntaxError: invalid syntax (a.py, line 1)"),
        ("import no_such_thing", "ModuleNotFoundError: No module named 'no_such_thing' (a.py:1)"),
        ("import handlers.none", "ModuleNotFoundError: No module named 'handlers.none' (a.py:1)"),
        ("1 / 0", "ZeroDivisionError: division by zero (a.py:1)"),
        ("import sys\nsys.exit(1)", "it called sys.exit(1) instead of returning a result"),
    ],
)
async def test_everything_else_is_a_failure_in_words(tmp_path: Path, source: str, error: str) -> None:
    async with stage(tmp_path) as here:
        result = await here.handle(source)
        assert result.outcome is FAILURE
        assert error in (result.error or "")
        assert "\n" not in (result.error or "")


async def test_a_traceback_is_among_what_it_printed_and_begins_with_the_handlers_own(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        source = function("import asyncio", 'print("begun")', "await helper()", head="async def run(context):")
        result = await here.handle(source + "\nasync def helper():\n    raise ValueError('no disk')")
        first, title, *lines = result.output.splitlines()
        assert (first, title) == ("begun", "Traceback (most recent call last):")
        assert lines[-1] == "ValueError: no disk"
        files = [line for line in lines if line.lstrip().startswith("File ")]
        assert [line.split(", ")[-2:] for line in files] == [["line 4", "in run"], ["line 6", "in helper"]]


async def test_what_it_returns_is_cut_to_what_is_kept(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        source = function('return {"status": "failure", "output": "\\0ä\\n" * 1_000_000, "error": "x" * 1_000_000}')
        result = await here.handle(source)
        assert result.output.startswith("… ")
        assert result.output.endswith("\n\0ä\n")
        assert len(result.output.encode()) < OUTPUT_MAX + 100
        assert result.error == "x" * 2000


async def test_its_child_processes_and_status_texts(tmp_path: Path) -> None:
    source = function(
        "import os, socket, subprocess",
        'child = subprocess.Popen(["sleep", "1000"])',
        "speaker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)",
        'speaker.sendto(b"STATUS=half", os.environ["NOTIFY_SOCKET"])',
        'return {"status": "success", "output": os.getpid()}',
    )
    async with stage(tmp_path) as here:
        result = await here.handle(source)
        assert gone(int(result.output))
        assert here.said == ["half"]


@pytest.mark.parametrize(
    "source",
    [
        function("import threading, time", "threading.Thread(target=time.sleep, args=(1000,)).start()", WELL),
        function(
            "import asyncio, time",
            "asyncio.get_running_loop().run_in_executor(None, time.sleep, 1000)",
            WELL,
            head="async def run(context):",
        ),
        function("import atexit, time", "atexit.register(time.sleep, 1000)", WELL),
        function(
            "import signal, threading, time",
            "signal.signal(signal.SIGALRM, signal.SIG_IGN)",
            "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})",
            "threading.Thread(target=time.sleep, args=(1000,)).start()",
            WELL,
        ),
    ],
    ids=["thread", "executor", "exit", "signals"],
)
async def test_what_it_leaves_running_does_not_take_its_result_away(tmp_path: Path, source: str) -> None:
    async with stage(tmp_path) as here:
        hurried = "import __main__\nassert __main__.LINGER == 5.0\n__main__.LINGER = 0.05\n"
        assert await here.handle(hurried + source) == Result(SUCCESS, "well")


async def test_half_a_secret_is_not_left_where_something_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "S3CR3T-V4LU3")
    source = function(
        "import os",
        'secret = os.environ["SOME_TOKEN"]',
        f'output = secret + "x" * {OUTPUT_MAX - 6}',
        'return {"status": "failure", "output": output, "error": "y" * 1994 + secret}',
    )
    async with stage(tmp_path) as here:
        result = await here.handle(source)
        assert result.output.startswith("… ")
        assert result.error == "y" * 1994 + "[redac"
        shown = (await here.handle(function("import os", 'return "z" * 193 + os.environ["SOME_TOKEN"]'))).error
    for text in (result.output, result.error or "", shown or ""):
        assert "S3" not in text
        assert "U3" not in text


async def test_one_that_is_cancelled_leaves_nobody(tmp_path: Path) -> None:
    source = function(
        "import multiprocessing, os, pathlib, time",
        'multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,)).start()',
        'print("begun", flush=True)',
        'pathlib.Path("pid").write_text(f"{os.getpid()}\\n")',
        "time.sleep(1000)",
    )
    async with stage(tmp_path) as here:
        run = new_run()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.handle, source, run)
            pid = await here.number("pid")
            tasks.cancel_scope.cancel()
        assert gone(pid)
        assert run.output == "begun\n"


async def test_it_may_start_processes_as_multiprocessing_does(tmp_path: Path) -> None:
    source = "import multiprocessing\ndef double(x): return 2 * x\n" + function(
        'with multiprocessing.get_context("spawn").Pool(1) as pool:',
        '    return {"status": "success", "output": pool.map(double, [1, 2])}',
    )
    async with stage(tmp_path) as here:
        assert await here.handle(source) == Result(SUCCESS, "[2, 4]")


# --- where it comes from ---


async def test_modules_of_its_package_and_beside_it_can_be_imported(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        here.write("handlers/__init__.py", "GREETING = 'hello'")
        here.write("handlers/sub/b.py", "from handlers import GREETING")
        here.write("beside.py", "NAME = 'you'")
        source = function(
            "from handlers.sub.b import GREETING",
            "import beside",
            'return {"status": "success", "output": f"{GREETING} {beside.NAME}"}',
        )
        assert await here.handle(source) == Result(SUCCESS, "hello you")


@pytest.mark.parametrize("regular", [True, False])
async def test_an_installed_package_of_the_same_name_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, regular: object
) -> None:
    installed = tmp_path / "installed" / "handlers"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    (installed / "a.py").write_text(function('return {"status": "success", "output": "installed"}'))
    (installed / "other.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(installed.parent), prepend=os.pathsep)
    async with stage(tmp_path) as here:
        if regular:
            here.write("handlers/__init__.py", "")
        assert (await here.handle(function(WELL))).output == "well"
        result = await here.perform(Handler("handlers.other", "run", tmp_path))
        assert (
            result.error == f"the module handlers.other does not exist in {tmp_path}; correct `handler` or put it there"
        )
        assert (await here.perform(Handler("handlers.a", "run", None))).output == "installed"


async def test_nothing_in_the_vault_is_imported(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        for name in ("json.py", "orchestrator.py", "handlers.py", "elsewhere.py"):
            (here.vault / name).write_text("raise SystemExit('from the vault')")
        assert (await here.handle(function("import json", WELL))).output == "well"
        error = (await here.handle("import elsewhere")).error
        assert error == "ModuleNotFoundError: No module named 'elsewhere' (a.py:1)"


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (Handler("handlers.a", "run", None), "the module handlers is not installed; correct `handler`"),
        (Handler("json.none", "run", None), "the module json.none is not installed; correct `handler`"),
        (Handler("json", "none", None), "the module json has no function none"),
    ],
)
async def test_what_is_not_installed_is_named(tmp_path: Path, handler: Handler, error: str) -> None:
    async with stage(tmp_path) as here:
        result = await here.perform(handler)
        assert (result.outcome, (result.error or "")[: len(error)]) == (FAILURE, error)


async def test_a_folder_without_handlers_is_named(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        result = await here.perform(Handler("handlers.a", "run", tmp_path))
        assert result.error == f"there is no handlers/ in {tmp_path}, where `handler` is looked for"


async def test_a_descriptor_short_is_a_failure_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(24, "Too many open files")

    async with stage(tmp_path) as here:
        monkeypatch.setattr("orchestrator.processes.nameless.file_in_memory", refuse)
        assert "Too many open files" in ((await here.handle(function(WELL))).error or "")


async def test_one_killed_from_outside_while_it_runs(tmp_path: Path) -> None:
    source = function(
        "import os, pathlib, time", 'pathlib.Path("pid").write_text(f"{os.getpid()}\\n")', "time.sleep(1000)"
    )
    found: list[Result] = []
    async with stage(tmp_path) as here:

        async def run() -> None:
            found.append(await here.handle(source))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            os.kill(await here.number("pid"), signal.SIGTERM)
        await until(here.nothing_left)
    assert [result.error for result in found] == ["the handler did not come to return: killed by SIGTERM"]


def test_its_process_imports_little() -> None:
    code = "import sys, orchestrator.actions.handler_child; print(*sys.modules)"
    argv = [sys.executable, "-P", "-c", code]
    loaded = set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split())
    assert "orchestrator.actions.handler_child" in loaded
    assert not loaded & {"anyio", "asyncio", "dataclasses", "inspect", "logging", "subprocess", "socket", "tempfile"}
