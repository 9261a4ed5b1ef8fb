"""From a watcher's configuration to what the kernel gets: who wins in the environment, which program it is."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.model import Launch, Policy, WatcherConfig
from orchestrator.places import Places
from orchestrator.processes.children import Program
from orchestrator.processes.programs import NOT_INHERITED, Surroundings, Unlaunchable
from orchestrator.supervise.launch import fingerprint, parse_env_file, program

SOCKET = "/run/notify/a"


def made(tmp_path: Path, environ: Mapping[str, str] | None = None, *, dry_run: bool = False, **watcher: Any) -> Program:
    launch = {"command": ("/bin/true",), "directory": tmp_path} | {
        key: watcher.pop(key) for key in tuple(watcher) if key in Launch.__dataclass_fields__
    }
    around = Surroundings(Places("/vault"), str(tmp_path), dry_run, {"PATH": "/usr/bin:/bin"} | dict(environ or {}))
    return program(WatcherConfig(name="a", launch=Launch(**launch), **watcher), around, SOCKET)  # type: ignore[arg-type]


# --- the environment ---


def test_env_beats_env_file_beats_the_daemons_own(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ONE=file\nTWO=file\n")
    environ = made(
        tmp_path,
        {"ONE": "daemon", "TWO": "daemon", "THREE": "daemon"},
        env=(("ONE", "env"),),
        env_file=tmp_path / ".env",
    ).environ
    assert (environ["ONE"], environ["TWO"], environ["THREE"]) == ("env", "file", "daemon")


def test_what_aiemp_tells_every_watcher(tmp_path: Path) -> None:
    environ = made(tmp_path, {"DRY_RUN": "maybe"}).environ
    told = {
        "AIEMP_WATCHER": "a",
        "AIEMP_VAULT": "/vault",
        "AIEMP_STATE_DIR": "/vault/.aiemp",
        "DRY_RUN": "false",
        "PYTHONUNBUFFERED": "1",
        "NOTIFY_SOCKET": SOCKET,
    }
    assert environ == told | {"PATH": "/usr/bin:/bin"}


def test_a_watcher_cannot_be_told_otherwise(tmp_path: Path) -> None:
    lies = (("AIEMP_WATCHER", "b"), ("DRY_RUN", "false"), ("NOTIFY_SOCKET", "/elsewhere"))
    environ = made(tmp_path, dry_run=True, env=lies).environ
    assert (environ["AIEMP_WATCHER"], environ["DRY_RUN"], environ["NOTIFY_SOCKET"]) == ("a", "true", SOCKET)


@pytest.mark.parametrize(("watchdog", "usec"), [(0.0, None), (5.0, "5000000"), (0.25, "250000"), (0.1 + 0.2, "300000")])
def test_the_watchdogs_interval(tmp_path: Path, watchdog: float, usec: str | None) -> None:
    assert made(tmp_path, policy=Policy(watchdog=watchdog)).environ.get("WATCHDOG_USEC") == usec


@pytest.mark.parametrize("name", sorted(NOT_INHERITED - {"NOTIFY_SOCKET", "AIEMP_WATCHER"}))
def test_what_was_meant_for_the_daemon_alone_stays_there(tmp_path: Path, name: str) -> None:
    assert name not in made(tmp_path, {name: "1"}).environ
    assert made(tmp_path, {name: "1"}, env=((name, "2"),)).environ[name] == "2"  # unless someone says so


@pytest.mark.parametrize("text", ["$HOME", "${HOME}", "%h", "~", "`id`", "$(id)", "a b", "*", "\\n", "{x}", ""])
def test_nothing_is_expanded(tmp_path: Path, text: str) -> None:
    (tmp_path / ".env").write_text(f"FILE={text}\n")
    found = made(
        tmp_path,
        {"HOME": "/root"},
        command=("/bin/echo", text),
        env=(("ENV", text),),
        env_file=tmp_path / ".env",
    )
    assert (found.argv, found.environ["ENV"], found.environ["FILE"]) == (("/bin/echo", text), text, text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("A=1", {"A": "1"}),
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("\ufeffA=1", {"A": "1"}),
        ("# A=0\n\n  # more\nA=1", {"A": "1"}),
        ("A=1 # no comment", {"A": "1 # no comment"}),
        ("A=#1", {"A": "#1"}),
        ("A='1'", {"A": "1"}),
        ('A="1"', {"A": "1"}),
        ("A=\"1'", {"A": "\"1'"}),
        ("A='", {"A": "'"}),
        ("A=''", {"A": ""}),
        ("A=' 1 '", {"A": " 1 "}),
        ("A='\"1\"'", {"A": '"1"'}),
        ("A=it's", {"A": "it's"}),
        ("A=", {"A": ""}),
        ("A=b=c==", {"A": "b=c=="}),
        (" A = 1 ", {"A": "1"}),
        ("export A=1", {"A": "1"}),
        ("exported=1", {"exported": "1"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=$B\\n${C}", {"A": "$B\\n${C}"}),
        ("A=ä€😀", {"A": "ä€😀"}),
        ("A=one\u2028two\x0cthree\x85four", {"A": "one\u2028two\x0cthree\x85four"}),
        ("a.b-c=1", {"a.b-c": "1"}),
    ],
)
def test_env_files(text: str, found: dict[str, str]) -> None:
    assert parse_env_file(text) == found


@pytest.mark.parametrize(
    ("text", "line"), [("SECRET", 1), ("A=1\n=SECRET", 2), ("\n\nA SECRET=1", 3), ("A=\0SECRET", 1), ("'SECRET'", 1)]
)
def test_bad_env_files_name_the_line_and_not_what_stands_in_it(text: str, line: int) -> None:
    with pytest.raises(Unlaunchable, match=f"line {line}") as error:
        parse_env_file(text)
    assert "SECRET" not in str(error.value)


@given(text=st.text())
def test_any_text_is_an_env_file_or_is_refused(text: str) -> None:
    try:
        found = parse_env_file(text)
    except Unlaunchable:
        return
    assert all(key and "=" not in key and "\0" not in key + value for key, value in found.items())


@given(
    value=st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\n")).filter(
        lambda text: text == text.strip() and text[:1] not in "\"'"
    )
)
def test_any_value_on_one_line_comes_back(value: str) -> None:
    assert parse_env_file(f"KEY={value}\n") == {"KEY": value}


@pytest.mark.parametrize("content", [None, b"A=\xff"])
def test_an_env_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / ".env"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Unlaunchable, match="env_file") as error:
        made(tmp_path, env_file=path)
    assert str(path) in str(error.value)


def test_an_env_file_that_leads_in_a_circle_is_as_good_as_missing(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.symlink_to("env.real")
    (tmp_path / "env.real").symlink_to(".env")
    with pytest.raises(Unlaunchable, match="symbolic links"):
        made(tmp_path, env_file=path)
    launch = replace(LAUNCH, env_file=path)
    missing = fingerprint(launch)
    path.unlink()
    assert fingerprint(launch) == missing  # a reload asks for it too, and must not fail


@pytest.mark.parametrize("environ", [{}, {"KEY": ""}])
def test_required_env_names_what_is_missing(tmp_path: Path, environ: dict[str, str]) -> None:
    with pytest.raises(Unlaunchable, match="required_env: KEY, TOKEN not set"):
        made(tmp_path, environ, required_env=("KEY", "PATH", "TOKEN"))


def test_required_env_may_come_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ONE=1\n")
    made(
        tmp_path,
        {"THREE": "3"},
        env_file=tmp_path / ".env",
        env=(("TWO", "2"),),
        required_env=("ONE", "TWO", "THREE", "AIEMP_VAULT"),
    )


# --- the program ---


def test_python_is_the_daemons_own_also_when_another_one_is_first_on_the_path(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to("/bin/true")
    found = made(tmp_path, {"PATH": str(tmp_path)}, command=("python", "-m", "watchers.filesystem"))
    assert found.executable == sys.executable
    # By argv[0] Python finds its own packages, so that has to be the path as well.
    assert found.argv == (sys.executable, "-m", "watchers.filesystem")


def test_other_commands_are_searched_for_on_the_watchers_own_path(tmp_path: Path) -> None:
    tool = tmp_path / "bin" / "tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    found = made(tmp_path, command=("tool", "x"), env=(("PATH", str(tool.parent)),))
    assert (found.executable, found.argv) == (str(tool), ("tool", "x"))
    tool.chmod(0o644)
    with pytest.raises(Unlaunchable, match="'tool' is not on the PATH"):
        made(tmp_path, command=("tool", "x"), env=(("PATH", str(tool.parent)),))


@pytest.mark.parametrize("path", ["", "/nowhere"])
def test_nothing_is_found_on_an_empty_path(tmp_path: Path, path: str) -> None:
    with pytest.raises(Unlaunchable, match="not on the PATH"):
        made(tmp_path, command=("true",), env=(("PATH", path),))


def test_relative_commands_lie_beside_the_configuration_or_in_the_directory(tmp_path: Path) -> None:
    beside, inside = tmp_path / "run.sh", tmp_path / "vault" / "run.sh"
    inside.parent.mkdir()
    inside.touch()
    assert made(tmp_path, command=("./run.sh",), directory=inside.parent).executable == f"{inside.parent}/./run.sh"
    beside.touch()
    assert made(tmp_path, command=("./run.sh",), directory=inside.parent).executable == f"{tmp_path}/./run.sh"


def test_absolute_commands_stay(tmp_path: Path) -> None:
    assert made(tmp_path, command=("/nowhere/x",)).executable == "/nowhere/x"  # the kernel will say that it is missing


def test_a_directory_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("missing", "file"):
        with pytest.raises(Unlaunchable, match=f"directory {tmp_path / name}"):
            made(tmp_path, directory=tmp_path / name)


# --- the fingerprint ---

LAUNCH = Launch(command=("true",), directory=Path("/"))


@pytest.mark.parametrize(
    "other",
    [
        replace(LAUNCH, command=("true", "")),
        replace(LAUNCH, directory=Path("/tmp")),
        replace(LAUNCH, env=(("A", "1"),)),
        replace(LAUNCH, memory_limit=1),
        replace(LAUNCH, env_file=Path("/nowhere/.env")),
    ],
)
def test_fingerprints_differ_with_everything_a_process_is_started_with(other: Launch) -> None:
    assert fingerprint(other) != fingerprint(LAUNCH) == fingerprint(replace(LAUNCH))


def test_fingerprints_differ_with_the_env_files_content(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    launch = replace(LAUNCH, env_file=path)
    found = [fingerprint(launch)]
    for content in ("", "A=1", "A=2"):
        path.write_text(content)
        found.append(fingerprint(launch))
    assert len(set(found)) == 4
    assert fingerprint(launch) == found[-1]
