"""The commands and their common options: init, check, service, events, JSON, and how a configuration is found."""

import json
import shlex
import subprocess
import tomllib

import pytest
from harness import PATIENT, SCRIPTS, SLEEPER, Site, environ_of, until

pytestmark = PATIENT


def test_init_makes_what_is_lacking_and_overwrites_nothing(site: Site) -> None:
    done = site.aiemp("init", "here")
    assert done.returncode == 0, done.stderr
    vault = site.folder / "here/vault"
    for name in ("Inbox", "Needs_Action", "Plans", "Pending_Approval", "Approved", "Rejected", "Done", "Logs"):
        assert (vault / name).is_dir()
    for name in ("Dashboard.md", "Company_Handbook.md", "Business_Goals.md"):
        assert (vault / name).read_text()
        (vault / name).write_text("mine")
    config = site.folder / "here/supervisor.toml"
    assert "dry_run = true" in config.read_text()
    assert site.aiemp("check", "-c", str(config)).returncode == 0
    config.write_text("# mine\n")
    (vault / "Plans").rmdir()
    again = site.aiemp("init", "here")
    assert again.returncode == 0
    assert (vault / "Plans").is_dir()
    assert config.read_text() == "# mine\n"
    for name in ("Dashboard.md", "Company_Handbook.md", "Business_Goals.md"):
        assert (vault / name).read_text() == "mine"


def test_init_names_another_vault_in_the_configuration_and_run_serves_another_one_still(site: Site) -> None:
    done = site.aiemp("init", ".", "--vault", "elsewhere/notes")
    assert done.returncode == 0, done.stderr
    vault = site.folder / "elsewhere/notes"
    assert (vault / "Inbox").is_dir()
    assert not site.vault.exists()
    with site.config.open("rb") as file:
        assert site.folder / tomllib.load(file)["supervisor"]["vault"] == vault
    assert str(vault) in site.aiemp("check").stdout
    third = site.folder / "third"
    third.mkdir()
    site.configure(SLEEPER)
    for options in (("--vault", str(third)), ("--vault", "third")):
        daemon = site.launch(*options)
        until(
            lambda: '"state": "running", "pid"' in site.ctl("status", "--json", "--vault", str(third)).stdout,
            "the third vault's daemon",
        )
        found = json.loads(site.ctl("--vault", str(third), "status", "--json").stdout)
        assert found["supervisor"]["vault"] == str(third)
        assert environ_of(found["watchers"][0]["pid"])["AIEMP_VAULT"] == str(third)
        assert not (site.vault / ".aiemp").exists()
        assert site.ctl("status").returncode == 4  # the configured one has no daemon
        assert site.ctl("shutdown", "--vault", str(third)).returncode == 0
        assert daemon.wait() == 0


def test_what_init_writes_runs_and_turns_a_file_into_a_note(site: Site) -> None:
    assert site.aiemp("init", ".").returncode == 0
    site.start()
    site.wait_for("inbox", "running")
    (site.vault / "Inbox/bill: [x].txt").write_text("42")
    until(lambda: list((site.vault / "Needs_Action").glob("FILE_*.md")), "the note")
    (note,) = (site.vault / "Needs_Action").glob("FILE_*.md")
    assert 'original_name: "bill: [x].txt"' in note.read_text()
    assert (site.vault / "Needs_Action/bill: [x].txt").read_text() == "42"
    assert site.status()["vault"]["needs_action"] == 1


