"""When a limit ends, by what is said of it."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.agents.limits import reset

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)  # a Wednesday; 4:00 in Berlin


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Claude Code's own words, of several years
        ("You've hit your limit · resets 1pm (Europe/Lisbon)", "2026-11-25T13:00"),
        ("You've hit your 5-hour limit · resets 7:32am (UTC)", "2026-11-25T07:32"),
        ("You've hit your weekly limit · resets Nov 30, 2:32am (UTC)", "2026-11-30T02:32"),
        ("You've hit your session limit · resets 12:50am (America/Los_Angeles)", "2026-11-25T08:50"),
        ("You've hit your weekly limit · resets 7:46am (UTC) · out of usage credits", "2026-11-25T07:46"),
        ("You've hit your monthly spend limit · raise it · your 5-hour limit resets 7:46am (UTC)", "2026-11-25T07:46"),
        ("You've hit your weekly limit · resets Mon 12:00am", "2026-11-29T23:00"),
        ("You're out of extra usage · resets Feb 4, 8pm (Europe/Budapest)", "2027-02-04T19:00"),
        ("5-hour limit reached ∙ resets 3am", "2026-11-26T02:00"),
        ("Weekly limit reached · resets 10am (Asia/Seoul) · /upgrade to Max", "2026-11-26T01:00"),
        ("Claude usage limit reached. Your limit will reset at 3pm (America/Bogota).", "2026-11-25T20:00"),
        ("Claude AI usage limit reached|1795600000", "2026-11-25T09:46:40"),
        ("spend limit reached (daily; resets 2026-11-26 00:00 UTC)", "2026-11-26T00:00"),
        ("You will regain access on 2026-12-01 at 00:00 UTC.", "2026-12-01T00:00"),
        # days and times in other orders and forms
        ("resets at 15:30", "2026-11-25T14:30"),
        ("resets Dec 12 at 3pm (America/New_York)", "2026-12-12T20:00"),
        ("resets Mon 10am", "2026-11-30T09:00"),
        ("resets Wed 10am", "2026-11-25T09:00"),
        ("resets Wednesday, 3am", "2026-12-02T02:00"),
        ("resets Sunday, Nov 29th, 3pm", "2026-11-29T14:00"),
        ("resets at noon tomorrow", "2026-11-26T11:00"),
        ("resets today at 5:15 p.m.", "2026-11-25T16:15"),
        ("resets 10am on Monday", "2026-11-30T09:00"),
        ("resets Dec 12", "2026-12-11T23:00"),
        ("resets Jan 1, 2027, 12am (UTC)", "2027-01-01T00:00"),
        ("resets 12am", "2026-11-25T23:00"),
        ("resets 12pm", "2026-11-25T11:00"),
        ("try again at 6:00 AM UTC", "2026-11-25T06:00"),
        # a zone that there is not
        ("resets 3pm (Mars/Olympus)", "2026-11-25T14:00"),
        ("resets 3pm (Europe)", "2026-11-25T14:00"),
        ("resets 3pm (../../etc/passwd)", "2026-11-25T14:00"),
        # for programs
        ('{"resetsAt":1795600000}', "2026-11-25T09:46:40"),
        ('"resets_at": "1795600000000"', "2026-11-25T09:46:40"),
        ("anthropic-ratelimit-unified-reset: 1795600000", "2026-11-25T09:46:40"),
        ("retry-after: 3", "2026-11-25T03:00:03"),
        ('"retry-after":"90"', "2026-11-25T03:01:30"),
        ("retry-after-ms: 1500", "2026-11-25T03:00:01.500000"),
        ("Retry-After: Wed, 25 Nov 2026 07:28:00 GMT", "2026-11-25T07:28"),
        ("resets 2026-11-26T10:00:00Z", "2026-11-26T10:00"),
        ("resets_at: 2026-11-26T10:00:00.123+02:00", "2026-11-26T08:00"),
        ("resets in 2h 5m", "2026-11-25T05:05"),
        ("Please retry again in 1 hour and 20 minutes", "2026-11-25T04:20"),
        ("try again after 30 seconds", "2026-11-25T03:00:30"),
    ],
)
def test_a_named_time(text: str, expected: str) -> None:
    assert reset(text, NOW, BERLIN) == utc(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "resets",
        "You've hit your org's monthly usage limit",
        "You're out of extra usage. Add more at claude.ai/settings/usage and keep going.",
        "Please try again later.",
        "resets 13pm",
        "resets 25:99",
        "resets 3",
        "resets Feb 30, 3pm",
        "resets 9999-99-99 00:00 UTC",
        "the meeting is at 3pm",
        "reached|9999999999",  # in 2286
        "see request 1795600000",
    ],
)
def test_no_time_is_named(text: str) -> None:
    assert reset(text, NOW, BERLIN) is None


@pytest.mark.parametrize(
    "text",
    [
        "resets 3:59am",  # a minute ago
        "resets 4am",
        "resets 2:58am (UTC)",
        "resets Nov 20, 3am",  # a day that is past is not next year's
        "reached|1795500000",
        "resets 2026-08-09 00:00 UTC",
        "retry-after: 0",
    ],
)
def test_what_is_just_past_is_now(text: str) -> None:
    assert reset(text, NOW, BERLIN) == NOW


def test_three_minutes_ago_is_tomorrow() -> None:
    assert reset("resets 3:57am", NOW, BERLIN) == utc("2026-11-26T02:57")


def test_the_turn_of_the_year() -> None:
    assert reset("resets Jan 2, 1am (UTC)", utc("2026-12-31T23:00"), BERLIN) == utc("2027-01-02T01:00")
    assert reset("resets Dec 31, 11pm (UTC)", utc("2027-01-01T02:00"), BERLIN) == utc("2027-01-01T02:00")
    assert reset("resets Feb 29, 1am (UTC)", utc("2027-12-31T23:00"), BERLIN) == utc("2028-02-29T01:00")


@pytest.mark.parametrize(
    ("now", "text", "expected"),
    [
        # 2026-03-29: 2:00 to 3:00 is left out; 2026-10-25: 2:00 to 3:00 is there twice
        ("2026-03-28T12:00", "resets 2:30am", "2026-03-29T01:00"),
        ("2026-03-28T12:00", "resets 3am", "2026-03-29T01:00"),
        ("2026-10-24T12:00", "resets 2:30am", "2026-10-25T00:30"),
        ("2026-10-25T00:45", "resets 2:30am", "2026-10-25T01:30"),
        ("2026-10-25T01:45", "resets 2:30am", "2026-10-26T01:30"),
    ],
)
def test_the_clocks_are_changed(now: str, text: str, expected: str) -> None:
    assert reset(text, utc(now), BERLIN) == utc(expected)


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"]
MOMENTS = st.integers(0, 5 * 365 * 86_400).map(
    lambda seconds: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


@given(
    now=MOMENTS,
    zone=st.sampled_from(ZONES),
    hour=st.integers(1, 12),
    minute=st.integers(0, 59),
    half=st.sampled_from("ap"),
)
def test_a_time_without_a_day_is_within_a_day(now: datetime, zone: str, hour: int, minute: int, half: str) -> None:
    found = reset(f"resets {hour}:{minute:02}{half}m ({zone})", now, BERLIN)
    assert found is not None
    assert now <= found <= now + timedelta(hours=25)
    shown = found.astimezone(ZoneInfo(zone))
    clock = (hour % 12 + 12 * (half == "p"), minute)
    skipped = shown.utcoffset() != (found - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).utcoffset()
    assert (shown.hour, shown.minute) == clock or found == now or skipped


WORDS = [
    "resets ",
    "at ",
    "Mon ",
    "Feb 4, ",
    "3pm ",
    "15:30 ",
    "(Europe/Lisbon)",
    "in 2h ",
    "|",
    "1795600000 ",
    "retry-after: ",
]


@given(text=st.one_of(st.text(), st.lists(st.sampled_from(WORDS) | st.text(max_size=4)).map("".join)), now=MOMENTS)
def test_whatever_is_said_no_time_is_past(text: str, now: datetime) -> None:
    found = reset(text, now, BERLIN)
    assert found is None or (found >= now and found.utcoffset() == timedelta(0))


@pytest.mark.parametrize("now", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)])
def test_the_ends_of_the_calendar(now: datetime) -> None:
    for text in (
        "resets 3am",
        "resets Mon 10am",
        "resets Feb 4, 8pm",
        "resets in 99999 days",
        "retry-after: 999999999",
    ):
        found = reset(text, now, UTC)
        assert found is None or found >= now
