"""When a file counts as completely written."""

import pytest

from watchers.settling import Seen, Settling, left_alone

ONE, LONGER, LATER, OTHER = Seen(1, 10, 100), Seen(1, 11, 100), Seen(1, 10, 101), Seen(2, 10, 100)


@pytest.mark.parametrize(
    ("looks", "settled"),
    [
        ([(0.0, ONE)], False),
        ([(0.0, ONE), (0.4, ONE)], False),
        ([(0.0, ONE), (0.5, ONE)], True),
        ([(0.0, ONE), (0.2, ONE), (0.4, ONE), (0.6, ONE)], True),
        ([(0.0, ONE), (0.4, LONGER), (0.8, LONGER)], False),
        ([(0.0, ONE), (0.4, LONGER), (0.9, LONGER)], True),
        ([(0.0, ONE), (0.5, LATER)], False),
        ([(0.0, ONE), (0.5, OTHER)], False),
        ([(0.0, ONE), (0.3, None), (0.6, ONE)], False),
    ],
)
def test_a_file_settles_when_nothing_has_changed_for_long_enough(
    looks: list[tuple[float, Seen | None]],
    settled: bool,  # noqa: FBT001  a table's column
) -> None:
    settling = Settling(0.5)
    found: tuple[list[str], list[str]] = ([], [])
    for now, seen in looks:
        found = settling.look({"f": seen} if seen else {}, now)
    assert found == ((["f"], []) if settled else ([], ["f"]))


@pytest.mark.parametrize("name", [".hidden", "x.part", "X.PART", "x.crdownload", "draft~", "~", "~$letter.docx"])
def test_names_that_are_left_alone(name: str) -> None:
    assert left_alone(name)


@pytest.mark.parametrize("name", ["x", "~x", "part", "x.partial", "x.md", "-x", "…", " .x"])
def test_names_that_are_taken(name: str) -> None:
    assert not left_alone(name)
