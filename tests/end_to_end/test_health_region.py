"""The health region of Dashboard.md, and every byte outside it."""

import os
import re
import stat
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from harness import PATIENT, SLEEPER, Site, until

pytestmark = PATIENT

START, END = b"<!-- aiemp:health:start -->", b"<!-- aiemp:health:end -->"
HEADER = b"| Component | Status | Since | Details |"


def put(path: Path, content: bytes) -> None:
    """Write a file of yesterday's: one that was just written may go on being written, and is waited for."""
    path.write_bytes(content)
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 86_400))


def shown(path: Path) -> bytes:
    """Wait for the table in a Dashboard, and give the file's content."""
    until(lambda: path.exists() and b"sleeper" in path.read_bytes(), "the table")
    return path.read_bytes()


def taken_apart(content: bytes) -> tuple[bytes, bytes, bytes]:
    """What stands before the region, in it, and behind it."""
    assert (content.count(START), content.count(END)) == (1, 1)
    start, end = content.index(START), content.index(END) + len(END)
    assert HEADER in content[start:end]
    return content[:start], content[start:end], content[end:]


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        (
            b"\xef\xbb\xbf# Mine\r\n\r\n## \xf0\x9f\xa9\xba System Health\r\n\r\ntext | with pipes\r\n",
            b"\r\n## After\r\nlast",
        ),
        (b"# Mine\n\n## system health \xe2\x9a\xa1\ntext  \n\ttab\n", b"\n\n# After\n"),
        (b"# Mine\n\nno section for it\n", b""),
        (b"# Mine\n\nno section, and no newline at the end", b""),
    ],
)
def test_it_keeps_every_other_byte(site: Site, head: bytes, rest: bytes) -> None:
    site.vault.mkdir()
    path = site.vault / "Dashboard.md"
    put(path, head + rest)
    site.start(text=SLEEPER)
    before, region, after = taken_apart(shown(path))
    eol = b"\r\n" if b"\r\n" in head else b"\n"
    if head.endswith(eol):
        assert before in {head, head + eol}  # at most one blank line before the markers
        assert after == eol + rest  # the markers' own line ends
    else:
        assert before in {head + eol, head + 2 * eol}
        assert after == b""  # no final newline before, and so none now
    assert region.count(b"\n") == region.count(eol)
    assert site.stop() == 0
    assert taken_apart(path.read_bytes())[::2] == (before, after)


def test_the_region_stays_where_someone_has_put_it(site: Site) -> None:
    site.vault.mkdir()
    path = site.vault / "Dashboard.md"
    decoys = b"---\nkey: |\n  x\n%b\n---\n```md\n%b\n%b\n```\nin a line: %b\n" % (START, START, END, END)
    mine = decoys + b"\n" + START + b"\nold\n" + END + b"  \n\n\n## System Health\n"
    put(path, mine)
    path.chmod(0o640)
    site.start(text=SLEEPER)
    content = shown(path)
    assert content.startswith(decoys + b"\n" + START + b"\n")
    assert content.endswith(END + b"  \n\n\n## System Health\n")
    region = content[len(decoys) + 1 : content.rindex(END)]
    assert HEADER in region
    assert b"old" not in region
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert site.problems() == ""


@pytest.mark.parametrize("old", [None, b""])
def test_where_there_is_none_it_is_written_new(site: Site, old: bytes | None) -> None:
    site.vault.mkdir()
    path = site.vault / "Dashboard.md"
    if old is not None:
        put(path, old)
    site.start(text=SLEEPER)
    until(lambda: "sleeper" in site.dashboard(), "the table")
    before, _, after = taken_apart(path.read_bytes())
    assert before.strip() == b""
    assert after in {b"", b"\n"}


LEFT_ALONE = {
    "NUL": b"# Mine\0\n",
    "no UTF-8": b"# M\xfcnchen\n",
    "a start only": START + b"\n",
    "an end only": b"# Mine\n" + END + b"\n",
    "nested": START + b"\n" + START + b"\n" + END + b"\n" + END + b"\n",
    "reversed": END + b"\n" + START + b"\n",
    "repeated": 2 * (START + b"\n" + END + b"\n"),
}


