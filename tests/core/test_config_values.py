"""Each kind of value: what is taken, as what, and what is said about the rest."""

import signal
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config import schema, values
from orchestrator.config.model import Restart
from orchestrator.config.values import WrongValue

MIB = 1024 * 1024
DAY = 86_400.0


@pytest.mark.parametrize(
    ("parse", "written", "meant"),
    [
        (values.boolean, True, True),
        (values.duration, "250ms", 0.25),
        (values.duration, "10s", 10.0),
        (values.duration, "5m", 300.0),
        (values.duration, "2h", 7200.0),
        (values.duration, "7d", 7 * DAY),
        (values.duration, "1.5 h", 5400.0),
        (values.duration, "0s", 0.0),
        (values.duration, "0", 0.0),
        (values.duration, 0, 0.0),
        (values.duration, 3, 3.0),
        (values.duration, 0.5, 0.5),
        (values.duration, "36500d", 36_500 * DAY),
        (values.positive_duration, "1ms", 0.001),
        (values.size, "300 MiB", 300 * MIB),
        (values.size, "5MB", 5_000_000),
        (values.size, "64KiB", 65_536),
        (values.size, "1.5 GiB", 1536 * MIB),
        (values.size, "0.1kB", 100),
        (values.size, "2 tb", 2 * 10**12),
        (values.size, "512 B", 512),
        (values.size, "0", 0),
        (values.size, "1024", 1024),
        (values.size, 4096, 4096),
        (values.positive_size, 1, 1),
        (values.signal_number, "TERM", 15),
        (values.signal_number, "SIGTERM", 15),
        (values.signal_number, "sigint", 2),
        (values.signal_number, "usr1", int(signal.SIGUSR1)),
        (values.signal_number, 9, 9),
        (values.integer(0, 255), 255, 255),
        (values.integer(0), 0, 0),
        (values.number(1), 1, 1.0),
        (values.number(1), 2.5, 2.5),
        (values.choice(Restart), "on-failure", Restart.ON_FAILURE),
        (values.argv, ["python", "-m", "x", "", "$HOME", "~"], ("python", "-m", "x", "", "$HOME", "~")),
        (values.text, "some words", "some words"),
        (values.path, "../vault", "../vault"),
        (values.path, "./~odd", "./~odd"),
        (values.environment_name, "KEY with space", "KEY with space"),
        (values.environment_value, "", ""),
        (values.name, "a", "a"),
        (values.name, "Gmail-2.main_x", "Gmail-2.main_x"),
        (values.name, "x" * 64, "x" * 64),
        (values.name, "all", "all"),
        (values.watcher_name, "all-mail", "all-mail"),
        (values.times, "08:00", (time(8),)),
        (values.times, ["08:00:30", ":15", "08:00:30"], (time(8, 0, 30), timedelta(minutes=15))),
        (values.times, ":07:30", (timedelta(minutes=7, seconds=30),)),
        (values.times, "2026-11-20T08:00", (datetime(2026, 11, 20, 8),)),  # noqa: DTZ001  of a zone yet to be named
        (values.times, "2026-11-20T08:00Z", (datetime(2026, 11, 20, 8, tzinfo=UTC),)),
        (values.times, tomllib.loads("at = 07:30:00")["at"], (time(7, 30),)),
        (values.times, tomllib.loads("at = 2026-11-20T08:00:00Z")["at"], (datetime(2026, 11, 20, 8, tzinfo=UTC),)),
        (values.start, "2026-12-01", datetime(2026, 12, 1)),  # noqa: DTZ001  as above
        (values.start, "2026-12-01T08:00:30+01:00", datetime.fromisoformat("2026-12-01T07:00:30Z")),
        (values.start, tomllib.loads("a = 2026-12-01")["a"], datetime(2026, 12, 1)),  # noqa: DTZ001  as above
        (values.start, tomllib.loads("a = 2026-12-01T08:00:00")["a"], datetime(2026, 12, 1, 8)),  # noqa: DTZ001  as above
        (values.start, tomllib.loads("a = 2026-12-01T08:00:00Z")["a"], datetime(2026, 12, 1, 8, tzinfo=UTC)),
        (values.interval, "100ms", 0.1),
        (values.glob, "Needs_Action/**/*.md", "Needs_Action/**/*.md"),
        (values.package, "my.handlers", "my.handlers"),
        (values.task_name, "inbox", "inbox"),
        (values.day_of_month, 31, 31),
        (values.day_of_month, "last", "last"),
        (values.handler, "handlers.daily:run", "handlers.daily:run"),
        (values.url, "http://localhost:8283", "http://localhost:8283"),
        (values.command_or_task, "send_mail", "send_mail"),
        (values.command_or_task, ["send", "mail"], ("send", "mail")),
    ],
)
def test_what_is_written_and_what_is_meant(parse: Callable[[object], Any], written: object, meant: object) -> None:
    parsed = parse(written)
    assert parsed == meant
    assert type(parsed) is type(meant)


