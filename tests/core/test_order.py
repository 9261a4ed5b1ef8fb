"""Who is started before whom."""

from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.supervise.order import cycle, dependencies, dependents

NAMES = [f"w{number}" for number in range(8)]
GRAPHS = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from([*NAMES, "unknown"]), max_size=4))

DIAMOND = {"top": ["left", "right"], "left": ["base"], "right": ["base"], "base": [], "other": []}


@pytest.mark.parametrize(
    ("depends_on", "expected"),
    [
        ({}, None),
        (DIAMOND, None),
        ({"a": ["unknown"]}, None),
        ({"a": ["a"]}, ["a", "a"]),
        ({"a": ["b"], "b": ["a"]}, ["a", "b", "a"]),
        ({"x": ["c"], "b": ["c"], "c": ["d"], "d": ["b"]}, ["b", "c", "d", "b"]),  # begins with the file's first
    ],
)
def test_a_cycle_is_named_from_its_first_member_on(
    depends_on: dict[str, list[str]], expected: list[str] | None
) -> None:
    assert cycle(depends_on) == expected


def test_what_a_watcher_needs_and_what_needs_it() -> None:
    assert dependencies(DIAMOND, "top") == ["left", "right", "base"]
    assert dependencies(DIAMOND, "left", "other") == ["base"]
    assert dependencies(DIAMOND, "top", "left") == ["right", "base"]
    assert dependencies(DIAMOND, "base") == []
    assert dependents(DIAMOND, "base") == ["top", "left", "right"]
    assert dependents(DIAMOND, "left") == ["top"]
    assert dependents(DIAMOND, "other") == []


def test_a_long_chain_is_no_trouble() -> None:
    chain = {f"n{number}": [f"n{number + 1}"] for number in range(20_000)} | {"n20000": []}
    assert cycle(chain) is None
    assert len(dependencies(chain, "n0")) == len(dependents(chain, "n20000")) == 20_000


@given(GRAPHS)
def test_a_cycle_is_found_exactly_where_there_is_no_order(depends_on: dict[str, list[str]]) -> None:
    known = {name: [need for need in needs if need in depends_on] for name, needs in depends_on.items()}
    circle = cycle(depends_on)
    if circle is None:
        tuple(TopologicalSorter(known).static_order())
    else:
        assert circle[0] == circle[-1]
        assert all(needed in depends_on[name] for name, needed in pairwise(circle))
        with pytest.raises(CycleError):
            tuple(TopologicalSorter(known).static_order())


@given(GRAPHS)
def test_needing_and_being_needed_mirror_each_other(depends_on: dict[str, list[str]]) -> None:
    for name in depends_on:
        for other in depends_on:
            if name != other:
                assert (other in dependencies(depends_on, name)) == (name in dependents(depends_on, other))