@pytest.mark.parametrize("kind", [*LEFT_ALONE, "a FIFO", "a folder", "a link out", "a link in a circle"])
def test_what_cannot_be_trusted_is_left_alone_and_reported(site: Site, kind: str) -> None:
    site.vault.mkdir()
    path, outside = site.vault / "Dashboard.md", site.folder / "outside.md"
    outside.write_bytes(b"# Not in the vault\n")
    match kind:
        case "a FIFO":
            os.mkfifo(path)
        case "a folder":
            path.mkdir()
        case "a link out":
            path.symlink_to("../outside.md")
        case "a link in a circle":
            path.symlink_to("Dashboard.md")
        case _:
            path.write_bytes(LEFT_ALONE[kind])
    before = path.lstat()
    site.start(text=SLEEPER)
    site.wait_for("sleeper", "running")
    until(lambda: str(path) in site.problems(), "the problem in status")
    assert "left alone" in site.problems()
    assert site.stop() == 0  # which writes a last time
    after = path.lstat()
    assert (before.st_ino, before.st_mode, before.st_mtime_ns) == (after.st_ino, after.st_mode, after.st_mtime_ns)
    if kind in LEFT_ALONE:
        assert path.read_bytes() == LEFT_ALONE[kind]
    assert outside.read_bytes() == b"# Not in the vault\n"
    assert [each for each in site.vault.iterdir() if "ashboard" in each.name] == [path]


def test_a_link_within_the_vault_is_written_through(site: Site) -> None:
    (site.vault / "Notes").mkdir(parents=True)
    path, target = site.vault / "Dashboard.md", site.vault / "Notes/Home.md"
    put(target, b"# Mine\n")
    path.symlink_to("Notes/Home.md")
    site.start(text=SLEEPER)
    before, _, _ = taken_apart(shown(target))
    assert before == b"# Mine\n\n"
    assert path.readlink() == Path("Notes/Home.md")
    assert not target.is_symlink()
    assert site.problems() == ""


def test_what_someone_writes_meanwhile_is_kept(site: Site) -> None:
    site.vault.mkdir()
    path = site.vault / "Dashboard.md"
    put(path, b"# Mine\n")
    site.start(text=SLEEPER)
    until(lambda: b"| sleeper | \xf0\x9f\x9f\xa2 running |" in path.read_bytes(), "it to be shown as running")
    for verb, state in (("stop", b"\xe2\x9a\xaa stopped"), ("start", b"\xf0\x9f\x9f\xa2 running")):
        line = b"before I said: %s\n" % verb.encode()
        edited = path.read_bytes().replace(b"# Mine\n", b"# Mine\n" + line) + line
        path.write_bytes(edited)
        assert site.ctl(verb, "sleeper").returncode == 0
        until(lambda: b"| sleeper | " + state + b" |" in path.read_bytes(), "the news")  # noqa: B023  called at once
        assert taken_apart(path.read_bytes())[::2] == taken_apart(edited)[::2]


def test_it_is_written_at_most_once_a_second(site: Site) -> None:
    tells = site.python(
        "tells", 'number = 0\nwhile True:\n    number += 1\n    tell(f"STATUS={number}")\n    time.sleep(0.01)'
    )
    site.start(text=f'[watchers.tells]\ncommand = {tells}\nstart_seconds = "0s"\n{SLEEPER}')
    path = site.vault / "Dashboard.md"
    shown(path)
    seen: set[int] = set()

    def enough() -> bool:
        seen.add(path.stat().st_mtime_ns)
        return len(seen) >= 4

    until(enough, "four versions")
    assert all(later - earlier >= 0.98e9 for earlier, later in pairwise(sorted(seen))), seen


def test_its_times_are_those_of_the_configured_zone(site: Site) -> None:
    def check(zone: str) -> None:
        def right() -> bool:
            text = site.dashboard()
            checked = re.search(r"checked (\d\d:\d\d) on (\d{4}-\d\d-\d\d)", text)
            since = re.search(r"^\| sleeper \|[^|]*\| (\d{4}-\d\d-\d\d) (\d\d:\d\d) \|", text, re.MULTILINE)
            if checked is None or since is None:
                return False
            now = datetime.now(ZoneInfo(zone)).replace(tzinfo=None)
            written = [f"{checked[2]} {checked[1]}", f"{since[1]} {since[2]}"]
            return all(abs(datetime.fromisoformat(each) - now) < timedelta(minutes=10) for each in written)

        until(right, f"the times of {zone}")

    site.start(text=f'timezone = "Pacific/Kiritimati"\n{SLEEPER}', TZ="America/New_York")
    check("Pacific/Kiritimati")
    site.configure(f'timezone = "Pacific/Marquesas"\n{SLEEPER}')
    assert site.ctl("reload").returncode == 0
    check("Pacific/Marquesas")
