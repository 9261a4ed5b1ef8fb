"""PURE. One parser for each kind of value in supervisor.toml: what tomllib read -> what the program uses.

Each raises WrongValue, whose text is the second half of a problem: what is wrong; what is allowed.
"""

import math
import re
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from typing import Final, TypeVar

from orchestrator.config.wording import quoted
from orchestrator.vault.globs import Glob

T = TypeVar("T")
Parser = Callable[[object], T]

LONGEST_DURATION: Final = 36_500 * 86_400.0  # a hundred years: far beyond any use, well within datetime's arithmetic
LARGEST_SIZE: Final = 2**63 - 1
LONGEST_NAME: Final = 64
SHORTEST_INTERVAL: Final = 0.1  # seconds

# `at` of a task: a time of day, minutes past each hour, or a moment.
At = time | timedelta | datetime

_AMOUNT: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_BYTES: Final = {"": 1, "b": 1} | {
    f"{letter}{suffix}": base**power
    for suffix, base in (("b", 1000), ("ib", 1024))
    for power, letter in enumerate("kmgt", 1)
}
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")  # no leading dot or hyphen: hidden files, options
_CLOCK_TIME: Final = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?")
_PAST_HOUR: Final = re.compile(r":([0-5][0-9])(?::([0-5][0-9]))?")
_MODULE: Final = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_PACKAGE: Final = re.compile(_MODULE)
_HANDLER: Final = re.compile(rf"{_MODULE}:[^\W\d]\w*")


class WrongValue(ValueError):
    """`str()` of it is `what is wrong; what is allowed`."""

    def __init__(self, wrong: str, allowed: str) -> None:
        super().__init__(f"{wrong}; {allowed}")
        self.wrong = wrong


