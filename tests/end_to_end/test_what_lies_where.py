"""Files, modes and sockets: what lies where, and who may touch it."""

import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from harness import PATIENT, SLEEPER, Site, until

pytestmark = PATIENT


@pytest.mark.parametrize("base", ["$XDG_RUNTIME_DIR", "/tmp"])
def test_a_long_vault_path_puts_the_socket_elsewhere(tmp_path: Path, base: str) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    runtime = Path(tempfile.mkdtemp(dir="/tmp"))
    wanted = runtime if "XDG" in base else Path("/tmp")
    site = Site(deep)
    try:
        site.start(text=SLEEPER, XDG_RUNTIME_DIR=str(runtime) if wanted == runtime else "")
        site.wait_for("sleeper", "running")
        path = Path((site.vault / ".aiemp/control.path").read_text().strip())
        assert path.parent.parent == wanted
        assert path.is_socket()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert not (site.vault / ".aiemp/control.sock").exists()
        assert site.ctl("restart", "sleeper", XDG_RUNTIME_DIR="/nonexistent").returncode == 0
        assert site.stop() == 0
        assert not path.parent.exists()
    finally:
        site.clean_up()
        shutil.rmtree(runtime)


def test_state_and_socket_are_the_owners_alone_though_the_folder_was_open(site: Site) -> None:
    state = site.vault / ".aiemp"
    state.mkdir(parents=True, mode=0o755)
    state.chmod(0o755)
    site.start(text=SLEEPER)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "control.sock").stat().st_mode) == 0o600
    assert stat.S_IMODE((state / "aiemp.db").stat().st_mode) == 0o600
    assert site.stop() == 0
    until(lambda: not (state / "control.sock").exists(), "the socket to be gone")


def test_a_damaged_database_is_set_aside(site: Site) -> None:
    (site.vault / ".aiemp").mkdir(parents=True, mode=0o700)
    (site.vault / ".aiemp/aiemp.db").write_bytes(b"this is no database" * 100)
    site.start(text=SLEEPER)
    site.wait_for("sleeper", "running")
    until(lambda: "aiemp.db" in site.problems(), "the problem")
    assert list((site.vault / ".aiemp").glob("aiemp.db.damaged-*"))
