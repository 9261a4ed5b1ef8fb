"""Time zones: which one is the machine's, and which ones exist."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones


def candidates(tz: str | None, localtime: str | None, timezone: str | None) -> Iterator[str]:
    """What the machine's time zone may be called, surest first; names that do not exist may be among them.

    `tz` is $TZ (tzset(3)), `localtime` what the link /etc/localtime points to (localtime(5)), `timezone` the text of
    /etc/timezone. That file is the last resort: Debian keeps it for old programs only, and `timedatectl` leaves it
    stale.
    """
    if tz is not None:
        yield _below_zoneinfo(tz.removeprefix(":")) or "UTC"  # an empty $TZ means UTC
    if localtime is not None:
        yield _below_zoneinfo(localtime)
    if timezone is not None:
        yield timezone.strip()


def _below_zoneinfo(path: str) -> str:
    """Europe/Berlin of /usr/share/zoneinfo/Europe/Berlin; what is no such path stays as it is."""
    return path.rpartition("/zoneinfo/")[2]


def exists(name: str) -> bool:
    """Whether there is a zone of this IANA name here. UTC needs no data."""
    if name == "UTC":
        return True
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: "Europe" is a folder
        return False
    return True


def known() -> Iterable[str]:
    """Every zone there is here. Slow: looks through the whole folder."""
    return available_timezones()


def machine(environ: Mapping[str, str], etc: Path = Path("/etc")) -> str:
    """The IANA name of the machine's time zone; "UTC" when it cannot be told."""
    try:
        localtime = str((etc / "localtime").readlink())
    except OSError:  # no link but a copy of the zone's data, which has no name in it
        localtime = None
    try:
        timezone = (etc / "timezone").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        timezone = None
    return next(filter(exists, candidates(environ.get("TZ"), localtime, timezone)), "UTC")
