"""Which configuration file is meant, and which vault it is about."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.find import absolute, find, read, vault_of
from orchestrator.config.load import load
from orchestrator.errors import ConfigInvalid


@pytest.fixture
def places(tmp_path: Path) -> list[Path]:
    """A file at every place but the system's, in the contract's order."""
    found = [
        tmp_path / "named.toml",
        tmp_path / "work" / "supervisor.toml",
        tmp_path / "xdg" / "aiemp" / "supervisor.toml",
    ]
    for place in found:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("")
    return found


def test_the_places_are_looked_at_in_order(places: list[Path], tmp_path: Path) -> None:
    environ = {"AIEMP_CONFIG": str(places[0]), "XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    cwd = str(tmp_path / "work")
    for place in places:
        assert find(None, environ, cwd) == str(place)
        place.unlink()


def test_a_file_that_is_named_is_taken_as_it_is(places: list[Path], tmp_path: Path) -> None:
    assert find("other.toml", {"AIEMP_CONFIG": str(places[0])}, str(tmp_path / "work")) == "other.toml"


@pytest.mark.parametrize("xdg", [{}, {"XDG_CONFIG_HOME": ""}, {"XDG_CONFIG_HOME": "relative"}])
def test_without_a_usable_xdg_config_home_it_is_dot_config(tmp_path: Path, xdg: dict[str, str]) -> None:
    place = tmp_path / ".config" / "aiemp" / "supervisor.toml"
    place.parent.mkdir(parents=True)
    place.write_text("")
    assert find(None, {"HOME": str(tmp_path), **xdg}, str(tmp_path)) == str(place)


def test_nowhere_names_the_places_and_what_to_do(tmp_path: Path) -> None:
    environ = {"AIEMP_CONFIG": "/nonexistent/a.toml", "HOME": str(tmp_path)}
    with pytest.raises(ConfigInvalid) as caught:
        find(None, environ, str(tmp_path))
    said = str(caught.value)
    assert caught.value.exit_code == 78
    for part in (
        "/nonexistent/a.toml",
        f"{tmp_path}/supervisor.toml",
        f"{tmp_path}/.config/aiemp/supervisor.toml",
        "/etc/aiemp/supervisor.toml",
        "`aiemp init`",
        "-c FILE",
    ):
        assert part in said


def test_without_a_home_that_place_is_left_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        find(None, {}, str(tmp_path))
    assert ".config" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("vault", "/a/b/vault"), ("./x//y/", "/a/b/x/y"), ("/v", "/v"), (".", "/a/b"), ("../v", "/a/v")],
)
def test_paths_are_absolute_and_plain(path: str, expected: str) -> None:
    assert absolute("/a/b", path) == expected


def test_dot_dot_is_what_the_kernel_takes_it_for_and_other_links_stay(tmp_path: Path) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "deep")
    assert absolute(str(tmp_path / "link"), "../v") == str(tmp_path / "real" / "v")
    assert absolute(str(tmp_path), "link/v") == str(tmp_path / "link" / "v")


@pytest.mark.parametrize(
    ("text", "vault"),
    [
        ("", "vault"),
        ("[supervisor]\n", "vault"),
        ('[supervisor]\nvault = "v"\n', "v"),
        ('[supervisor] # ours\n\n  vault = "v w" # here\r\n', "v w"),
        ("[supervisor]\nvault = 'v#w'\n", "v#w"),
        ('[supervisor]\nvault = "sch\\u00f6n"', "schön"),
        ('[ supervisor ]\nvault = "v"', "v"),
        ('supervisor.vault = "v"', "v"),
        ('supervisor = { vault = "v" }', "v"),
        ('"supervisor".vault = """v"""', "v"),
        ('[tasks.a]\nvault = "no"\n[supervisor]\nvault = "v"', "v"),
        ('[supervisor]\n[supervisor.logs]\nvault = "no"', "vault"),
        ('[supervisor]\nvault = "v"\n[tasks.a]\nprompt = """\n[supervisor]\nvault = "no"\n"""', "v"),
        ('[tasks.a]\nprompt = """\n[supervisor]\nvault = "no"\n"""\n[supervisor]\nvault = "v"', "v"),
        ("[tasks.a]\nprompt = '''\n[supervisor]\nvault = \"no\"\n'''", "vault"),
        ('[supervisor]\nvault = "v"\nlog_level = 5\nunknown = true', "v"),  # wrong, but not about the vault
        ('[supervisor]\nvault = "v"\n[watchers.a]\nrestart = always', "v"),  # no TOML, but plain to see
        ('[supervisor]\nvault = "v"\n[tasks.a]\nprompt = """', "v"),
    ],
)
def test_the_vault_of_a_file(tmp_path: Path, text: str, vault: str) -> None:
    file = tmp_path / "supervisor.toml"
    file.write_text(text, encoding="utf-8", newline="")
    assert vault_of(str(file)) == str(tmp_path / vault)


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("[supervisor]\nvault = nope", "2: supervisor.vault: "),
        ("[supervisor]\nvault = 5", "2: supervisor.vault: "),
        ('[supervisor]\nvault = "~/v"', "2: supervisor.vault: "),
        ('[supervisor]\nvault = ""', "2: supervisor.vault: "),
        ("\nsupervisor = 5", "2: supervisor: "),
    ],
)
def test_no_telling_which_vault(tmp_path: Path, text: str, begins: str) -> None:
    file = tmp_path / "supervisor.toml"
    file.write_text(text)
    with pytest.raises(ConfigInvalid) as caught:
        vault_of(str(file))
    assert str(caught.value).startswith(f"{file}:{begins}")


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=10),
    st.sampled_from(["", "[tasks.x]\nprompt = '''\n[supervisor]\nvault=\"no\"'''\n", "[scheduler]\n"]),
)
def test_the_quick_look_and_the_full_check_agree(
    tmp_path_factory: pytest.TempPathFactory, name: str, before: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "agree.toml"
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    file.write_text(f'{before}[supervisor]\nvault = "{escaped}"\n', encoding="utf-8")
    if name.startswith("~"):
        with pytest.raises(ConfigInvalid):
            vault_of(str(file))
    else:
        assert vault_of(str(file)) == str(load(file, environ={}).vault)


def test_a_relative_file_counts_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "s.toml").write_text('[supervisor]\nvault = "v"')
    monkeypatch.chdir(tmp_path)
    assert vault_of("sub/s.toml") == str(tmp_path / "sub" / "v")
    assert load(Path("sub/s.toml"), environ={}).file == tmp_path / "sub" / "s.toml"


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_bytes(b'\xef\xbb\xbf[supervisor]\nvault = "v"')
    assert vault_of(str(file)) == str(tmp_path / "v")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    fifo, large, latin, loop = (tmp_path / name for name in ("fifo", "large", "latin", "loop"))
    os.mkfifo(fifo)
    large.write_bytes(b"#" * (1024 * 1024 + 1))
    latin.write_bytes('a = 1\nb = "ä"\n'.encode("latin-1"))
    loop.symlink_to(loop)
    for file, said in (
        (tmp_path, f"{tmp_path}:1: file: is a directory; "),
        (tmp_path / "none", f"{tmp_path}/none:1: file: does not exist; write one with `aiemp init`"),
        (fifo, f"{fifo}:1: file: is no regular file; "),
        (large, f"{large}:1: file: is larger than 1 MiB; "),
        (latin, f"{latin}:2: file: is not UTF-8 here; "),
        (loop, f"{loop}:1: file: cannot be read ("),
        (tmp_path / ("x" * 300), ":1: file: cannot be read (File name too long); "),
        (tmp_path / "a\nb", ":1: file: does not exist; "),
        (Path("nul\0"), "nul\\x00:1: file: cannot be read ("),
    ):
        with pytest.raises(ConfigInvalid) as caught:
            read(str(file))
        assert len(caught.value.problems) == 1
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text("")
    file.chmod(0)
    with pytest.raises(ConfigInvalid, match=r":1: file: cannot be read \(Permission denied\)"):
        read(str(file))


def test_finding_the_vault_of_a_usual_file_loads_nothing_heavy(tmp_path: Path) -> None:
    file = tmp_path / "supervisor.toml"
    file.write_text('[supervisor]\nvault = "vault"\n')
    code = (
        "import sys; from orchestrator.config.find import vault_of; vault_of(sys.argv[1]);"
        "print([m for m in ('pathlib', 'dataclasses', 'zoneinfo', 'tomllib', 'typing') if m in sys.modules])"
    )
    ran = subprocess.run(
        # -S: an editable install's .pth file may load pathlib by itself
        [sys.executable, "-S", "-c", code, str(file)],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert ran.stdout == "[]\n"
