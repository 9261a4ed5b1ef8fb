"""`aiemp next`: the coming slots as a user sees them, without any daemon."""

import json
import os
import pty
import sqlite3
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from harness import SCRIPTS, Site

from orchestrator.store.schema import MIGRATIONS

TASKS = """
[tasks.night]
frequency = "daily"
at = ["02:30", "08:00"]
command = ["true"]
[tasks.half_hours]
cron = "*/30 1-2 * * *"
command = ["true"]
[tasks.office]
cron = "15 1,9 * * 0-5"
command = ["true"]
[tasks.hours]
frequency = "hourly"
at = ":15"
command = ["true"]
[tasks.often]
every = "7h"
command = ["true"]
[tasks.asleep]
frequency = "daily"
command = ["true"]
enabled = false
[tasks.by_hand]
command = ["true"]
"""


@pytest.fixture
def tasks(site: Site) -> Site:
    site.configure(f'timezone = "Europe/Berlin"\n{TASKS}')
    return site


def coming(site: Site, *words: str) -> list[dict[str, Any]]:
    answer = site.aiemp("next", "--json", *words)
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    found: list[dict[str, Any]] = json.loads(answer.stdout)
    return found


def walked(zone: str, start: datetime, days: int, *, fixed: bool, fits: Callable[[datetime], bool]) -> list[datetime]:
    """Walk the minutes and look at the clock: `fixed` times only when it shows them first, or has jumped over them."""
    minute, seen, found = timedelta(minutes=1), set[datetime](), list[datetime]()
    last = (start - minute).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    for number in range(days * 1440 + 1):
        now = start + number * minute
        shown = now.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
        jumped = [last + n * minute for n in range(1, (shown - last) // minute)] if fixed else []
        if number and ((fits(shown) and not (fixed and shown in seen)) or any(map(fits, jumped))):
            found.append(now)
        seen.add(shown)
        last = shown
    return found


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("first", ["2026-10-20", "2026-03-01", "2026-03-20"])
def test_two_weeks_over_a_clock_change(site: Site, zone: str, first: str) -> None:
    site.configure(f'timezone = "{zone}"\n{TASKS}')
    found = coming(site, "--from", first, "--days", "14")
    start = datetime.fromisoformat(first).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)

    def of(name: str) -> list[datetime]:
        return [datetime.fromisoformat(each["slot"]) for each in found if each["task"] == name]

    def clock(shown: datetime) -> str:
        return f"{shown:%H:%M}"

    assert of("night") == walked(zone, start, 14, fixed=True, fits=lambda shown: clock(shown) in {"02:30", "08:00"})
    assert of("half_hours") == walked(
        zone, start, 14, fixed=False, fits=lambda shown: shown.minute in {0, 30} and shown.hour in {1, 2}
    )
    assert of("office") == walked(
        zone, start, 14, fixed=True, fits=lambda shown: clock(shown) in {"01:15", "09:15"} and shown.isoweekday() != 6
    )
    assert of("hours") == walked(zone, start, 14, fixed=False, fits=lambda shown: shown.minute == 15)
    assert of("often") == [start + n * timedelta(hours=7) for n in range(1, 49)]
    assert {each["task"] for each in found} == {"night", "half_hours", "office", "hours", "often"}
    assert [each["slot"] for each in found] == sorted(each["slot"] for each in found)
    for each in found:
        local = datetime.fromisoformat(each["local"])
        assert local == datetime.fromisoformat(each["slot"])
        assert local.utcoffset() == local.astimezone(ZoneInfo(zone)).utcoffset()
        assert each.keys() == {"task", "slot", "local", "note"}
        assert (each["note"] is not None) == (each["task"] == "night" and f"{local:%H:%M}" == "03:00")


def test_nothing_comes_before_the_start(site: Site) -> None:
    site.configure(
        'timezone = "Europe/Berlin"\n'
        '[tasks.often]\nevery = "7h"\nstart_at = "2026-12-01T08:00"\ncommand = ["true"]\n'
        '[tasks.day]\nfrequency = "daily"\nat = "08:00"\nstart_at = 2026-12-03\ncommand = ["true"]\n'
    )
    found = [(each["task"], each["local"]) for each in coming(site, "--from", "2026-11-25", "--count", "2")]
    assert found == [
        ("often", "2026-12-01T08:00:00+01:00"),
        ("often", "2026-12-01T15:00:00+01:00"),
        ("day", "2026-12-03T08:00:00+01:00"),
        ("day", "2026-12-04T08:00:00+01:00"),
    ]
    (later,) = coming(site, "often", "--from", "2026-12-01T09:00", "--count", "1")
    assert later["local"] == "2026-12-01T15:00:00+01:00"
    assert coming(site, "--from", "2026-11-25", "--days", "3") == []


def test_from_is_exclusive_and_in_the_configured_zone(tasks: Site) -> None:
    first = [each["local"] for each in coming(tasks, "night", "--from", "2026-06-01T08:00", "--count", "1")]
    assert first == ["2026-06-02T02:30:00+02:00"]
    same = coming(tasks, "night", "--from", "2026-06-01T05:59:59Z", "--count", "1")
    assert same == [
        {"task": "night", "slot": "2026-06-01T06:00:00Z", "local": "2026-06-01T08:00:00+02:00", "note": None}
    ]


def test_count_is_per_task_and_named_tasks_are_shown_though_disabled(tasks: Site) -> None:
    found = coming(tasks, "night", "asle*", "by_hand", "--count", "3", "--from", "2026-06-01")
    assert sorted(each["task"] for each in found) == ["asleep"] * 3 + ["night"] * 3
    assert len(coming(tasks)) == 25
    assert coming(tasks, "by_hand") == []


def test_a_seen_every_task_goes_on_in_its_rhythm(tasks: Site) -> None:
    state = tasks.vault / ".aiemp"
    state.mkdir(parents=True)
    database = sqlite3.connect(state / "aiemp.db")
    with database:
        for step in MIGRATIONS:
            database.executescript(step)
        seen = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp() * 1e6)
        database.execute("INSERT INTO tasks VALUES ('often', ?, ?, NULL, 0, 0)", (seen, f"every {7 * 3600 * 10**6} us"))
        database.execute("INSERT INTO tasks VALUES ('night', ?, '', 0, 0, 0)", (seen,))
    database.close()
    found = coming(tasks, "--from", "2026-06-01T06:00Z", "--days", "1")
    assert [each["slot"][11:16] for each in found if each["task"] == "often"] == ["07:00", "14:00", "21:00", "04:00"]
    assert not [each for each in found if each["task"] == "night"], "someone disabled it"


