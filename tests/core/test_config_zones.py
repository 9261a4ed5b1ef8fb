"""What the machine's time zone is called."""

from pathlib import Path

import pytest

from orchestrator.config import zones


@pytest.mark.parametrize(
    ("tz", "localtime", "timezone", "expected"),
    [
        ("Europe/Berlin", "/usr/share/zoneinfo/UTC", "UTC\n", ["Europe/Berlin", "UTC", "UTC"]),
        (":Europe/Berlin", None, None, ["Europe/Berlin"]),
        (":/usr/share/zoneinfo/Europe/Berlin", None, None, ["Europe/Berlin"]),
        ("", None, None, ["UTC"]),
        (None, "../usr/share/zoneinfo/America/Argentina/Salta", None, ["America/Argentina/Salta"]),
        (None, "/var/db/timezone/zoneinfo/Asia/Tokyo", None, ["Asia/Tokyo"]),  # macOS
        (None, None, "Asia/Tokyo\n", ["Asia/Tokyo"]),
        (None, None, None, []),
    ],
)
def test_the_surest_source_comes_first(
    tz: str | None, localtime: str | None, timezone: str | None, expected: list[str]
) -> None:
    assert list(zones.candidates(tz, localtime, timezone)) == expected


@pytest.mark.parametrize(
    ("environ", "link", "text", "expected"),
    [
        ({"TZ": "Asia/Tokyo"}, "/usr/share/zoneinfo/Europe/Berlin", "Europe/Paris", "Asia/Tokyo"),
        ({"TZ": "CET-1CEST,M3.5.0,M10.5.0/3"}, "/usr/share/zoneinfo/Europe/Berlin", None, "Europe/Berlin"),
        ({}, "/usr/share/zoneinfo/Europe/Berlin", "Europe/Paris", "Europe/Berlin"),
        ({}, "/elsewhere/unknown", "Europe/Paris\n", "Europe/Paris"),
        ({}, None, "Europe/Paris\n", "Europe/Paris"),
        ({}, None, "nonsense", "UTC"),
        ({}, None, None, "UTC"),
    ],
)
def test_the_machines_zone_is_the_first_that_exists(
    tmp_path: Path, environ: dict[str, str], link: str | None, text: str | None, expected: str
) -> None:
    if link is not None:
        (tmp_path / "localtime").symlink_to(link)
    else:
        (tmp_path / "localtime").write_bytes(b"TZif2")  # a copy has no name
    if text is not None:
        (tmp_path / "timezone").write_text(text)
    assert zones.machine(environ, tmp_path) == expected


def test_an_unreadable_timezone_file_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "timezone").write_bytes(b"\xff\xfe")
    assert zones.machine({}, tmp_path) == "UTC"


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "Etc/UTC", "America/Argentina/Salta"])
def test_zones_that_exist(name: str) -> None:
    assert zones.exists(name)


@pytest.mark.parametrize(
    "name",
    ["", "Europe", "Europe/Berln", "../../etc/passwd", "/etc/localtime", "tzdata.zi", "a\0b", "\udc80", "x" * 5000],
)
def test_names_that_are_no_zones(name: str) -> None:
    assert not zones.exists(name)
