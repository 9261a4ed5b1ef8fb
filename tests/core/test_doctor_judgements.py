"""Facts in, findings out: disk, time, environment, operation, Letta, and who else starts something."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.config.model import AgentConfig, AgentKind, Config, Launch, SchedulerConfig, WatcherConfig
from orchestrator.doctor import environment, letta, operation, starters, storage, sync, timekeeping
from orchestrator.doctor.finding import Finding, Level, stops
from orchestrator.doctor.patient import Holder, Source, World
from orchestrator.doctor.starters import Entry
from orchestrator.doctor.units import Unit

OK, WARNING, PROBLEM = Level.OK, Level.WARNING, Level.PROBLEM


def levels(findings: list[Finding]) -> list[Level]:
    for finding in findings:
        assert (finding.remedy is None) is (finding.level is OK), (
            "what is wrong comes with what to do, nothing else does"
        )
    return [finding.level for finding in findings]


GIB = 1024 * storage.MIB


@pytest.mark.parametrize(
    ("room", "kind", "expected"),
    [
        (storage.Room(5 * GIB, 10**6, 10**7), "ext4", [OK]),
        (storage.Room(5 * GIB, 10**6, 10**7), None, [OK]),
        (storage.Room(GIB - 1, 10**6, 10**7), "ext4", [WARNING]),
        (storage.Room(100 * storage.MIB - 1, 10**6, 10**7), "ext4", [PROBLEM]),
        (storage.Room(5 * GIB, 9_999, 10**7), "ext4", [OK, WARNING]),
        (storage.Room(5 * GIB, 999, 10**7), "ext4", [OK, PROBLEM]),
        (storage.Room(5 * GIB, 0, 0), "btrfs", [OK]),
        (storage.Room(5 * GIB, 10**6, 10**7), "nfs4", [OK, WARNING]),
        (storage.Room(5 * GIB, 10**6, 10**7), "fuse.sshfs", [OK, WARNING]),
        (storage.Room(5 * GIB, 10**6, 10**7), "vfat", [OK, WARNING]),
        (storage.Room(5 * GIB, 10**6, 10**7), "tmpfs", [OK, WARNING]),
    ],
)
def test_the_disk(room: storage.Room, kind: str | None, expected: list[Level]) -> None:
    assert levels(list(storage.judge("/vault", room, kind))) == expected


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/x /mnt/nfs nfs4 rw 0 0
/dev/sdb1 /mnt/nfs/inner btrfs rw 0 0
//smb/x /mnt/a\\040b cifs rw 0 0
tmpfs /over tmpfs rw 0 0
/dev/sdc1 /over xfs rw 0 0
short
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/amy/vault", "ext4"),
        ("/mnt/nfs", "nfs4"),
        ("/mnt/nfs/vault", "nfs4"),
        ("/mnt/nfsx/vault", "ext4"),
        ("/mnt/nfs/inner/vault", "btrfs"),
        ("/mnt/a b/vault", "cifs"),
        ("/over/vault", "xfs"),
    ],
)
def test_which_file_system_a_path_lies_on(path: str, kind: str) -> None:
    assert storage.kind_of(path, MOUNTS) == kind
    assert storage.kind_of(path, "") is None


def clock(
    *,
    zone: str | None = "Europe/Berlin",
    machine: str = "Europe/Berlin",
    known: bool = True,
    synchronised: bool | None = True,
    year: int = 2026,
) -> timekeeping.Clock:
    return timekeeping.Clock(datetime(year, 11, 25, 12, tzinfo=UTC), zone, machine, known, synchronised)


@pytest.mark.parametrize(
    ("it", "expected"),
    [
        (clock(), [OK]),
        (clock(synchronised=None), [OK]),
        (clock(machine="Europe/Paris"), [OK]),
        (clock(machine="UTC"), [WARNING]),
        (clock(zone=None), []),
        (clock(synchronised=False), [WARNING, OK]),
        (clock(known=False), [WARNING, OK]),
        (clock(year=2000), [PROBLEM, OK]),
        (clock(year=2025), [PROBLEM, OK]),
    ],
)
def test_the_time(it: timekeeping.Clock, expected: list[Level]) -> None:
    assert levels(list(timekeeping.judge(it))) == expected


def test_a_zone_that_differs_says_which_one_counts() -> None:
    (finding,) = timekeeping.judge(clock(machine="America/New_York"))
    assert "time of Europe/Berlin, where it is 13:00 now" in finding.message
    assert "America/New_York, which does not count" in finding.message


UNIT = Unit("aiemp.service", own=False, file="/etc/systemd/system/aiemp.service", config="/srv/supervisor.toml")
WHOLE = {"PATH": "/usr/bin", "HOME": "/home/amy", "USER": "amy"}


def world(
    environ: Mapping[str, str] = WHOLE, source: Source = Source.SHELL, *, uid: int = 1000, unit: Unit | None = None
) -> World:
    return World(source, environ, uid, "amy" if uid else "root", "/", "this shell", unit)


@pytest.mark.parametrize(
    ("it", "us", "owner", "expected"),
    [
        (world(), 1000, (1000, "amy"), [OK]),
        (world(), 0, (1000, "amy"), [OK]),
        (world(), 1001, (1000, "amy"), [OK, WARNING]),
        (world(uid=0), 0, (1000, "amy"), [OK, WARNING]),
        (world(uid=0), 0, (0, "root"), [OK]),
        (world(), 1000, None, [OK]),
        (world({"PATH": "/usr/bin", "USER": "amy"}), 1000, None, [OK, PROBLEM]),
        (world({"HOME": "/home/amy", "USER": "amy", "PATH": ""}), 1000, None, [OK, PROBLEM]),
        (world({"HOME": "/home/amy", "PATH": "/usr/bin"}), 1000, None, [OK, WARNING]),
        (world({}), 1000, None, [OK, PROBLEM, PROBLEM, WARNING]),
    ],
)
def test_the_environment(it: World, us: int, owner: tuple[int, str] | None, expected: list[Level]) -> None:
    assert levels(list(environment.judge(it, us=us, vault_owner=owner))) == expected


@pytest.mark.parametrize(
    ("it", "words"),
    [
        (world(), "export HOME=… before `aiemp run`"),
        (world(WHOLE, Source.DAEMON), "where the daemon is started"),
        (world(WHOLE, Source.UNIT, unit=UNIT), "sudo systemctl edit aiemp.service"),
        (world(WHOLE, Source.DAEMON, unit=UNIT), "sudo systemctl restart aiemp.service"),
    ],
)
def test_a_remedy_fits_to_how_the_daemon_is_started(it: World, words: str) -> None:
    assert words in environment.where_to_set(it, "HOME")


def config(*, dry_run: bool = False, enabled: bool = True) -> Config:
    return Config(Path("/s.toml"), Path("/vault"), "UTC", dry_run=dry_run, scheduler=SchedulerConfig(enabled=enabled))


@pytest.mark.parametrize(
    ("it", "pause_file", "paused", "words"),
    [
        (config(), None, False, None),
        (config(dry_run=True), None, False, "dry_run"),
        (config(enabled=False), None, False, "switched off"),
        (config(), "/vault/PAUSE.md", False, "/vault/PAUSE.md is there"),
        (config(), None, True, "scheduler is paused"),
    ],
)
def test_what_people_have_stopped(it: Config, pause_file: str | None, paused: bool, words: str | None) -> None:  # noqa: FBT001
    (finding,) = operation.judge(it, pause_file=pause_file, paused=paused, environ={})
    assert levels([finding]) == [OK if words is None else WARNING]
    assert (words or "nobody") in finding.message


def test_a_dry_run_by_the_environment_is_ended_there() -> None:
    (finding,) = operation.judge(config(dry_run=True), pause_file=None, paused=False, environ={"DRY_RUN": "1"})
    assert "DRY_RUN=1 in the daemon's environment" in finding.message


LETTA = AgentConfig("companion", AgentKind.LETTA, agent_id="agent-1")


@pytest.mark.parametrize(
    ("reached", "expected"),
    [
        (letta.Reached(200), [OK, OK]),
        (letta.Reached(401), [OK, OK]),
        (letta.Reached(404), [WARNING, OK]),
        (letta.Reached(407), [PROBLEM, OK]),
        (letta.Reached(502), [WARNING, OK]),
        (letta.Reached(None, "Connection refused"), [PROBLEM, OK]),
    ],
)
def test_a_letta_server(reached: letta.Reached, expected: list[Level]) -> None:
    found = letta.judge("a", LETTA, url="http://localhost:1", reached=reached, key=True, local=True)
    assert levels(list(found)) == expected


@pytest.mark.parametrize(
    ("url", "key", "client", "words"),
    [
        ("https://api.letta.com", False, True, "LETTA_API_KEY is not set in the daemon's environment"),
        ("http://localhost:8283", False, False, "HTTP client"),
    ],
)
def test_what_a_letta_agent_needs(url: str, key: bool, client: bool, words: str) -> None:  # noqa: FBT001
    agent = AgentConfig("companion", AgentKind.LETTA)
    local = "localhost" in url
    found = letta.judge("a", agent, url=url, reached=letta.Reached(200) if client else None, key=key, local=local)
    (wrong,) = [finding for finding in found if finding.level is PROBLEM]
    assert words in wrong.message
    assert stops([wrong])


def serving(holder: Holder, **changed: object) -> list[Finding]:
    facts: dict[str, object] = {
        "start": "aiemp run",
        "silent": None,
        "log": "/vault/Logs/aiemp.log",
        "stale_socket": None,
        "networked": False,
    }
    return list(starters.serving(holder, "here", **(facts | changed)))  # type: ignore[arg-type]


MINE = Holder(held=True, pid=7, hostname="here", started_at="2026-11-25T01:00:00Z")
GONE = Holder(held=False, pid=7, hostname="elsewhere", started_at="2026-11-25T01:00:00Z")


@pytest.mark.parametrize(
    ("findings", "expected", "words"),
    [
        (serving(MINE), [OK], "PID 7, since 2026-11-25T01:00:00Z"),
        (serving(MINE, stale_socket="/s"), [OK], "PID 7"),
        (serving(MINE, silent="no answer"), [PROBLEM], "does not answer: no answer"),
        (serving(Holder(held=True, pid=7, hostname="elsewhere")), [WARNING], "a daemon on elsewhere"),
        (serving(Holder(held=True)), [OK], "PID unknown"),
        (serving(Holder(held=False)), [OK], "to start one: aiemp run"),
        (serving(Holder(held=False), stale_socket="/s"), [OK, WARNING], "without clearing up (/s is left)"),
        (serving(GONE), [OK], "no daemon serves"),
        (serving(GONE, networked=True), [OK, WARNING], "the last daemon ran on elsewhere"),
    ],
)
def test_who_serves_the_vault(findings: list[Finding], expected: list[Level], words: str) -> None:
    assert levels(findings) == expected
    assert words in findings[-1].message


def watcher(*command: str, enabled: bool = True) -> dict[str, WatcherConfig]:
    return {"mail": WatcherConfig("mail", Launch(command, Path("/")), enabled=enabled)}


def cron(text: str) -> list[Entry]:
    return starters.crontab(text, "amy")


@pytest.mark.parametrize(
    ("units", "entries", "watchers", "words"),
    [
        ([], [], {}, []),
        ([UNIT], [], {}, []),
        ([], cron("@reboot /opt/bin/aiemp run -c /s.toml"), {}, []),
        ([UNIT], cron("@reboot /opt/bin/aiemp -c /s.toml run"), {}, ["start a daemon each"]),
        ([UNIT], cron("# @reboot aiemp run\n5 5 * * * aiemp doctor && run-parts x"), {}, []),
        ([UNIT, UNIT], [], {}, ["start a daemon each"]),
        (
            [],
            cron("@reboot python3 /srv/mail_watcher.py"),
            watcher("python", "mail_watcher.py"),
            ["mail_watcher.py too"],
        ),
        (
            [],
            cron("@reboot python3 -m watchers.mail"),
            watcher("python", "-P", "-m", "watchers.mail"),
            ["watchers.mail"],
        ),
        ([], cron("@reboot python3 -m watchers.mailing"), watcher("python", "-m", "watchers.mail"), []),
        ([], cron("@reboot my-mail_watcher.py"), watcher("python", "mail_watcher.py"), []),
        ([], cron("@reboot mail_watcher.py"), watcher("python", "mail_watcher.py", enabled=False), []),
        ([], cron("5 * * * * sleep 1000"), watcher("sleep", "1000"), []),
    ],
)
def test_who_else_starts_something(
    units: list[Unit], entries: list[Entry], watchers: dict[str, WatcherConfig], words: list[str]
) -> None:
    found = list(starters.rivals(units, entries, watchers))
    assert levels(found) == [WARNING] * len(words)
    assert all(word in finding.message for word, finding in zip(words, found, strict=True))


def test_what_pm2_has_saved() -> None:
    apps = [
        {"name": "aiemp", "pm_exec_path": "/opt/bin/aiemp", "args": ["run", "-c", "/s.toml"]},
        {"name": "mail", "script": "mail_watcher.py", "args": "--fast"},
        "nonsense",
    ]
    entries = starters.pm2(apps)
    assert [(entry.where, entry.text) for entry in entries] == [
        ("pm2's app aiemp", "/opt/bin/aiemp run -c /s.toml"),
        ("pm2's app mail", "mail_watcher.py --fast"),
    ]
    assert levels(list(starters.rivals([UNIT], entries, watcher("python", "mail_watcher.py")))) == [WARNING, WARNING]
    assert starters.pm2({"apps": []}) == []


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("Dashboard.md", False),
        ("Dashboard 2.md", True),
        ("Dashboard (1).md", True),
        ("Dashboard.sync-conflict-20261125-120000-ABCDEFG.md", True),
        ("note (conflicted copy 2026-11-25 120000).md", True),
        ("note (Amy's conflicted copy 2026-11-25).md", True),
        ("note (Amys MacBook's Conflicted Copy).md", True),
        ("Chapter 2.md", False),
        ("aiemp 2.db", True),
        ("aiemp.db", False),
        ("about conflicted copy.md", False),
    ],
)
def test_what_sync_programs_leave_of_conflicts(name: str, is_one: bool) -> None:  # noqa: FBT001
    assert sync.conflicts([name]) == [name] * is_one