def test_an_unreadable_database_hinders_nothing(tasks: Site) -> None:
    (tasks.vault / ".aiemp").mkdir(parents=True)
    (tasks.vault / ".aiemp/aiemp.db").write_text("no database at all")
    assert coming(tasks, "often", "--from", "2026-06-01", "--count", "1")[0]["local"] == "2026-06-01T07:00:00+02:00"


def test_added_tasks_are_there_too(tasks: Site) -> None:
    folder = tasks.vault / ".aiemp/tasks.d"
    folder.mkdir(parents=True)
    (folder / "report.toml").write_text('[tasks.report]\ncron = "0 9 * * 1-5"\ncommand = ["true"]\n')
    (folder / "broken.toml").write_text("[tasks.broken]\n")
    broken = tasks.aiemp("next", "report")
    assert broken.returncode == 0
    assert "broken.toml:1: tasks.broken" in broken.stderr
    (folder / "broken.toml").unlink()
    found = coming(tasks, "report", "--from", "2026-06-05T12:00", "--count", "1")
    assert found[0]["local"] == "2026-06-08T09:00:00+02:00"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["nothing"], "no task is called nothing; there are night,"),
        (["--from", "yesterday"], "argument --from: 'yesterday' is no ISO date or date-time; write it like 2026-10-20"),
        (["--from", "2026-13-01"], "is no ISO date"),
        (["--from", "9999-12-31T23:00"], "too near to an end of the calendar"),
        (["--from", "0001-01-01"], "too near to an end of the calendar"),
        (["--count", "0"], "argument --count: '0' is no number from 1"),
        (["--days", "many"], "argument --days: 'many' is no number from 1"),
        (["--count", "2", "--days", "2"], "--count and --days exclude each other"),
    ],
)
def test_wrong_usage_says_what_is_wrong(tasks: Site, words: list[str], complaint: str) -> None:
    refused = tasks.aiemp("next", *words)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert complaint in refused.stderr


def test_in_a_pipe_it_is_plain_aligned_text(tasks: Site) -> None:
    answer = tasks.aiemp("next", "night", "--from", "2026-10-24T12:00", "--days", "2")
    assert answer.stdout.splitlines() == [
        "LOCAL TIME                     TASK   NOTE",
        "Sun 2026-10-25 02:30:00 +0200  night",
        "Sun 2026-10-25 02:00:00 +0100  -      clocks go back from 03:00 to 02:00",
        "Sun 2026-10-25 08:00:00 +0100  night",
        "Mon 2026-10-26 02:30:00 +0100  night",
        "Mon 2026-10-26 08:00:00 +0100  night",
    ]
    spring = tasks.aiemp("next", "night", "--from", "2026-03-28T12:00", "--count", "1")
    assert "03:00:00 +0200  night  clock change: 02:30 does not exist that day" in spring.stdout
    assert tasks.aiemp("next", "by_hand").stdout == "no coming slots: by_hand runs by hand\n"


def test_on_a_terminal_it_is_a_calendar(tasks: Site) -> None:
    master, slave = pty.openpty()
    with os.fdopen(master, "rb", buffering=0) as terminal:
        process = subprocess.Popen(
            [str(SCRIPTS / "aiemp"), "next", "night", "--from", "2026-10-24T12:00", "--days", "2"],
            cwd=tasks.folder,
            env={**tasks.environ, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "100"},
            stdin=subprocess.DEVNULL,
            stdout=slave,
        )
        os.close(slave)
        shown = b""
        try:
            while more := terminal.read(4096):
                shown += more
        except OSError:  # EIO: the other side was closed
            pass
        assert process.wait(20) == 0
    text = [line.rstrip() for line in shown.decode().replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()]
    assert text == [
        "Sunday 25 October 2026",
        "  02:30     night",
        "  02:00     clocks go back from 03:00 to 02:00",
        "  08:00     night",
        "Monday 26 October 2026",
        "  02:30     night",
        "  08:00     night",
    ]
