"""PURE. Cron expressions: checked word by word, and compiled. cronsim reads the fields and knows which days match."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from cronsim import CronSim, CronSimError

from orchestrator.config.wording import quoted
from orchestrator.schedule.pattern import Pattern

NICKNAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}

_FIELDS: Final = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day of the month": "1 to 31, L (the last day) or LW (the last weekday)",
    "month": "1 to 12, or jan to dec",
    "day of the week": "0 to 7 (both are Sunday), sun to sat, 5#2 (the second Friday) or 5L (the last)",
}
_START: Final = datetime(2000, 1, 1)  # noqa: DTZ001  cron knows no zone; when to begin does not matter


def check_cron(expression: str) -> str:
    """The expression in its five fields, one blank between them; nicknames like @daily written out.

    Raises ValueError with the second half of a problem, what is wrong and what is allowed, when it is no cron
    expression or never fires.
    """
    words = expression.split()
    if expression.lstrip().startswith("@"):
        known = NICKNAMES.get(" ".join(words).lower())
        if known is None:
            raise ValueError(
                f"is {quoted(expression)}, which is unknown; allowed: {' '.join(NICKNAMES)}, or five fields"
            )
        return known
    if len(words) != len(_FIELDS):
        count = "1 field" if len(words) == 1 else f"{len(words)} fields"
        raise ValueError(
            f"is {quoted(expression)}, which has {count}; five are needed, {', '.join(_FIELDS)}:"
            ' "0 9 * * 1-5"; there are no seconds and no years'
        )
    for place, (word, (name, allowed)) in enumerate(zip(words, _FIELDS.items(), strict=True)):
        if not _readable(word, place):
            raise ValueError(
                f"has {quoted(word)} as its {name}; allowed: {allowed}, * for all, and of these"
                " lists 1,3 ranges 1-5 steps */2"
            )
    normal = " ".join(words)
    if not _fires(normal):
        raise ValueError(f"is {quoted(normal)}, which never fires; a day that its months have is needed")
    return normal


def compile_cron(expression: str) -> Pattern:
    """What a checked expression means."""
    words = expression.split()
    minute, hour, *_ = words
    parsed = CronSim(" ".join(_without_vain_steps(word, place) for place, word in enumerate(words)), _START)
    return Pattern(
        seconds=tuple(h * 3600 + m * 60 for h in sorted(parsed.hours) for m in sorted(parsed.minutes)),
        fits=parsed.match_day,
        months=frozenset(parsed.months),
        every_real_minute=minute.startswith("*") or hour.startswith("*"),
    )


def _without_vain_steps(word: str, place: int) -> str:
    """`word` with 5 for 5-5/2, which cronsim takes for 5/2: every second value from 5 on."""
    terms = []
    for term in word.split(","):
        span, slash, _ = term.partition("/")
        first, dash, _ = span.partition("-")
        vain = slash and dash and len(_values(span, place)) == 1
        terms.append(first if vain else term)
    return ",".join(terms)


def _values(word: str, place: int) -> Collection[object]:
    """What cronsim reads out of `word` as the field at `place`. Raises CronSimError or ValueError."""
    fields = ["*"] * len(_FIELDS)
    fields[place] = word
    parsed = CronSim(" ".join(fields), _START)
    return (parsed.minutes, parsed.hours, parsed.days, parsed.months, parsed.weekdays)[place]


def _readable(word: str, place: int) -> bool:
    """Whether cronsim takes `word` as the field at `place`."""
    if not word.isascii():  # it makes capitals first, and there are letters whose capital is an S or a K
        return False
    try:
        _values(word, place)
    except (CronSimError, ValueError):  # ValueError: more digits than int() takes
        return False
    return True


def _fires(expression: str) -> bool:
    try:
        return compile_cron(expression).first(_START) is not None
    except CronSimError:  # a day that none of its months has, which it notices for some expressions only
        return False
