"""What belongs together in Done, and under which names it goes where others have them already."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.actions.chores.naming import numbered, renamed, together


@pytest.mark.parametrize(
    ("name", "number", "wanted"),
    [
        ("report.pdf", 1, "report.pdf"),
        ("report.pdf", 2, "report (2).pdf"),
        ("report", 12, "report (12)"),
        (".hidden", 2, ".hidden (2)"),
        ("a.tar.gz", 2, "a.tar (2).gz"),
        ("2026. A long sentence, not an extension", 2, "2026. A long sentence, not an extension (2)"),
    ],
)
def test_numbered(name: str, number: int, wanted: str) -> None:
    assert numbered(name, number, 255) == wanted


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "x" * 251 + ".pdf", "\udcff" * 200])
def test_long_names_are_shortened(name: str) -> None:
    short = numbered(name, 2, 255)
    assert len(short.encode("utf-8", "surrogateescape")) <= 255
    assert " (2)" in short
    assert short.endswith(".pdf") == name.endswith(".pdf")


@pytest.mark.parametrize(
    ("names", "mentioned", "groups"),
    [
        ([], {}, []),
        (["a", "b"], {}, [("a",), ("b",)]),
        (["a.pdf", "a.pdf.md", "b.md"], {}, [("a.pdf", "a.pdf.md"), ("b.md",)]),
        (["a", "a.MD", "a.md.md", "a.md"], {}, [("a", "a.MD", "a.md", "a.md.md")]),
        (["FILE_a.pdf.md", "a.pdf"], {"FILE_a.pdf.md": "a.pdf"}, [("FILE_a.pdf.md", "a.pdf")]),
        (["x.md", "y.md", "a.pdf"], {"x.md": "a.pdf", "y.md": "a.pdf"}, [("a.pdf", "x.md", "y.md")]),
        (["x.md"], {"x.md": "gone.pdf"}, [("x.md",)]),
        (["x.md"], {"x.md": "x.md"}, [("x.md",)]),
        ([".md"], {}, [(".md",)]),
    ],
)
def test_together(names: list[str], mentioned: dict[str, str], groups: list[tuple[str, ...]]) -> None:
    assert together(names, mentioned) == groups


NAMES = st.lists(st.sampled_from(["a", "a.md", "a.md.md", "b", "b.md", "c.md", "d"]), unique=True)


@given(NAMES, st.dictionaries(st.sampled_from(["a.md", "b.md", "c.md"]), st.sampled_from(["a", "b", "c.md", "d", "e"])))
def test_everything_is_in_one_group_and_with_its_companions(names: list[str], mentioned: dict[str, str]) -> None:
    mentioned = {note: file for note, file in mentioned.items() if note in names}
    groups = together(names, mentioned)
    assert sorted(name for group in groups for name in group) == sorted(names)
    home = {name: group for group in groups for name in group}
    for name in names:
        for other in (f"{name}.md", mentioned.get(name, "")):
            assert home.get(other, home[name]) == home[name]


@pytest.mark.parametrize(
    ("group", "names"),
    [
        (("a.pdf",), ("a (2).pdf",)),
        (("a.pdf", "a.pdf.md"), ("a (2).pdf", "a (2).pdf.md")),
        (("FILE_a.pdf.md", "a.pdf"), ("FILE_a (2).pdf.md", "a (2).pdf")),
        (("a.pdf", "summary.md"), ("a (2).pdf", "summary (2).md")),
        (("a", "a.md", "a.md.md"), ("a (2)", "a (2).md", "a (2).md.md")),
    ],
)
def test_a_group_is_renamed_as_one(group: tuple[str, ...], names: tuple[str, ...]) -> None:
    assert renamed(group, 2, 255) == dict(zip(group, names, strict=True))
    assert renamed(group, 1, 255) == {name: name for name in group}


@given(st.text(min_size=1, max_size=90), st.integers(1, 1000))
def test_new_names_differ_from_each_other_and_fit(name: str, number: int) -> None:
    name = name.replace("\0", "_").replace("/", "_")
    group = (name, f"{name}.md", f"FILE_{name}.md")
    names = renamed(group, number, 143)
    assert len(set(names.values())) == len(group)
    assert all(len(new.encode("utf-8", "surrogateescape")) <= 143 for new in names.values() if new.strip("."))