def shown(value: object) -> str:
    """A TOML value as a person would name it: in full when it is short and plain, else by its kind."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value)
        case int():
            return str(value) if value.bit_length() <= 64 else "a very large number"
        case float():
            return repr(value)
        case datetime() | date() | time():
            return f"the date or time {value.isoformat()}"
        case dict():
            return "a table"
        case list():
            return "a list"
        case _:
            return f"a {type(value).__name__}"


def _kind(value: object) -> str:
    """Only what sort of value it is: for places where the value may be a secret."""
    match value:
        case bool():
            return "true or false"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case datetime() | date() | time():
            return "a date or time"
        case _:
            return shown(value)


def boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise WrongValue(f"is {shown(value)}", "true or false is allowed, without quotes")


def integer(least: int, most: int | None = None) -> Parser[int]:
    allowed = f"a whole number from {least} to {most} is allowed" if most else f"a whole number from {least} is allowed"

    def parse(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < least or (most and value > most):
            raise WrongValue(f"is {shown(value)}", allowed)
        if value > LARGEST_SIZE:
            raise WrongValue("is a very large number", f"at most {LARGEST_SIZE} is allowed")
        return value

    return parse


def number(least: float) -> Parser[float]:
    def parse(value: object) -> float:
        if (
            not isinstance(value, int | float)
            or isinstance(value, bool)
            or not least <= value <= 1e9  # also not true of NaN
        ):
            raise WrongValue(f"is {shown(value)}", f"a number of at least {least:g} is allowed")
        return float(value)

    return parse


def duration(value: object) -> float:
    """Seconds. "0" needs no unit; every other string does."""
    allowed = 'a duration is a number with its unit, "250ms" "10s" "5m" "2h" "7d", or a number of seconds'
    match value:
        case bool():
            raise WrongValue(f"is {shown(value)}", allowed)
        case int() | float():
            seconds = value
        case str() if amount := _AMOUNT.fullmatch(value):
            seconds = float(amount[1]) * _SECONDS.get(amount[2], 1.0)
            if amount[2] not in _SECONDS and (amount[2] or seconds):
                wrong = f"has the unknown unit {quoted(amount[2])}" if amount[2] else "has no unit"
                raise WrongValue(f"is {quoted(value)}, which {wrong}", allowed)
        case str() if value.startswith("-") and _AMOUNT.fullmatch(value[1:]):
            raise WrongValue(f"is {quoted(value)}, which is negative", allowed)
        case _:
            raise WrongValue(f"is {shown(value)}", allowed)
    if isinstance(seconds, float) and not math.isfinite(seconds):
        raise WrongValue(f"is {seconds}", allowed)
    if seconds < 0:
        raise WrongValue(f"is {shown(value)}, which is negative", allowed)
    if seconds > LONGEST_DURATION:
        raise WrongValue(f"is {shown(value)}, which is too long", 'at most "36500d" is allowed')
    return float(seconds)


def positive_duration(value: object) -> float:
    """Seconds, more than 0."""
    seconds = duration(value)
    if not seconds:
        raise WrongValue(f"is {shown(value)}", 'a duration above 0 is needed, like "10s"')
    return seconds


def size(value: object) -> int:
    """Bytes. kB MB GB TB count in thousands, KiB MiB GiB TiB in 1024s (IEC 80000-13); case does not matter."""
    allowed = 'a size is a number with its unit, "300 MiB" "5MB" "64 KiB", or a whole number of bytes'
    match value:
        case bool():
            raise WrongValue(f"is {shown(value)}", allowed)
        case int():
            count = value
        case str() if (amount := _AMOUNT.fullmatch(value)) and (unit := _BYTES.get(amount[2].lower())):
            if unit == 1 and "." in amount[1]:
                raise WrongValue(f"is {quoted(value)}, which is no whole number of bytes", allowed)
            whole, _, fraction = amount[1].partition(".")
            count = int(whole) * unit + int(fraction or "0") * unit // 10 ** len(fraction)
        case _:
            raise WrongValue(f"is {shown(value)}", allowed)
    if count < 0:
        raise WrongValue(f"is {shown(value)}, which is negative", allowed)
    if count > LARGEST_SIZE:
        raise WrongValue(f"is {shown(value)}, which is too large", "less than 8 EiB is allowed")
    return count


def positive_size(value: object) -> int:
    """Bytes, at least 1."""
    count = size(value)
    if not count:
        raise WrongValue(f"is {shown(value)}", 'a size above 0 is needed, like "5 MiB"')
    return count


def signal_number(value: object) -> int:
    """The number of a signal that this system knows, from "TERM", "SIGTERM", "term" or the number itself."""
    allowed = 'the name of a signal is needed, like "TERM" "INT" "HUP" "QUIT" "USR1" "KILL", or its number'
    if isinstance(value, int) and not isinstance(value, bool) and value in signal.valid_signals():
        return int(value)
    if isinstance(value, str):
        upper = value.upper()
        found = signal.Signals.__members__.get(upper if upper.startswith("SIG") else f"SIG{upper}")
        if found is not None:
            return int(found)
    raise WrongValue(f"is {shown(value)}, which is no signal here", allowed)


def choice(options: Iterable[str]) -> Parser[str]:
    """One of `options`. Members of a StrEnum come back as members."""
    known = {str(option): option for option in options}
    allowed = f"allowed: {', '.join(known)}"

    def parse(value: object) -> str:
        if isinstance(value, str) and value in known:
            return known[value]
        raise WrongValue(f"is {shown(value)}", allowed)

    return parse


def list_of(item: Parser[T], allowed: str) -> Parser[tuple[T, ...]]:
    """A list whose every item is an `item`. `allowed` says what is needed, with an example."""

    def parse(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise WrongValue(f"is {shown(value)}, not a list", allowed)
        parsed = []
        for place, one in enumerate(value, 1):
            try:
                parsed.append(item(one))
            except WrongValue as wrong:
                raise WrongValue(f"item {place} of the list {wrong.wrong}", allowed) from None
        return tuple(parsed)

    return parse


def text(value: object) -> str:
    """A string that says something: not empty, no NUL."""
    if not isinstance(value, str):
        raise WrongValue(f"is {shown(value)}, not a string", 'a string in quotes is needed, "like this"')
    if not value or "\0" in value:
        raise WrongValue("contains NUL" if value else "is empty", "a string with something in it is needed")
    return value


def prompt(value: object) -> str:
    """A text for an agent, as it stands; one that says nothing would be refused by the agent."""
    found = text(value)
    if not found.strip():
        raise WrongValue("is blank", "a text for the agent is needed")
    return found


def argv(value: object) -> tuple[str, ...]:
    """A command as a list of words. Nothing is split or expanded: there is no shell."""
    if isinstance(value, str) and value.split():
        words = ", ".join(quoted(word) for word in value.split()[:8])
        raise WrongValue("is one string", f"a list of words is needed, no shell reads it: [{words}]")
    allowed = 'a list of words is needed: ["python", "-m", "watchers.filesystem"]'
    command = list_of(_word, allowed)(value)
    if not command or not command[0]:
        raise WrongValue("names no program" if command else "is empty", allowed)
    return command


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise WrongValue(f"is {shown(value)}, not a string", "a string is needed")
    if "\0" in value:
        raise WrongValue("contains NUL", "execve(2) cannot pass it")
    return value


def path(value: object) -> str:
    """A path as written; the caller puts a relative one beside the configuration file.

    `~` is refused instead of expanded: under systemd, cron or sudo it would be another home than the writer's, and
    unexpanded it would be a folder named `~`.
    """
    if isinstance(value, str) and value.startswith("~"):
        raise WrongValue(f"is {quoted(value)}, and ~ is not expanded", "write the full path, /home/…")
    return text(value)


def environment_name(value: object) -> str:
    allowed = "the name of an environment variable is not empty and has no = in it"
    if not isinstance(value, str):
        raise WrongValue(f"is {shown(value)}, not a string", allowed)
    if not value or "=" in value or "\0" in value:
        raise WrongValue(f"has the name {quoted(value)}", allowed)
    return value


def environment_value(value: object) -> str:
    """The value is never shown: it may be a secret."""
    if not isinstance(value, str):
        raise WrongValue(f"is {_kind(value)}, not a string", 'put the value in quotes, "like this"')
    if "\0" in value:
        raise WrongValue("contains NUL", "an environment variable cannot hold it")
    return value


def name(value: object) -> str:
    """The name of a watcher, task or agent: good as a file name on any system, and as a word on a command line."""
    allowed = f"a name has 1 to {LONGEST_NAME} of the characters A-Z a-z 0-9 _ . - and does not begin with . or -"
    if not isinstance(value, str):
        raise WrongValue(f"is {shown(value)}, not a string", allowed)
    if not _NAME.fullmatch(value):
        raise WrongValue(f"has the name {quoted(value)}" if value else "has an empty name", allowed)
    if len(value) > LONGEST_NAME:
        raise WrongValue(f"has a name of {len(value)} characters", allowed)
    return value


def watcher_name(value: object) -> str:
    """A name that no command takes for something else (`aiempctl restart all`, `aiempctl restart watcher inbox`)."""
    found = name(value)
    if found in {"all", "watcher"}:
        raise WrongValue(f"has the name {quoted(found)}, a word of `aiempctl`", "choose another name")
    return found


def task_name(value: object) -> str:
    """A name that no command takes for something else."""
    found = name(value)
    if found in {"all", "watcher", "task"}:
        raise WrongValue(f"has the name {quoted(found)}, a word of `aiempctl`", "choose another name")
    return found


def interval(value: object) -> float:
    """Seconds between two slots."""
    seconds = positive_duration(value)
    if seconds < SHORTEST_INTERVAL:
        raise WrongValue(f"is {shown(value)}, which is too often", 'at least "100ms" is needed')
    return seconds


def times(value: object) -> tuple[At, ...]:
    """`at` of a task, one or many: "08:00", "08:00:30", ":15" of every hour, or an ISO date-time."""
    items = value if isinstance(value, list) else [value]
    if not items:
        raise WrongValue("is an empty list", 'at least one time is needed, like "08:00"')
    return tuple(dict.fromkeys(_time(item) for item in items))


def _time(value: object) -> At:
    match value:
        case datetime():  # TOML's own, without quotes
            return value
        case time() if not value.microsecond:
            return value
        case str() if _CLOCK_TIME.fullmatch(value):
            return time.fromisoformat(value)
        case str() if past := _PAST_HOUR.fullmatch(value):
            return timedelta(minutes=int(past[1]), seconds=int(past[2] or 0))
        case str() if len(value) > 10:  # a date alone names no instant
            try:
                return datetime.fromisoformat(value)
            except ValueError:
                pass
    raise WrongValue(
        f"is {shown(value)}", 'a time is "08:00" or "08:00:30", ":15" for hourly, an ISO date-time for once, or a list'
    )


def start(value: object) -> datetime:
    """The moment from which a task fires; a date means its midnight."""
    written = value if isinstance(value, str) else value.isoformat() if isinstance(value, date) else ""
    with suppress(ValueError):
        found = datetime.fromisoformat(written)
        if 1970 <= found.year <= 9000:  # at either end of the calendar some zones have moments beyond it
            return found
    allowed = 'an ISO date-time of the years 1970 to 9000 is needed, like "2026-12-01T08:00"'
    raise WrongValue(f"is {shown(value)}", allowed)


def glob(value: object) -> str:
    """A pattern of files in the vault, checked."""
    allowed = 'a pattern is relative to the vault, like "Needs_Action/**/*.md"'
    if not isinstance(value, str):
        raise WrongValue(f"is {shown(value)}, not a string", allowed)
    try:
        return Glob(value).pattern
    except ValueError as error:
        raise WrongValue(f"is {quoted(value)}, which {error}", allowed) from None


def day_of_month(value: object) -> int | str:
    if value == "last":
        return "last"
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 31:
        return value
    raise WrongValue(f"is {shown(value)}", 'a day of the month is 1 to 31, or "last"')


def handler(value: object) -> str:
    if isinstance(value, str) and _HANDLER.fullmatch(value):
        return value
    raise WrongValue(f"is {shown(value)}", 'a handler is a module and a function, "handlers.daily:run"')


def package(value: object) -> str:
    if isinstance(value, str) and _PACKAGE.fullmatch(value):
        return value
    raise WrongValue(f"is {shown(value)}", 'the name of an installed package is needed, "my_handlers"')


def url(value: object) -> str:
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        return text(value)
    raise WrongValue(f"is {shown(value)}", 'an address is needed, like "http://localhost:8283"')


def command_or_task(value: object) -> str | tuple[str, ...]:
    """What an approved note sets off: a task by its name, or a command."""
    return name(value) if isinstance(value, str) else argv(value)