@pytest.mark.parametrize(
    ("parse", "written", "wrong", "allowed"),
    [
        (values.boolean, "true", 'is "true"', "without quotes"),
        (values.boolean, 1, "is 1", "true or false"),
        (values.duration, True, "is true", '"250ms" "10s" "5m" "2h" "7d"'),
        (values.duration, "10", 'is "10", which has no unit', "number of seconds"),
        (values.duration, "5 parsecs", 'the unknown unit "parsecs"', '"10s"'),
        (values.duration, "0 parsecs", 'the unknown unit "parsecs"', '"10s"'),
        (values.duration, "10S", 'the unknown unit "S"', '"10s"'),
        (values.duration, "soon", 'is "soon"', '"10s"'),
        (values.duration, "", 'is ""', '"10s"'),
        (values.duration, "1h30m", 'is "1h30m"', '"10s"'),
        (values.duration, "٣s", 'is "٣s"', '"10s"'),
        (values.duration, "-5s", "negative", '"10s"'),
        (values.duration, -0.1, "is -0.1, which is negative", '"10s"'),
        (values.duration, float("nan"), "is nan", '"10s"'),
        (values.duration, float("inf"), "is inf", '"10s"'),
        (values.duration, float("-inf"), "is -inf", '"10s"'),
        (values.duration, 10**400, "too long", '"36500d"'),
        (values.duration, "36501d", "too long", '"36500d"'),
        (values.duration, [1], "is a list", '"10s"'),
        (values.duration, {"s": 1}, "is a table", '"10s"'),
        (values.positive_duration, "0s", 'is "0s"', "above 0"),
        (values.size, "3 apples", 'is "3 apples"', '"300 MiB"'),
        (values.size, "5M", 'is "5M"', '"300 MiB"'),
        (values.size, 1.5, "is 1.5", "whole number of bytes"),
        (values.size, "1.5", "no whole number of bytes", '"300 MiB"'),
        (values.size, -1, "negative", '"300 MiB"'),
        (values.size, False, "is false", '"300 MiB"'),
        (values.size, "10000000000 GB", "too large", "8 EiB"),
        (values.size, 10**400, "is a very large number", "8 EiB"),
        (values.positive_size, "0 MiB", 'is "0 MiB"', "above 0"),
        (values.signal_number, "NOPE", "no signal here", '"TERM"'),
        (values.signal_number, 0, "is 0", '"TERM"'),
        (values.signal_number, True, "is true", '"TERM"'),
        (values.signal_number, 999, "is 999", "its number"),
        (values.signal_number, "SIG", "no signal here", '"TERM"'),
        (values.integer(0, 255), 256, "is 256", "from 0 to 255"),
        (values.integer(0, 255), 1.0, "is 1.0", "whole number"),
        (values.integer(1), 0, "is 0", "from 1"),
        (values.integer(0), 2**64, "very large", "at most"),
        (values.integer(0), False, "is false", "whole number"),
        (values.number(1), 0.5, "is 0.5", "at least 1"),
        (values.number(1), float("nan"), "is nan", "at least 1"),
        (values.number(1), float("inf"), "is inf", "at least 1"),
        (values.number(1), "2", 'is "2"', "a number"),
        (values.number(1), True, "is true", "a number"),
        (values.choice(Restart), "allways", 'is "allways"', "always, on-failure, never"),
        (values.choice(Restart), True, "is true", "always, on-failure, never"),
        (values.argv, 'run "it" now', "is one string", r'["run", "\"it\"", "now"]'),
        (values.argv, "  ", 'is "  "', "a list of words"),
        (values.argv, [], "is empty", "a list of words"),
        (values.argv, ["", "x"], "names no program", "a list of words"),
        (values.argv, ["x", 5], "item 2 of the list is 5", "a list of words"),
        (values.argv, ["x", "a;b\0"], "item 2 of the list contains NUL", "a list of words"),
        (values.argv, {"x": 1}, "is a table", "a list of words"),
        (values.text, "", "is empty", "with something in it"),
        (values.prompt, " \n", "is blank", "a text for the agent"),
        (values.text, "a\0", "contains NUL", "with something in it"),
        (values.text, tomllib.loads("x = 2026-01-01")["x"], "date or time 2026-01-01", "in quotes"),
        (values.path, "~/vault", "~ is not expanded", "full path"),
        (values.path, "~", "~ is not expanded", "full path"),
        (values.path, "", "is empty", "with something in it"),
        (values.environment_name, "A=B", '"A=B"', "no ="),
        (values.environment_name, "", '""', "not empty"),
        (values.environment_name, 5, "is 5", "environment variable"),
        (values.environment_value, 5, "is a number", "in quotes"),
        (values.environment_value, True, "is true or false", "in quotes"),
        (values.environment_value, ["x"], "is a list", "in quotes"),
        (values.environment_value, "a\0b", "contains NUL", "cannot hold"),
        (values.name, "", "empty name", "1 to 64"),
        (values.name, "x" * 65, "65 characters", "1 to 64"),
        (values.name, ".hidden", '".hidden"', "begin with ."),
        (values.name, "-c", '"-c"', "begin with . or -"),
        (values.name, "a/b", '"a/b"', "A-Z a-z 0-9"),
        (values.name, "über", '"über"', "A-Z a-z 0-9"),
        (values.name, "a\n", r'"a\n"', "A-Z a-z 0-9"),
        (values.name, 5, "is 5", "1 to 64"),
        (values.watcher_name, "all", "a word of `aiempctl`", "another name"),
        (values.watcher_name, "watcher", "a word of `aiempctl`", "another name"),
        (values.times, "8:00", 'is "8:00"', '"08:00"'),
        (values.times, "24:00", 'is "24:00"', '"08:00"'),
        (values.times, "2026-13-01T00:00", "is", "ISO date-time"),
        (values.times, "2026-11-20", "is", "ISO date-time"),
        (values.times, [], "is an empty list", "at least one"),
        (values.times, ":60", 'is ":60"', '":15" for hourly'),
        (values.times, tomllib.loads("at = 07:30:00.5")["at"], "is the date or time 07:30:00.5", '"08:00:30"'),
        (values.times, 8, "is 8", '"08:00"'),
        (values.start, "08:00", 'is "08:00"', "an ISO date-time"),
        (values.start, "", 'is ""', '"2026-12-01T08:00"'),
        (values.start, 1_800_000_000, "is 1800000000", "an ISO date-time"),
        (values.start, tomllib.loads("a = 08:00:00")["a"], "is the date or time 08:00:00", "an ISO date-time"),
        (values.start, "0001-01-01T00:00+14:00", 'is "0001-01-01T00:00+14:00"', "of the years 1970 to 9000"),
        (values.start, "9999-12-31", 'is "9999-12-31"', "of the years 1970 to 9000"),
        (values.interval, "99ms", "too often", '"100ms"'),
        (values.interval, 0, "is 0", "above 0"),
        (values.glob, 5, "not a string", "relative to the vault"),
        (values.glob, "/x", 'is "/x", which begins with /', "relative to the vault"),
        (values.package, "my-handlers", '"my-handlers"', "installed package"),
        (values.task_name, "task", "a word of `aiempctl`", "another name"),
        (values.task_name, "all", "a word of `aiempctl`", "another name"),
        (values.day_of_month, 32, "is 32", "1 to 31"),
        (values.day_of_month, True, "is true", "1 to 31"),
        (values.handler, "handlers.daily", "is", "handlers.daily:run"),
        (values.handler, "os:system(1)", "is", "handlers.daily:run"),
        (values.url, "localhost", "is", "http://"),
        (values.command_or_task, "no good name", "has the name", "1 to 64"),
    ],
)
def test_what_is_wrong_and_what_is_allowed(
    parse: Callable[[object], Any], written: object, wrong: str, allowed: str
) -> None:
    with pytest.raises(WrongValue) as caught:
        parse(written)
    said, _, remedy = str(caught.value).rpartition("; ")
    assert wrong in said
    assert allowed in remedy


