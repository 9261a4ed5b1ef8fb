"""The completion scripts, tried in the shells themselves."""

import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_daemon import answers, fake_daemon, status_of, task, watcher

from orchestrator.cli import aiemp, aiempctl
from orchestrator.cli.completion import grammar
from orchestrator.cli.completion_scripts import bash, fish, zsh

PATIENCE = 20.0  # seconds
GRAMMARS = [grammar(aiemp.PROGRAM), grammar(aiempctl.PROGRAM)]
SCRIPTS = {"bash": bash(GRAMMARS), "fish": fish(GRAMMARS), "zsh": zsh(GRAMMARS)}
NAMES = ["inbox", "gmail", "$(touch owned)", "wild*card"]
TASKS = ["triage", "sync", "$(touch owned)"]

# What is typed, and what may stand in place of its last word: all of it, or (with a "…") at least this.
CASES = [
    ("aiempctl re", "reload remove restart resume"),
    ("aiempctl -c supervisor.toml sta", "start stats status"),
    ("aiempctl --ve", "--version"),
    ("aiempctl _", ""),
    ("aiempctl restart ", "gmail inbox …"),
    ("aiempctl restart in", "inbox"),
    ("aiempctl -c supervisor.toml restart gmail in", "inbox"),
    ("aiempctl stop --timeout 5s gm", "gmail"),
    ("aiempctl stop --timeout ", ""),
    ("aiempctl stop --t", "--timeout"),
    ("aiempctl signal US", "USR1 USR2"),
    ("aiempctl signal HUP in", "inbox"),
    ("aiempctl signal HUP inbox gm", "gmail"),
    ("aiempctl tail -n 5 in", "inbox"),
    ("aiempctl reload --", "--help --json --plan --vault"),
    ("aiempctl reload in", ""),
    ("aiempctl run sy", "sync"),
    ("aiempctl run sync ", ""),
    ("aiempctl history tri", "triage"),
    ("aiempctl history --outcome f", "failure"),
    ("aiempctl tasks --due sync tri", "triage"),
    ("aiempctl -c supervisor.toml enable sync tri", "triage"),
    ("aiempctl cancel sy", "sync"),
    ("aiempctl remove in", ""),
    ("aiempctl scheduler ", "pause resume"),
    ("aiempctl add sy", ""),
    ("aiempctl add sync --priority l", "low"),
    ("aiempctl completion ", "bash fish zsh"),
    ("aiempctl status -c super", "supervisor.toml"),
    ("aiempctl status --vault va", "vault"),
    ("aiemp c", "check"),
    ("aiemp service ", "launchd pm2 systemd"),
    ("aiemp run --", "--dry-run --help --no-watchers --once --vault"),
    ("aiemp init va", "vault"),
]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A folder with a configuration, a live daemon, both programs and the scripts."""
    (tmp_path / "vault").mkdir()
    (tmp_path / "supervisor.toml").write_text('[supervisor]\nvault = "vault"\n')
    (tmp_path / "bin").mkdir()
    for program in ("aiemp", "aiempctl"):
        path = tmp_path / "bin" / program
        path.write_text(
            f"#!{sys.executable}\nimport sys\nfrom orchestrator.cli.{program} import main\nsys.exit(main())\n"
        )
        path.chmod(0o755)
    for shell, script in SCRIPTS.items():
        (tmp_path / "bin" / f"completion.{shell}").write_text(script)
    found = status_of(*map(watcher, NAMES), tasks=[task(name) for name in TASKS])
    with fake_daemon(tmp_path / "vault", answers(status=found)):
        yield tmp_path


def environment(home: Path) -> dict[str, str]:
    return {"PATH": f"{home}/bin:{os.environ['PATH']}", "HOME": str(home), "LC_ALL": "C.UTF-8", "TERM": "xterm"}


def output_of(home: Path, *argv: str) -> str:
    return subprocess.run(
        argv, cwd=home, env=environment(home), capture_output=True, text=True, timeout=PATIENCE, check=True
    ).stdout


def in_bash(home: Path, line: str) -> set[str]:
    words = line.split(" ")
    script = f"""
    . bin/completion.bash
    COMP_WORDS=({" ".join(map(shlex.quote, words))}) COMP_CWORD={len(words) - 1}
    _{words[0]}
    printf '%s\\n' "${{COMPREPLY[@]}}"
    complete -p {words[0]} >&2
    """
    return set(output_of(home, "bash", "--norc", "-uc", script).split("\n")) - {""}


def in_fish(home: Path, line: str) -> set[str]:
    script = f"source bin/completion.fish; complete -C {shlex.quote(line)}"
    found = output_of(home, "fish", "--no-config", "-c", script)
    return {each.partition("\t")[0] for each in found.splitlines()}


def shell(name: str) -> object:
    return pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"there is no {name} here"))


@pytest.mark.parametrize("where", [shell("bash"), shell("fish")])
@pytest.mark.parametrize(("line", "expected"), CASES)
def test_bash_and_fish_offer_what_fits(home: Path, where: str, line: str, expected: str) -> None:
    found = {"bash": in_bash, "fish": in_fish}[where](home, line)
    found = {each.rstrip("/") for each in found if not (where == "fish" and each.startswith("-") and "--" not in each)}
    wanted = set(expected.split())
    if "…" in wanted:
        assert wanted - {"…"} < found
    else:
        assert found == wanted
    assert not (home / "owned").exists()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_quotes_names_that_it_would_expand(home: Path) -> None:
    assert in_bash(home, "aiempctl restart wild") == {r"wild\*card"}


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh here")
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("aiempctl resta", "aiempctl restart "),
        ("aiempctl -c supervisor.toml shu", "aiempctl -c supervisor.toml shutdown "),
        ("aiempctl restart in", "aiempctl restart inbox "),
        ("aiempctl restart wild", r"aiempctl restart wild\*card "),
        ("aiempctl stop --timeout 5s gm", "aiempctl stop --timeout 5s gmail "),
        ("aiempctl stop --tim", "aiempctl stop --timeout "),
        ("aiempctl signal HU", "aiempctl signal HUP "),
        ("aiempctl signal HUP gm", "aiempctl signal HUP gmail "),
        ("aiempctl run sy", "aiempctl run sync "),
        ("aiempctl enable sync tri", "aiempctl enable sync triage "),
        ("aiempctl status -c super", "aiempctl status -c supervisor.toml "),
        ("aiemp ser", "aiemp service "),
        ("aiemp service laun", "aiemp service launchd "),
        ("aiemp run --on", "aiemp run --once "),
    ],
)
def test_zsh_completes_what_was_begun(home: Path, typed: str, completed: str) -> None:
    """Zsh completes only on a terminal: Tab, then a widget that writes the line into a file."""
    (home / ".zshrc").write_text(
        "PS1='ready> '\nautoload -U compinit; compinit -u -D\n. bin/completion.zsh\n"
        "tell() { print -r -- \"$BUFFER|\" > told; mv told line; }; zle -N tell; bindkey '^X' tell\n"
    )
    master, slave = pty.openpty()
    zsh_process = subprocess.Popen(
        ["zsh", "-d", "-i"],
        cwd=home,
        env=environment(home) | {"ZDOTDIR": str(home)},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        seen, deadline, answer = b"", time.monotonic() + PATIENCE, home / "line"
        asked = False
        while not answer.exists():
            assert time.monotonic() < deadline, seen
            if select.select([master], [], [], 0.05)[0]:
                seen += os.read(master, 65_536)
            if not asked and b"ready> " in seen:
                asked = True
                os.write(master, typed.encode() + b"\t\x18")
    finally:
        zsh_process.kill()
        zsh_process.wait()
        os.close(master)
    assert answer.read_text() == completed + "|\n"
    assert not (home / "owned").exists()


@pytest.mark.parametrize("name", [shell("bash"), shell("fish"), shell("zsh")])
def test_each_script_is_well_formed(home: Path, name: str) -> None:
    assert output_of(home, name, "-n", f"bin/completion.{name}") == ""


def test_the_verb_prints_the_script(home: Path) -> None:
    for name, script in SCRIPTS.items():
        assert output_of(home, "aiempctl", "completion", name) == script


def test_a_flag_takes_a_value_for_every_verb_of_its_program_or_for_none() -> None:
    for program, verbs in GRAMMARS:
        takes: dict[str, bool] = {}
        for verb, _, options, _ in verbs:
            for flags, kind, _ in options:
                for flag in flags:
                    assert takes.setdefault(flag, kind is not None) is (kind is not None), (program, verb, flag)
