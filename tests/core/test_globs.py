"""Patterns of files, beside a slow reader that tries everything."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.vault.globs import Glob, Globs


@pytest.mark.parametrize(
    ("pattern", "path", "meant"),
    [
        ("Inbox/a.md", "Inbox/a.md", True),
        ("Inbox/a.md", "inbox/a.md", False),
        ("*.md", "a.md", True),
        ("*.md", "a/b.md", False),
        ("*.md", ".md", False),
        ("*", ".hidden", False),
        ("?a", ".a", False),
        ("[.]a", ".a", False),
        (".*", ".hidden", True),
        ("a*", "a.b", True),
        ("**/*.md", "a.md", True),
        ("**/*.md", "a/b/c.md", True),
        ("**/*.md", "a/.git/c.md", False),
        ("**/.git/*", "a/.git/c", True),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "ab", False),
        ("a/**", "a/x", True),
        ("a/**", "a/x/y", True),
        ("a/**", "a", False),
        ("**", "x", True),
        ("**/**/x", "x", True),
        ("[ab]?.md", "bü.md", True),
        ("[!ab].md", "c.md", True),
        ("[!ab].md", "a.md", False),
        ("[a-c]", "b", True),
        ("[]]", "]", True),
        ("[!]]", "]", False),
        ("[[]", "[", True),
        ("[a-]", "-", True),
        ("[-a]", "-", True),
        ("[^a]", "^", True),
        ("[a&&b]", "&", True),
        ("a+(b).md", "a+(b).md", True),
        ("*a*b*", "xxaxxbxx", True),
        ("*a*b", "ab a", False),
        ("*\n*", "a\nb", True),
    ],
)
def test_what_a_pattern_means(pattern: str, path: str, meant: bool) -> None:  # noqa: FBT001  a table's column
    assert Glob(pattern).matches(path) is meant
    assert Globs([pattern]).matching(path) == ({pattern} if meant else set())


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("", "is empty"),
        ("a\0", "contains NUL"),
        ("Inbox\\*.md", "where folders are separated by /"),
        ("/a", "begins with /"),
        ("a/", "names a folder; its files are /\\*"),
        ("a//b", "two / in a row"),
        ("a/../b", "nothing outside of the vault"),
        ("./a", "can be left out"),
        ("a**", "stands alone"),
        ("**.md", "stands alone"),
        ("***", "stands alone"),
        ("[a", "a \\[ without its \\]"),
        ("[]", "a \\[ without its \\]"),
        ("[!]", "a \\[ without its \\]"),
        ("[z-a]", "the range z-a"),
    ],
)
def test_what_is_wrong_with_a_pattern(pattern: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Glob(pattern)


@pytest.mark.parametrize(
    ("pattern", "base"),
    [
        ("a.md", ""),
        ("*.md", ""),
        ("**", ""),
        ("Inbox/*.md", "Inbox"),
        ("Inbox/a.md", "Inbox"),
        ("a/b/**/c", "a/b"),
        ("a/b*/c", "a"),
    ],
)
def test_the_folder_that_a_pattern_begins_with(pattern: str, base: str) -> None:
    assert Glob(pattern).base == base


@pytest.mark.parametrize(
    ("pattern", "leads", "leads_not"),
    [
        ("Inbox/*.md", ["", "Inbox"], ["Inbox/x", "Done"]),
        ("a/**/b", ["", "a", "a/x", "a/x/y"], ["b", "a/.x"]),
        ("a/*/c", ["", "a", "a/x"], ["a/x/c", "a/.x"]),
        ("*.md", [""], ["x"]),
        ("**", ["", "x", "x/y"], [".x", "x/.y"]),
    ],
)
def test_which_folders_can_hold_matches(pattern: str, leads: list[str], leads_not: list[str]) -> None:
    assert all(Glob(pattern).leads(folder) for folder in leads)
    assert not any(Glob(pattern).leads(folder) for folder in leads_not)


def test_folders_that_are_skipped() -> None:
    globs = Globs(["**/*.md", "Logs/x.md"], frozenset({"Logs"}))
    assert globs.bases() == [""]
    assert globs.leads("")
    assert not globs.leads("Logs")
    assert not globs.leads("Logs/a")
    assert globs.matches("a/Logs/x.md")
    assert not globs.matches("Logs/x.md")
    assert globs.matching("Logs/x.md") == set()


def test_a_name_made_to_be_slow_is_not() -> None:
    """Each further star would multiply the time, if every way to divide the name were tried."""
    assert not Glob("**/" * 20 + "*a" * 40 + "b").matches("/".join(["a" * 250] * 16))


def oracle(names: list[str], path: list[str]) -> bool:
    if not names:
        return not path
    if names[0] == "**":
        rest = names[1:] or ["*"]
        return oracle(rest, path) or bool(path and not path[0].startswith(".") and oracle(names, path[1:]))
    return bool(path) and name_matches(names[0], path[0]) and oracle(names[1:], path[1:])


def name_matches(wanted: str, name: str) -> bool:
    return not (wanted[0] in "*?[" and name.startswith(".")) and glob_matches(wanted, name)


def glob_matches(wanted: str, name: str) -> bool:
    if not wanted:
        return not name
    if wanted[0] == "*":
        return glob_matches(wanted[1:], name) or bool(name and glob_matches(wanted, name[1:]))
    if not name:
        return False
    if wanted.startswith(("[ab]", "[!a]")):
        return (name[0] in "ab" if wanted[1] == "a" else name[0] != "a") and glob_matches(wanted[4:], name[1:])
    return (wanted[0] in ("?", name[0])) and glob_matches(wanted[1:], name[1:])


_patterns = st.lists(
    st.just("**")
    | st.lists(st.sampled_from(["a", "b", ".", "*", "?", "[ab]", "[!a]"]), min_size=1, max_size=4).map("".join),
    min_size=1,
    max_size=4,
)
_paths = st.lists(st.text("ab.", min_size=1, max_size=4), min_size=1, max_size=4)


@given(_patterns, _paths)
@example(["**"], ["a"])
@example(["**", "a", "**", "b"], ["a", "a", "b", "b"])
def test_every_pattern_means_what_trying_everything_finds(names: list[str], path: list[str]) -> None:
    try:
        glob = Glob("/".join(names))
    except ValueError:
        assert any(name in {".", ".."} or ("**" in name and name != "**") for name in names)
        return
    meant = oracle(names, path)
    assert glob.matches("/".join(path)) is meant
    if meant:
        assert all(glob.leads("/".join(path[:depth])) for depth in range(len(path)))
        base = glob.base.split("/") if glob.base else []
        assert path[: len(base)] == base
