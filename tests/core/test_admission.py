"""Who is let in: priority, then slot, then who came first; lanes; the limit; and nobody waits for ever."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.model import Priority
from orchestrator.schedule.admission import PATIENCE, RANKS, Admission, Candidate

SLOT = datetime(2026, 11, 24, 8, tzinfo=UTC)


def candidate(
    run_id: str, priority: str = "normal", slot: int = 0, lane: str | None = None, since: float = 0.0
) -> Candidate:
    return Candidate(run_id, Priority(priority), SLOT + timedelta(seconds=slot), lane, since)


def queue(*candidates: Candidate) -> Admission:
    admission = Admission()
    for each in candidates:
        admission.add(each)
    return admission


@pytest.mark.parametrize(
    ("waiting", "free", "busy", "let_in"),
    [
        ([], 5, [], []),
        ([candidate("a")], 0, [], []),
        ([candidate("a"), candidate("b"), candidate("c")], 2, [], ["a", "b"]),
        ([candidate("late", slot=9), candidate("early", slot=1)], 1, [], ["early"]),
        (
            [candidate("l", "low"), candidate("n"), candidate("h", "high"), candidate("c", "critical", slot=99)],
            9,
            [],
            ["c", "h", "n", "l"],
        ),
        ([candidate("a", lane="agent"), candidate("b")], 9, ["agent"], ["b"]),
        ([candidate("a", lane="agent"), candidate("b", lane="agent")], 9, [], ["a"]),
        ([candidate("a", lane="agent"), candidate("b", lane="other")], 9, [], ["a", "b"]),
        ([candidate("a", lane="agent"), candidate("b", "high", lane="agent")], 9, [], ["b"]),
        # One priority more for every five minutes of waiting.
        ([candidate("low", "low", since=-PATIENCE), candidate("normal", slot=1)], 1, [], ["low"]),
        ([candidate("low", "low", since=-PATIENCE + 1), candidate("normal", slot=1)], 1, [], ["normal"]),
    ],
)
def test_who_is_let_in(waiting: list[Candidate], free: int, busy: list[str], let_in: list[str]) -> None:
    assert queue(*waiting).take(free, busy, now=0.0) == let_in


def test_who_is_let_in_or_removed_waits_no_more() -> None:
    admission = queue(candidate("a"), candidate("b"), candidate("c"))
    admission.remove("b")
    admission.remove("never there")
    assert len(admission) == 2
    assert "b" not in admission
    assert admission.take(9, [], 0.0) == ["a", "c"]
    assert admission.take(9, [], 0.0) == []
    assert not admission


def test_who_waits_anew_waits_as_long_as_it_says_now_and_is_let_in_once() -> None:
    admission = queue(candidate("again", "low", since=-10 * PATIENCE), candidate("other"))
    admission.remove("again")
    admission.add(candidate("again", "low"))
    assert admission.take(1, [], 0.0) == ["other"]
    admission.remove("again")
    admission.add(candidate("again", "high"))
    assert admission.take(9, [], 0.0) == ["again"]
    assert not admission


def test_a_low_run_gets_its_turn_however_many_urgent_ones_keep_coming() -> None:
    admission = queue(candidate("low", "low"))
    now = 0.0
    for number in range(1000):
        now += 60.0
        admission.add(candidate(f"c{number}", "critical", slot=number, since=now))
        if admission.take(1, [], now) == ["low"]:
            break
    assert now <= (len(RANKS)) * PATIENCE


entries = st.lists(
    st.tuples(
        st.sampled_from(list(Priority)), st.integers(0, 50), st.sampled_from([None, "a", "b"]), st.floats(-2000, 0)
    ),
    max_size=30,
)


@given(entries, st.integers(0, 10), st.sets(st.sampled_from(["a", "b"])), st.sets(st.integers(0, 29)))
def test_as_the_plainest_queue_there_is(
    waiting: list[tuple[Priority, int, str | None, float]], free: int, busy: set[str], removed: set[int]
) -> None:
    """Within a priority and a lane the earlier slot goes first; between them the priority, raised by waiting."""
    admission = Admission()
    left = {}
    for number, (priority, slot, lane, since) in enumerate(waiting):
        each = Candidate(str(number), priority, SLOT + timedelta(seconds=slot), lane, since)
        admission.add(each)
        left[number] = each
    for number in removed:
        admission.remove(str(number))
        left.pop(number, None)
    taken, lanes = [], set(busy)
    for _ in range(free):
        heads: dict[tuple[Priority, str | None], tuple[datetime, int]] = {}
        for number, each in left.items():
            if each.lane not in lanes:
                key = (each.priority, each.lane)
                heads[key] = min(heads.get(key, (each.slot, number)), (each.slot, number))
        if not heads:
            break
        _, _, number = min(
            (RANKS[left[n].priority] - int(-left[n].since / PATIENCE), left[n].slot, n) for _, n in heads.values()
        )
        taken.append(str(number))
        lane = left.pop(number).lane
        lanes |= {lane} if lane else set()
    assert admission.take(free, busy, 0.0) == taken