# Line by line: what is written, and the key that is wrong there (None: nothing is).
WRONG = [
    ("[supervisor]", None),
    ('vault = "vault"', None),
    ("dry_run = 1", "supervisor.dry_run"),
    ('timezone = "Europe/Atlantis"', "supervisor.timezone"),
    ('shutdown_timeout = "20 parsecs"', "supervisor.shutdown_timeout"),
    ('log_level = "loud"', "supervisor.log_level"),
    ('colour = "red"', "supervisor.colour"),
    ("[supervisor.logs]", None),
    ('max_bytes = "5 MiBs"', "supervisor.logs.max_bytes"),
    ("backups = -1", "supervisor.logs.backups"),
    ("[supervisor.crash_loop]", None),
    ('max_restarts = "five"', "supervisor.crash_loop.max_restarts"),
    ('window = "0s"', "supervisor.crash_loop.window"),
    ("[watchers.a]", None),
    ("command = []", "watchers.a.command"),
    ('enabled = "yes"', "watchers.a.enabled"),
    ('restart = "no"', "watchers.a.restart"),
    ("expected_exit_codes = [0, 256]", "watchers.a.expected_exit_codes"),
    ('start_seconds = "-1s"', "watchers.a.start_seconds"),
    ('ready = "maybe"', "watchers.a.ready"),
    ("ready_timeout = 0", "watchers.a.ready_timeout"),
    ('stop_signal = "FOO"', "watchers.a.stop_signal"),
    ('memory_limit = "lots"', "watchers.a.memory_limit"),
    ("env = { KEY = 1 }", "watchers.a.env.KEY"),
    ('required_env = "ONE"', "watchers.a.required_env"),
    ('depends_on = ["nobody"]', "watchers.a.depends_on"),
    ("backoff = { factor = 0.5 }", "watchers.a.backoff.factor"),
    ("bakoff = 1", "watchers.a.bakoff"),
    ("[watchers.b]", "watchers.b.command"),
    ('depends_on = ["b"]', "watchers.b.depends_on"),
    ("[wachers.c]", "wachers"),
    ("[tasks.t]", None),
    ('command = ["true"]', None),
    ('frequency = "sometimes"', "tasks.t.frequency"),
    ('timeout = "soon"', "tasks.t.timeout"),
    ('priority = "urgent"', "tasks.t.priority"),
]


def test_check_tells_every_error_at_once(site: Site) -> None:
    site.config.write_text("".join(f"{line}\n" for line, _ in WRONG))
    refused = site.aiemp("check")
    assert (refused.returncode, refused.stdout) == (78, "")
    told = [line.split(": ", 2) for line in refused.stderr.splitlines()]
    assert {place.rpartition(":")[0] for place, *_ in told} == {str(site.config)}
    found = {(int(place.rpartition(":")[2]), key) for place, key, _ in told}
    wanted = {(number, key) for number, (_, key) in enumerate(WRONG, start=1) if key}
    assert wanted - found == set()
    assert {number for number, _ in found} == {number for number, _ in wanted}
    assert all("; " in text for *_, text in told)  # what is wrong; what is allowed
    texts = {key: text for _, key, text in told}
    assert "backoff" in texts["watchers.a.bakoff"]
    assert "watchers" in texts["wachers"]
    assert site.ctl("status").returncode == 4  # no daemon, and none can be started with it: but the vault is known


@pytest.mark.parametrize("words", [("-c", "FILE", "check"), ("check", "-c", "FILE")])
def test_the_configuration_may_stand_before_or_after_the_verb(site: Site, words: tuple[str, ...]) -> None:
    (site.folder / "other.toml").write_text(SLEEPER)
    assert site.aiemp(*[word.replace("FILE", "other.toml") for word in words]).returncode == 0


def test_the_configuration_is_searched_for_in_order(site: Site) -> None:
    broken, whole = "nonsense = 1\n", SLEEPER
    xdg = site.folder / "xdg/aiemp/supervisor.toml"
    xdg.parent.mkdir(parents=True)
    named = site.folder / "named.toml"
    environ = {"AIEMP_CONFIG": str(named), "XDG_CONFIG_HOME": str(site.folder / "xdg")}
    xdg.write_text(whole)
    assert site.aiemp("check", **environ).returncode == 0
    site.config.write_text(broken)
    assert site.aiemp("check", **environ).returncode == 78
    named.write_text(whole)
    assert site.aiemp("check", **environ).returncode == 0


