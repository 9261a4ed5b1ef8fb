"""The Dashboard's region, on dashboards as people have them."""

import pytest

from orchestrator.vault.dashboard import END, START, LeftAlone, splice, users_part

TABLE = b"| Component | Status |\n| --- | --- |\n| inbox | running |\n"
PLAIN = START + b"\n\n" + TABLE + b"\n" + END  # the region where a heading is there already
HEADED = START + b"\n## System Health\n\n" + TABLE + b"\n" + END
S, E = START, END


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(b"", HEADED + b"\n", id="empty or missing"),
        pytest.param(b"\xef\xbb\xbf", b"\xef\xbb\xbf" + HEADED + b"\n", id="only a BOM"),
        pytest.param(b"\n\n", HEADED + b"\n\n\n", id="only blank lines"),
        pytest.param(b"# D\n\ntext\n", b"# D\n\ntext\n\n" + HEADED + b"\n", id="no section: at the end"),
        pytest.param(b"text", b"text\n\n" + HEADED, id="no final newline"),
        pytest.param(b"text\n\n", b"text\n\n" + HEADED + b"\n\n", id="a blank line at the end is the one before"),
        pytest.param(b"text\n\n\n\n", b"text\n\n" + HEADED + b"\n\n\n\n", id="never more than one blank line before"),
        pytest.param(
            b"# D\n## System Health\nmine\n\n## Notes\nx\n",
            b"# D\n## System Health\nmine\n\n" + PLAIN + b"\n\n## Notes\nx\n",
            id="end of the section",
        ),
        pytest.param(
            b"## System Health\n## Notes\n", b"## System Health\n\n" + PLAIN + b"\n## Notes\n", id="empty section"
        ),
        pytest.param(
            b"## System Health\n### CPU\nfine\n# Top\n",
            b"## System Health\n### CPU\nfine\n\n" + PLAIN + b"\n# Top\n",
            id="sub-sections belong to it",
        ),
        pytest.param(
            b"## System Health", b"## System Health\n\n" + PLAIN, id="the heading is the last line, without newline"
        ),
        pytest.param(
            b"# A\n\n## System Health\none\n\n## B\n\n## System Health\ntwo\n",
            b"# A\n\n## System Health\none\n\n" + PLAIN + b"\n\n## B\n\n## System Health\ntwo\n",
            id="two such headings: the first",
        ),
        pytest.param(
            b"```\n## System Health\n```\n\n## System Health\nx\n",
            b"```\n## System Health\n```\n\n## System Health\nx\n\n" + PLAIN + b"\n",
            id="a heading in a fence is none",
        ),
        pytest.param(
            b"System Health\n=============\n\nmine\n\nNotes\n=====\n",
            b"System Health\n=============\n\nmine\n\n" + PLAIN + b"\n\nNotes\n=====\n",
            id="setext headings",
        ),
        pytest.param(
            b"# System Health\nmine\n\nNotes\n---\n\nmore\n",
            b"# System Health\nmine\n\nNotes\n---\n\nmore\n\n" + PLAIN + b"\n",
            id="a lower setext heading stays inside",
        ),
        pytest.param(
            b"## System Health\n\n| a | b |\n|---|---|\n| x \\| y | z |\n---\nmore\n",
            b"## System Health\n\n| a | b |\n|---|---|\n| x \\| y | z |\n---\nmore\n\n" + PLAIN + b"\n",
            id="a rule below a table with escaped pipes is no heading",
        ),
        pytest.param(
            b"---\n# System Health\ntitle: D\n---\nbody\n",
            b"---\n# System Health\ntitle: D\n---\nbody\n\n" + HEADED + b"\n",
            id="frontmatter has comments, not headings",
        ),
        pytest.param(b"---\na: 1\n---\n", b"---\na: 1\n---\n\n" + HEADED + b"\n", id="only frontmatter"),
        pytest.param(
            b"<!--\n## System Health\n-->\ntext\n",
            b"<!--\n## System Health\n-->\ntext\n\n" + HEADED + b"\n",
            id="a heading in a comment is none",
        ),
        pytest.param(b"text\n```\ncode\n", b"text\n\n" + HEADED + b"\n```\ncode\n", id="before a fence never closed"),
        pytest.param(b"- ```\n  code\nb\n", b"- ```\n  code\nb\n\n" + HEADED + b"\n", id="a fence ends with its list"),
        pytest.param(b"a\r\nb\r\n", b"a\r\nb\r\n\r\n" + HEADED.replace(b"\n", b"\r\n") + b"\r\n", id="CRLF"),
        pytest.param(b"a\r\nb\r\nc\n", b"a\r\nb\r\nc\n\r\n" + HEADED.replace(b"\n", b"\r\n") + b"\r\n", id="more CRLF"),
        pytest.param(b"a\r\nb\nc\n", b"a\r\nb\nc\n\n" + HEADED + b"\n", id="more LF"),
        pytest.param(b"a\rb\r", b"a\rb\r\r" + HEADED.replace(b"\n", b"\r") + b"\r", id="CR"),
        pytest.param(b"\xef\xbb\xbf# System Health\r\n", b"\xef\xbb\xbf# System Health\r\n\r\n"
                     + PLAIN.replace(b"\n", b"\r\n") + b"\r\n", id="BOM and CRLF"),
    ],
)  # fmt: skip
def test_makes_the_region_where_there_is_none(old: bytes, new: bytes) -> None:
    assert splice(old, TABLE) == new
    assert splice(new, TABLE) == new


