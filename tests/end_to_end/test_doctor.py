"""`aiemp doctor`, as a person calls it, with a claude that answers what is asked of it and takes no prompt."""

import json
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import PATIENCE, PATIENT, SCRIPTS, SLEEPER, Site

pytestmark = PATIENT

SECRET = "sk-ant-a-secret-value"  # noqa: S105  nobody's
CLAUDE = """\
echo "$@" >> {folder}/asked
while [ -e {folder}/wait ]; do :; done
case "$*" in
    --version) echo "2.1.331 (Claude Code)" ;;
    "auth status")
        if [ -n "$ANTHROPIC_API_KEY" ]; then echo '{{"loggedIn": true, "authMethod": "api_key"}}'
        elif [ -e {folder}/out ]; then echo '{{"loggedIn": false, "authMethod": "none"}}'; exit 1
        else echo '{{"loggedIn": true, "authMethod": "claude.ai"}}'
        fi ;;
    *) echo "this would have cost money: $*" >&2; exit 1 ;;
esac
"""


class Doctored(Site):
    """A site as `aiemp init` makes it, in a world of its own: nothing on the PATH but what a test puts there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.home = folder / "home"
        self.bin = folder / "bin"
        self.home.mkdir()
        self.bin.mkdir()
        self.environ = {"PATH": str(self.bin), "HOME": str(self.home), "USER": "amy", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        assert self.aiemp("init", str(folder)).returncode == 0

    def install_claude(self) -> None:
        self.script("bin/claude", CLAUDE.format(folder=self.folder))

    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()

    def doctor(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return self.aiemp("doctor", *words, **environ)

    def findings(self, **environ: str) -> list[dict[str, Any]]:
        answer = self.doctor("--json", **environ)
        assert answer.stderr == ""
        found: list[dict[str, Any]] = json.loads(answer.stdout)
        wrong = any(each["level"] == "problem" for each in found)
        assert answer.returncode == wrong, answer.stdout
        return found

    def found(self, level: str, **environ: str) -> str:
        """Everything of that level, a line each."""
        wanted = [each for each in self.findings(**environ) if each["level"] == level]
        return "\n".join(f"{each['check']}: {each['message']} -> {each['remedy']}" for each in wanted)


@pytest.fixture
def doctored(tmp_path: Path) -> Iterator[Doctored]:
    site = Doctored(tmp_path)
    yield site
    site.clean_up()


def test_without_claude_it_says_so_and_how_to_get_it(doctored: Doctored) -> None:
    answer = doctored.doctor()
    assert answer.returncode == 1
    (line,) = [line for line in answer.stdout.splitlines() if line.startswith("problem")]
    assert "claude is not on the PATH of this shell" in line
    assert "morning_triage" in line
    assert "linkedin_post" in line
    assert "curl -fsSL https://claude.ai/install.sh | bash" in answer.stdout


def test_with_a_claude_that_is_logged_in_nothing_stands_in_the_way(doctored: Doctored) -> None:
    doctored.install_claude()
    answer = doctored.doctor()
    assert answer.returncode == 0, answer.stdout
    assert "2.1.331" in answer.stdout
    assert "logged in with a claude.ai subscription" in answer.stdout
    assert doctored.asked() == ["--version", "auth status"], "and nothing that costs money"
    assert "\x1b" not in answer.stdout


def test_a_claude_that_is_not_logged_in_stands_in_the_way(doctored: Doctored) -> None:
    doctored.install_claude()
    (doctored.folder / "out").touch()
    assert "not logged in: every prompt would fail -> log in" in doctored.found("problem")


def test_a_claude_that_nothing_uses_does_not_matter(doctored: Doctored) -> None:
    text = doctored.config.read_text()
    for action in ("morning_triage", "linkedin_post"):
        text = text.replace(f'action = "{action}"', f'action = "{action}"\nenabled = false')
    doctored.config.write_text(text)
    assert "claude is not on the PATH of this shell (no enabled task uses it)" in doctored.found("ok")


def test_an_api_key_beside_a_login_is_told_and_never_shown(doctored: Doctored) -> None:
    doctored.install_claude()
    found = json.dumps(doctored.findings(ANTHROPIC_API_KEY=SECRET))
    assert "paid for by that key" in found
    assert SECRET not in found
    assert SECRET not in doctored.doctor(ANTHROPIC_API_KEY=SECRET).stdout


def test_it_prints_one_document(doctored: Doctored) -> None:
    assert {tuple(each) for each in doctored.findings()} == {("check", "level", "message", "remedy")}


def test_a_claude_that_is_elsewhere_is_named_with_what_to_do(doctored: Doctored) -> None:
    place = doctored.home / ".local/bin"
    place.mkdir(parents=True)
    doctored.install_claude()
    (doctored.bin / "claude").rename(place / "claude")
    found = doctored.found("problem")
    assert f"but it is at {place}/claude" in found
    assert f"export PATH={place}:{doctored.bin} before `aiemp run`" in found


def test_an_environment_without_home_path_and_user(doctored: Doctored) -> None:
    doctored.install_claude()
    doctored.environ = {"LC_ALL": "C.UTF-8"}
    found = doctored.found("problem")
    assert "PATH is not set for this shell" in found
    assert "HOME is not set for this shell" in found
    assert "USER is not set for this shell" in doctored.found("warning")


def test_it_judges_as_a_running_daemon_would(doctored: Doctored) -> None:
    doctored.configure('[tasks.ask]\nprompt = "x"\n[watchers.w]\ncommand = ["there"]\nenabled = false\n')
    doctored.start(PATH="/nowhere", HOME="")
    doctored.install_claude()
    found = doctored.found("problem")
    pid = doctored.daemon.pid if doctored.daemon else 0
    assert f"HOME is not set for the running daemon (PID {pid})" in found
    text = f"claude is not on the PATH of the running daemon (PID {pid}) (/nowhere), but it is at {doctored.bin}/claude"
    assert text in found
    assert f"a daemon serves this vault (PID {pid}, since 20" in doctored.found("ok")


def test_a_daemon_that_has_what_the_shell_lacks_is_well(doctored: Doctored) -> None:
    doctored.install_claude()
    doctored.configure('[tasks.ask]\nprompt = "x"\n')
    doctored.start()
    doctored.environ = {"PATH": "/nowhere"}
    assert doctored.found("problem") == ""


def test_variables_that_the_shell_has_and_the_daemon_lacks(doctored: Doctored) -> None:
    doctored.configure(f'{SLEEPER}required_env = ["MAIL", "MORE"]\n')
    doctored.start()
    found = doctored.found("problem", MAIL="x")
    assert "watcher sleeper: required_env: MAIL, MORE not set for the running daemon" in found
    assert "though this shell has MAIL" in found
    assert "fatal" in doctored.found("warning"), "the daemon's own word"


def test_a_daemon_that_holds_the_vault_and_does_not_answer(doctored: Doctored) -> None:
    doctored.configure("")
    daemon = doctored.start()
    daemon.send_signal(signal.SIGSTOP)
    assert "holds the vault's lock but does not answer" in doctored.found("problem")


def test_a_daemon_that_was_killed_is_told(doctored: Doctored) -> None:
    doctored.configure("")
    doctored.start()
    doctored.kill()
    assert "the last daemon ended without clearing up" in doctored.found("warning")


def test_an_invalid_configuration_is_a_problem_and_the_rest_is_looked_at(doctored: Doctored) -> None:
    doctored.configure("[watchers.a]\ncommand = 1\n[tasks.b]\nnonsense = true\n")
    found = doctored.findings()
    lines = [each["message"] for each in found if each["check"] == "configuration"]
    assert len(lines) == 3
    assert all(line.startswith(f"{doctored.config}:") for line in lines)
    assert {"vault", "disk", "dashboard", "environment", "daemon"} <= {each["check"] for each in found}


def test_without_any_configuration_there_is_nothing_to_look_at(doctored: Doctored) -> None:
    doctored.config.unlink()
    answer = doctored.doctor()
    assert answer.returncode == 78
    assert "aiemp init" in answer.stderr
    assert doctored.doctor("-c", "other.toml").returncode == 78


def test_what_a_vault_can_lack(doctored: Doctored) -> None:
    doctored.install_claude()
    (doctored.vault / "Dashboard.md").write_bytes(b"\0\0")
    (doctored.vault / "Prompts/morning_triage.md").unlink()
    (doctored.vault / "Prompts/linkedin_post.md").write_text("\n")
    (doctored.vault / "Done").rmdir()
    (doctored.vault / "PAUSE.md").touch()
    (doctored.vault / ".aiemp").mkdir(mode=0o755)
    wrong, odd = doctored.found("problem"), doctored.found("warning")
    assert "task morning_triage: the text of its prompt can't be used: Prompts/morning_triage.md is missing" in wrong
    assert "Prompts/linkedin_post.md is empty" in wrong
    assert "NUL bytes" in odd
    assert "lacks Done" in odd
    assert "PAUSE.md is there: no new run starts" in odd
    assert "chmod 700" in odd
    (doctored.vault).rename(doctored.folder / "moved")
    assert "does not exist or is no folder" in doctored.found("problem")


def test_what_was_disabled_by_command_is_not_needed(doctored: Doctored) -> None:
    doctored.start()
    for task in ("morning_triage", "linkedin_post"):
        assert doctored.ctl("disable", task).returncode == 0
    assert doctored.found("problem") == ""
    assert doctored.ctl("add", "mine", "--every", "1h", "--prompt", "x").returncode == 0
    assert "mine can't run without it" in doctored.found("problem"), "what was added by command is"
    doctored.stop()
    assert "mine can't run without it" in doctored.found("problem"), "without a daemon too"


def test_a_unit_of_the_users_own_service_manager(doctored: Doctored) -> None:
    doctored.install_claude()
    units = doctored.home / ".config/systemd/user"
    units.mkdir(parents=True)
    (units / "mine.service").write_text(
        f"[Service]\nExecStart={SCRIPTS}/aiemp run -c {doctored.config}\nEnvironment=PATH=/usr/sbin\n"
    )
    found = doctored.found("problem")
    assert "claude is not on the PATH of systemd's mine.service (/usr/sbin)" in found
    assert "systemctl --user edit mine.service" in found
    drop_in = units / "mine.service.d"
    drop_in.mkdir()
    (drop_in / "override.conf").write_text(f"[Service]\nEnvironment=PATH={doctored.bin}\n")
    assert doctored.found("problem") == ""


class Screen:
    """`aiemp doctor` on a terminal."""

    def __init__(self, site: Doctored, **environ: str) -> None:
        master, slave = pty.openpty()
        self._master = master
        self.process = subprocess.Popen(
            [str(SCRIPTS / "aiemp"), "doctor"],
            cwd=site.folder,
            env={**site.environ, "TERM": "xterm-256color", **environ},
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self.seen = ""

    def read(self, until: str | None = None) -> str:
        """Read until that was seen, or to the end."""
        deadline = time.monotonic() + PATIENCE
        while until is None or until not in self.seen:
            assert select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))[0], self.seen
            try:
                data = os.read(self._master, 65_536)
            except OSError:  # EIO: nobody holds the other side any more
                break
            self.seen += data.decode()
        return self.seen

    def finish(self) -> int:
        self.read()
        os.close(self._master)
        return self.process.wait(PATIENCE)


def test_on_a_terminal_it_has_colours_and_says_what_takes_so_long(doctored: Doctored) -> None:
    doctored.install_claude()
    (doctored.folder / "wait").touch()
    screen = Screen(doctored)
    assert "looking at the agents" in screen.read(until="looking at the agents")
    (doctored.folder / "wait").unlink()
    assert screen.finish() == 0
    assert "\x1b[32mok     \x1b[0m" in screen.seen
    assert "logged in" in screen.seen.rpartition("\x1b[K")[2], "the line about what takes so long is gone"


def test_on_a_terminal_without_colours_if_people_want_none(doctored: Doctored) -> None:
    screen = Screen(doctored, NO_COLOR="1")
    assert screen.finish() == 1
    assert "\x1b[3" not in screen.seen
    assert "problem" in screen.seen