def test_service_prints_definitions_with_real_paths(site: Site) -> None:
    site.configure(f'shutdown_timeout = "33s"\n{SLEEPER}')
    site.vault.mkdir()
    for kind, says in (("systemd", "Type=notify"), ("launchd", "<plist"), ("pm2", "apps")):
        printed = site.aiemp("service", kind)
        assert printed.returncode == 0, printed.stderr
        assert says in printed.stdout
        assert str(site.config) in printed.stdout
        assert str(SCRIPTS / "aiemp") in printed.stdout
    assert site.aiemp("service", "cron").returncode == 2
    lines = [line for line in site.aiemp("service", "systemd").stdout.splitlines() if "=" in line]
    unit = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert shlex.split(unit["ExecStart"]) == [str(SCRIPTS / "aiemp"), "run", "-c", str(site.config)]
    assert shlex.split(unit["ExecReload"]) == [str(SCRIPTS / "aiempctl"), "-c", str(site.config), "reload"]
    assert f"-{site.vault}" in shlex.split(unit["ReadWritePaths"])
    assert str(site.vault) in shlex.split(unit["RequiresMountsFor"])
    assert unit["RestartPreventExitStatus"] == "75 78"
    assert 33 < float(unit["TimeoutStopSec"].removesuffix("s")) < 60
    assert unit["Restart"] in {"on-failure", "always"}


def test_the_configuration_may_stand_on_either_side_of_aiempctls_verb(site: Site) -> None:
    site.start(text=SLEEPER)
    pid = site.wait_for("sleeper", "running")["pid"]
    for words in (
        ("status", "--json", "-c", "FILE"),
        ("-c", "FILE", "status", "--json"),
        ("status", "-cFILE", "--json"),
    ):
        asked = subprocess.run(
            [str(SCRIPTS / "aiempctl"), *(word.replace("FILE", str(site.config)) for word in words)],
            cwd="/",
            env=site.environ,
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(asked.stdout)["watchers"][0]["pid"] == pid


def test_json_is_exactly_one_document_and_nothing_else(site: Site) -> None:
    site.start(text=f'{SLEEPER}[watchers.broken]\ncommand = ["./nonesuch"]\n')
    for words in (
        ("status", "watcher", "sl*"),
        ("stop", "sleeper"),
        ("start", "sleeper"),
        ("restart", "sleeper"),
        ("resume", "sleeper"),
        ("signal", "CONT", "sleeper"),
        ("reload", "--plan"),
        ("reload",),
    ):
        answer = site.ctl(*words, "--json")
        assert (answer.returncode, answer.stderr) == (0, ""), words
        assert isinstance(json.loads(answer.stdout), dict)  # which it is not with anything beside it
        assert answer.stdout.count("\n") == 1
    for words in (("start", "broken"), ("signal", "HUP", "broken")):
        answer = site.ctl(*words, "--json")
        assert answer.returncode == 1
        assert isinstance(json.loads(answer.stdout), dict)
        assert "broken" in answer.stderr  # which says why
    assert isinstance(json.loads(site.ctl("status", "broken", "--json").stdout), dict)
    for words in (("start", "nobody"), ("status", "nobody"), ("stop",)):
        answer = site.ctl(*words, "--json")
        assert (answer.returncode, answer.stdout) == (2, "")
        assert answer.stderr
    lines = site.ctl("events", "--json").stdout.splitlines()
    assert len(lines) > 3
    assert all(isinstance(json.loads(line), dict) for line in lines)


def test_events_are_followed_as_they_happen(site: Site) -> None:
    site.start(text=SLEEPER)
    with subprocess.Popen(
        [str(SCRIPTS / "aiempctl"), "-c", str(site.config), "events", "-f", "--json", "-n", "1"],
        stdout=subprocess.PIPE,
        env=site.environ,
        text=True,
    ) as follower:
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["kind"]
        assert site.ctl("stop", "sleeper").returncode == 0
        kinds = set()
        while "stopped" not in kinds:
            kinds.add(json.loads(follower.stdout.readline()).get("new"))
        follower.kill()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(site: Site, shell: str) -> None:
    printed = site.ctl("completion", shell)
    assert printed.returncode == 0
    assert "aiempctl" in printed.stdout


def test_versions_agree() -> None:
    printed = {
        subprocess.run([str(SCRIPTS / name), "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
        for name in ("aiemp", "aiempctl")
    }
    assert len(printed) == 1