@pytest.mark.parametrize(
    "heading",
    [
        "## System Health",
        "## system health",
        "# SYSTEM HEALTH #",
        "###### System Health ######",
        "   ## System Health",
        "##\tSystem  Health\t",
        "## 🩺 System Health",
        "## System Health 🟢🟡",
        "## ⚙️ System Health ⚙️",
        "## 1️⃣ System Health",
        "## ℹ️ System Health",
        "## 👩‍💻 System Health",
        "## :heart: System Health",
        "## **System Health**",
        "## System Health:",
        "System Health\n---",
        "🩺 System Health\n===",
    ],
)
def test_knows_the_section_by_its_words(heading: str) -> None:
    old = f"{heading}\nmine\n\n# Next\n".encode()
    assert splice(old, TABLE) == f"{heading}\nmine\n\n".encode() + PLAIN + b"\n\n# Next\n"


@pytest.mark.parametrize(
    "line",
    [
        "##System Health",
        "####### System Health",
        "    ## System Health",
        "> ## System Health",
        "## Health",
        "## The System Health",
        "## System Health 2",
        "System Health",
    ],
)
def test_does_not_mistake_other_lines_for_the_section(line: str) -> None:
    old = f"{line}\nmine\n\n# Next\n".encode()
    assert splice(old, TABLE) == old + b"\n" + HEADED + b"\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b""),
        (b"a\n\n", b"\n\nb\n"),
        (b"a\n", b""),
        (b"\xef\xbb\xbf", b"\n"),
        (b"\xef\xbb\xbf---\na: b\n---\n", b"  \t\nx"),
        (b"x\n  ", b" \n"),
        (b"~~~\n```\n" + S + b"\n~~~\n", b"\n```\n" + E + b"\n```\n"),
        (b"`````md\n" + S + b"\n```\n" + E + b"\n`````\n", b"\n"),
        (b"```\n" + S + b"\n    ```\n```\n", b"\n"),
        (b"---\nmarker: |\n" + S + b"\n---\n", b"\n"),
        (b"see " + S + b"\n" + S + b" there\n> " + S + b"\n- " + E + b"\n    " + E + b"\n", b"\n"),
        (b"---\nno: frontmatter\n\n", b"\n"),
        (b"- ```\n  " + S + b"\n  ```\n", b"\n"),
        (b"`` `inline` ``\n``` not a ` fence\n", b"\n"),
    ],
)
@pytest.mark.parametrize("inside", [b"", b"\n", b"\nold\n", b"\n| a |\n|---|\n## Heading\n"])
def test_keeps_everything_outside_the_markers(before: bytes, after: bytes, inside: bytes) -> None:
    old = before + S + (inside or b"\n") + E + after
    assert splice(old, TABLE) == before + PLAIN + after
    assert users_part(old) == before + after


def test_a_region_keeps_the_files_line_endings() -> None:
    old = b"a\r\n" + S + b"\nold\n\n\n\n" + E + b"\r\n"
    assert splice(old, TABLE) == b"a\r\n" + PLAIN.replace(b"\n", b"\r\n") + b"\r\n"


def test_its_own_heading_stays_until_a_person_takes_it_away() -> None:
    first = splice(b"text\n", b"| a |\n")
    assert splice(first, TABLE) == b"text\n\n" + HEADED + b"\n"
    assert splice(first.replace(b"## System Health\n", b""), TABLE) == b"text\n\n" + PLAIN + b"\n"


@pytest.mark.parametrize(
    ("old", "told"),
    [
        (b"a\0b", "NUL"),
        (b"\0" * 4096, "NUL"),
        (b"one\ntwo \xff\n", "not valid UTF-8 (line 2)"),
        ("# Dashboard".encode("utf-16"), "NUL"),
        (b"\xed\xa0\x80", "not valid UTF-8"),
        (S + b"\n", "start in line 1"),
        (b"\n" + E + b"\n", "end in line 2"),
        (E + b"\n" + S + b"\n", "end in line 1, start in line 2"),
        (S + b"\n" + S + b"\n" + E + b"\n" + E, "start in line 2"),
        (S + b"\n" + E + b"\n" + S + b"\n" + E, "end in line 4"),
        (S + b"\n" + E + b"\n" + E, "end in line 3"),
        (S + b"\r" + S + b"\r\n" + E, "start in line 2"),
        (S + b"\n```\n" + E, "line 2 is never closed"),
        (b"text\n```\n" + S + b"\n" + E + b"\n", "line 2 is never closed"),
        (b"~~~~\n" + S + b"\n" + E + b"\n~~~\n", "close it with ~~~~"),
    ],
)
def test_leaves_alone_what_it_cannot_be_sure_of(old: bytes, told: str) -> None:
    with pytest.raises(LeftAlone) as caught:
        splice(old, TABLE)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_refuses_a_table_that_would_cut_the_region_short() -> None:
    with pytest.raises(ValueError, match="marker"):
        splice(b"", b"| " + END + b" |\n")


@pytest.mark.timeout(5)
@pytest.mark.parametrize("head", [b"-", b"#", b"##", b"- -", b"```", b"|", b"", b"> ", b"<!-- ", b"==="])
@pytest.mark.parametrize(
    "body", [b" " * 20000, b"- " * 9000, b"-   " * 5000, b"`" * 20000, b"|" * 9000, b"-|" * 9000, b"* " * 9000]
)
@pytest.mark.parametrize("tail", [b"x", b"`x`"])
def test_no_line_makes_it_slow(head: bytes, body: bytes, tail: bytes) -> None:
    old = b"text\n\n" + head + body + tail
    assert TABLE in splice(old, TABLE)
