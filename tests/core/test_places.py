"""Where things lie, and who may enter there."""

import os
import stat
from pathlib import Path

import pytest

from orchestrator.errors import UserError
from orchestrator.places import SUN_PATH_MAX, Places, private_folder, private_subfolder
from orchestrator.processes.notify import SHORT


def test_the_socket_lies_in_the_vault_unless_the_vault_names_another_place(tmp_path: Path) -> None:
    places = Places(str(tmp_path))
    assert places.control_socket() == str(tmp_path / ".aiemp" / "control.sock")
    (tmp_path / ".aiemp").mkdir()
    (tmp_path / ".aiemp" / "control.path").write_text("/run/elsewhere/control.sock\n")
    assert places.control_socket() == "/run/elsewhere/control.sock"


@pytest.mark.parametrize(("length", "fits"), [(20, True), (83, True), (84, False), (200, False)])
def test_a_socket_fits_up_to_the_systems_limit(length: int, fits: bool) -> None:  # noqa: FBT001  parametrized
    assert Places("/" + "v" * (length - 1)).fits("control.sock") is fits


def test_the_fallback_folder_is_short_and_the_vaults_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nonexistent")
    one, other = Places("/" + "a" * 300).fallback_sockets(), Places("/" + "b" * 300).fallback_sockets()
    assert one != other
    assert one.startswith(f"/tmp/aiemp-{os.getuid()}-")
    assert len(one) < 60


@pytest.mark.parametrize("length", range(25, 80))
def test_the_runtime_folder_is_used_as_long_as_the_sockets_fit_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    base = f"/run/{'u' * (length - 5)}"
    monkeypatch.setenv("XDG_RUNTIME_DIR", base)
    monkeypatch.setattr(os.path, "isdir", lambda path: path == base)
    folder = Places("/" + "v" * 300).fallback_sockets()
    fits = all(
        len(f"{base}/{folder.rpartition('/')[2]}/{socket}") <= SUN_PATH_MAX
        for socket in ("control.sock", f"notify/{'x' * SHORT}")
    )
    assert fits or length > 43  # RuntimeDirectory=%N of the printed unit: its name may have some forty characters
    assert folder.startswith(f"{base}/" if fits else "/tmp/")


def test_a_private_folder_is_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o755)
    private_folder(str(folder))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_link_in_place_of_the_private_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "real")
    with pytest.raises(UserError, match="not a folder of yours"):
        private_folder(str(tmp_path / "state"))


@pytest.mark.parametrize("name", ["../other", "a/b", "/etc/passwd", "", ".", "..", "a\0b"])
def test_a_name_that_would_lead_out_of_its_folder_is_refused(name: str) -> None:
    places = Places("/vault")
    assert (places.watcher_log("a.b"), places.pipe("a.b")) == (
        "/vault/Logs/watchers/a.b.log",
        "/vault/.aiemp/pipes/a.b",
    )
    for where in (places.watcher_log, places.pipe):
        with pytest.raises(UserError, match="cannot be a file's name"):
            where(name)


def test_a_private_subfolder_brings_the_folder_it_lies_in_but_never_a_vault(tmp_path: Path) -> None:
    state = tmp_path / "vault" / ".aiemp"
    with pytest.raises(FileNotFoundError):
        private_subfolder(str(state / "pipes"))
    state.parent.mkdir()
    private_subfolder(str(state / "pipes"))
    assert [stat.S_IMODE(each.stat().st_mode) for each in (state, state / "pipes")] == [0o700, 0o700]
