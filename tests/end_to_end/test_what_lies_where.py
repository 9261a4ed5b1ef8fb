"""Files, modes and sockets: what lies where, and what is left alone."""

import json
import socket
import stat
from pathlib import Path

import pytest
from harness import PATIENCE, SLEEPER, Site, until


def test_state_and_socket_are_the_owners_alone(site: Site) -> None:
    site.start(text=SLEEPER)
    state = site.vault / ".aiemp"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "control.sock").stat().st_mode) == 0o600
    assert stat.S_IMODE((state / "aiemp.db").stat().st_mode) == 0o600


def test_a_long_vault_path_puts_the_socket_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    site = Site(deep)
    try:
        site.start(text=SLEEPER, XDG_RUNTIME_DIR="")
        site.wait_for("sleeper", "running")
        path = Path((site.vault / ".aiemp/control.path").read_text().strip())
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    finally:
        folder = Path((site.vault / ".aiemp/control.path").read_text().strip()).parent
        site.clean_up()
        assert not folder.exists()


def test_the_dashboard_keeps_every_other_byte(site: Site) -> None:
    site.vault.mkdir()
    path = site.vault / "Dashboard.md"
    mine = (
        b"\xef\xbb\xbf# Mine\r\n\r\n## \xf0\x9f\xa9\xba System Health\r\n\r\ntext | with pipes\r\n\r\n## After\r\nlast"
    )
    path.write_bytes(mine)
    site.start(text=SLEEPER)
    until(lambda: b"sleeper" in path.read_bytes(), "the table")
    content = path.read_bytes()
    start, end = b"<!-- aiemp:health:start -->", b"<!-- aiemp:health:end -->"
    assert content.index(b"text | with") < content.index(start) < content.index(end) < content.index(b"## After")
    outside = content[: content.index(start)] + content[content.index(end) + len(end) :]
    assert outside.replace(b"\r\n", b"") == mine.replace(b"\r\n", b"")
    assert b"| Component | Status | Since | Details |" in content


def test_a_dashboard_that_cannot_be_trusted_is_left_alone_and_reported(site: Site) -> None:
    site.vault.mkdir()
    (site.vault / "Dashboard.md").write_bytes(b"\0\0\0")
    site.start(text=SLEEPER)
    until(lambda: any("Dashboard" in line for line in site.status()["supervisor"]["problems"]), "the problem")
    assert (site.vault / "Dashboard.md").read_bytes() == b"\0\0\0"


def test_a_damaged_database_is_set_aside(site: Site) -> None:
    (site.vault / ".aiemp").mkdir(parents=True, mode=0o700)
    (site.vault / ".aiemp/aiemp.db").write_bytes(b"this is no database" * 100)
    site.start(text=SLEEPER)
    site.wait_for("sleeper", "running")
    until(lambda: any("aiemp.db" in line for line in site.status()["supervisor"]["problems"]), "the problem")
    assert list((site.vault / ".aiemp").glob("aiemp.db.damaged-*"))


def test_without_a_daemon_status_shows_what_was(site: Site) -> None:
    site.start(text=SLEEPER)
    site.wait_for("sleeper", "running")
    (site.vault / "Needs_Action").mkdir()
    (site.vault / "Needs_Action/note.md").touch()
    site.stop()
    answer = site.ctl("status", "--json")
    assert answer.returncode == 4
    found = json.loads(answer.stdout)
    assert found["supervisor"]["state"] == "not running"
    assert found["watchers"][0]["state"] == "stopped"
    assert found["vault"]["needs_action"] == 1
    for verb in (("start", "sleeper"), ("reload",), ("shutdown",), ("events",)):
        assert site.ctl(*verb).returncode == 4
    assert site.ctl("tail", "sleeper").returncode == 0


def test_hostile_input_disturbs_nobody(site: Site) -> None:
    site.start(text=SLEEPER)
    path = str(site.vault / ".aiemp/control.sock")
    idle = [socket.socket(socket.AF_UNIX) for _ in range(5)]
    for each in idle:
        each.connect(path)
        each.sendall(b'{"jsonrpc"')
    for junk in (b"\n", b"[]\n", b"not json\n", b'{"jsonrpc":"2.0","id":1,"method":"nonesuch"}\n', b"\xff\xfe\n"):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(path)
            client.sendall(junk)
            assert "error" in json.loads(client.makefile().readline())
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(path)
        with pytest.raises(OSError), client.makefile("rb") as answers:  # noqa: PT011, PT012  how it is cut off varies
            client.sendall(b"x" * (3 << 20) + b"\n")
            answers.readline()
            answers.readline()
            raise BrokenPipeError
    assert site.status()["supervisor"]["state"] == "running"
    for each in idle:
        each.close()
