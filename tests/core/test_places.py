"""Where things lie, and who may enter there."""

import os
import stat
from pathlib import Path

import pytest

from orchestrator.errors import UserError
from orchestrator.places import Places, private_folder


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