def test_a_secret_in_the_environment_is_not_repeated() -> None:
    with pytest.raises(WrongValue) as caught:
        values.environment_value(1234567890)
    assert "1234567890" not in str(caught.value)


def test_a_number_too_long_for_python_to_print_is_named_all_the_same() -> None:
    number = tomllib.loads(f"x = 0x{'f' * 5000}")["x"]  # only decimal numbers are limited to 4,300 digits
    with pytest.raises(WrongValue, match="a very large number"):
        values.size(number)
    with pytest.raises(WrongValue, match="a very large number"):
        values.name(number)


def test_a_long_value_is_cut() -> None:
    with pytest.raises(WrongValue) as caught:
        values.duration("x" * 10_000)
    assert len(str(caught.value)) < 250


_toml = st.recursive(
    st.one_of(
        st.text(max_size=8),
        st.integers(),
        st.integers(min_value=10**400, max_value=10**401),
        st.floats(),
        st.booleans(),
        st.datetimes(),
        st.dates(),
        st.times(),
        st.sampled_from(["10s", "5 MiB", "08:00", "daily", "python", "last"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


def _leaves(node: schema.Node) -> list[Callable[[object], Any]]:
    match node:
        case schema.Table():
            return [leaf for child in node.keys.values() for leaf in _leaves(child)]
        case schema.Named():
            return _leaves(node.each)
        case _:
            return [node]


@given(_toml)
def test_every_parser_takes_a_value_or_says_in_one_line_why_not(value: object) -> None:
    for parse in _leaves(schema.FILE):
        try:
            parse(value)
            said = "taken; "
        except WrongValue as wrong:
            said = str(wrong)
        assert said.isprintable()
        assert "; " in said


@given(st.integers(0, 10**6), st.sampled_from(["ms", "s", "m"]))
def test_durations_are_seconds(count: int, unit: str) -> None:
    factor = {"ms": 0.001, "s": 1, "m": 60}[unit]
    assert values.duration(f"{count}{unit}") == pytest.approx(count * factor)


@given(st.integers(0, 2**63 - 1))
def test_sizes_in_bytes_are_exact(count: int) -> None:
    if count < 10**15:
        assert values.size(f"{count} B") == count
    assert values.size(count) == count
