"""Agents that take no prompts for a while: how long, for whom, what ends it, and what the next daemon learns of it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.model import AgentConfig, AgentKind, BuiltinPrompt, Command, Prompt, TaskConfig
from orchestrator.schedule.holds import FARTHEST, LONGEST, SOONER, Held, Holds
from orchestrator.schedule.runs import Hold, HoldKind

NOW = datetime(2026, 11, 25, 11, 30, tzinfo=UTC)
CLAUDE = TaskConfig("t", Prompt("do it", "claude"), lane="agent")
ELSEWHERE = TaskConfig("t", BuiltinPrompt("morning_triage", "claude"), lane="other")
LETTA = TaskConfig("t", Prompt("do it", "letta"), lane="agent")
COMMAND = TaskConfig("t", Command(("true",)), lane="agent")
FREE = TaskConfig("t", Command(("true",)))
AGENTS = {"claude": AgentConfig("claude"), "letta": AgentConfig("letta", AgentKind.LETTA, agent_id="agent-1")}


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def hold(kind: HoldKind = HoldKind.LIMIT, until: float | None = None, why: str = "usage limit reached") -> Hold:
    return Hold(kind, why, None if until is None else after(until))


@pytest.mark.parametrize(
    ("kind", "waits"),
    [
        (HoldKind.LIMIT, [60, 120, 240, 480, 960, 1920, 3600, 3600]),
        (HoldKind.LOGIN, [60, 120, 240, 480, 960, 1920, 3600, 3600]),
        (HoldKind.CREDIT, [60, 120, 240, 480, 960, 1920, 3600, 3600]),
        (HoldKind.NETWORK, [60, 120, 240, 480, 900, 900]),
        (HoldKind.BUSY, [60, 120, 240, 480, 900, 900]),
    ],
)
def test_without_a_known_end_each_try_waits_longer(kind: HoldKind, waits: list[float]) -> None:
    holds, now = Holds(), NOW
    for step, wait in enumerate(waits):
        put = holds.put("claude", "agent", hold(kind), now)
        assert ((put.until - now).total_seconds(), put.step, put.known, put.since) == (wait, step, False, NOW)
        now = put.until
    assert holds.succeeded("claude")
    assert holds.put("claude", "agent", hold(kind), now).until == now + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("until", "waits"),
    [
        (3.0, 3.0),
        (1.5, 1.5),
        (0.4, 1.0),
        (0.0, 1.0),
        (-9000.0, 1.0),
        (8 * 86_400.0, 8 * 86_400.0),
        (8 * 86_400.0 + 1, 3600.0),
        (9e9, 3600.0),
    ],
)
def test_a_named_end_is_kept_to_where_it_makes_sense(until: float, waits: float) -> None:
    holds = Holds()
    holds.put("claude", "agent", hold(until=until), NOW)
    assert holds.next_end(NOW) == after(waits)
    assert holds.of(CLAUDE, after(waits - 0.001)) is not None
    assert holds.of(CLAUDE, after(waits)) is None
    assert holds.next_end(after(waits)) is None


def test_who_goes_on_naming_an_end_that_has_passed_is_not_asked_every_second() -> None:
    holds, now, waits = Holds(), NOW, []
    for _ in range(14):
        until = holds.put("claude", "agent", hold(until=-5.0), now).until
        waits.append((until - now).total_seconds())
        now = until
    assert waits[:5] == [1, 2, 4, 8, 16]
    assert waits[-2:] == [3600, 3600]


def test_what_is_tried_during_a_hold_makes_nobody_wait_longer_than_what_is_tried_after_it() -> None:
    holds = Holds()
    holds.put("claude", "agent", hold(HoldKind.LOGIN), NOW)
    for seconds in (10, 20, 30):
        assert holds.put("claude", "agent", hold(HoldKind.LOGIN), after(seconds)).until == after(seconds + 60)
    assert holds.put("claude", "other", hold(HoldKind.LOGIN), after(40)).step == 0
    for lane in ("agent", "other", None):  # one try each, together
        assert holds.put("claude", lane, hold(HoldKind.LOGIN), after(200)).step == 1


def test_a_known_end_is_not_forgotten_because_somebody_does_not_name_it() -> None:
    holds = Holds()
    holds.put("claude", "agent", hold(until=5000.0), NOW)
    assert holds.put("claude", "agent", hold(), after(10)).until == after(5000)
    assert holds.put("claude", "agent", hold(until=700.0), after(20)).until == after(700)


@pytest.mark.parametrize(
    ("task", "waits"), [(CLAUDE, True), (ELSEWHERE, True), (LETTA, True), (COMMAND, True), (FREE, False)]
)
def test_the_agent_waits_in_every_lane_and_the_lane_for_everybody(task: TaskConfig, waits: bool) -> None:  # noqa: FBT001
    holds = Holds()
    holds.put("claude", "agent", hold(until=60.0), NOW)
    assert (holds.of(task, NOW) is not None) is waits
    assert holds.of_agent("claude", NOW) is not None
    assert holds.of_agent("letta", NOW) is None


def test_a_run_without_a_lane_holds_its_agent_alone() -> None:
    holds = Holds()
    holds.put("claude", None, hold(until=60.0), NOW)
    assert holds.of(FREE, NOW) is None
    assert holds.of(LETTA, NOW) is None
    assert holds.of(ELSEWHERE, NOW) is not None


def test_of_several_the_last_to_end_is_told() -> None:
    holds = Holds()
    holds.put("claude", "agent", hold(until=60.0), NOW)
    holds.put("letta", "agent", hold(HoldKind.NETWORK, until=90.0, why="no network"), NOW)
    found = holds.of(CLAUDE, NOW)
    assert found is not None
    assert found.why == "no network"
    assert holds.next_end(NOW) == after(60)


def test_a_person_ends_all_of_them_whether_their_end_is_known_or_not() -> None:
    holds = Holds()
    assert holds.end_all(NOW) == []
    holds.put("claude", "agent", hold(until=5000.0), NOW)
    holds.put("claude", "other", hold(until=50.0), NOW)
    holds.put("letta", "letta", hold(HoldKind.NETWORK), after(100))
    assert [(each.agent, each.lane) for each in holds.end_all(after(100))] == [("claude", "agent"), ("letta", "letta")]
    assert holds.of(CLAUDE, after(100)) is None
    assert holds.next_end(after(100)) is None
    assert holds.end_all(after(100)) == []
    assert holds.as_json() == []
    assert holds.put("letta", "letta", hold(HoldKind.NETWORK), after(110)).step == 0


# --- which agents there are, and what for ---


@pytest.mark.parametrize(
    ("change", "another"),
    [
        ({"command": ("claude", "--settings", "other.json")}, True),
        ({"kind": AgentKind.COMMAND}, True),
        ({"base_url": "http://localhost:8284"}, True),
        ({"agent_id": "agent-2"}, True),
        ({"api_key_env": "OTHER_KEY"}, True),
        ({"allowed_tools": ()}, False),
        ({"permission_mode": "plan"}, False),
        ({"max_turns": 3}, False),
        ({"daily_budget_usd": 7.0}, False),
    ],
)
@pytest.mark.parametrize("restarted", [False, True])
def test_who_is_another_by_now_has_no_trouble(change: dict[str, Any], another: bool, restarted: bool) -> None:  # noqa: FBT001
    holds = Holds()
    assert holds.use(AGENTS) == []
    put = holds.put("claude", "agent", hold(until=5000.0), NOW)
    letta = holds.put("letta", "letta", hold(HoldKind.LOGIN), NOW)
    if restarted:
        holds = Holds.from_json(json.loads(json.dumps(holds.as_json())))
    assert holds.use({**AGENTS, "mine": AgentConfig("mine")}) == []
    assert holds.use({**AGENTS, "claude": replace(AGENTS["claude"], **change)}) == ([put] if another else [])
    assert (holds.of(CLAUDE, NOW) is None) is another
    assert holds.of_agent("letta", NOW) == letta


def test_who_is_gone_holds_nobody() -> None:
    holds = Holds()
    holds.use(AGENTS)
    for lane in ("agent", "other", None):
        holds.put("claude", lane, hold(until=5000.0), NOW)
    assert len(holds.use({"letta": AGENTS["letta"]})) == 3
    assert holds.current(NOW) == []
    assert holds.as_json() == []


def test_what_was_written_down_before_agents_could_be_told_apart_is_tried() -> None:
    found = saved()
    del found["whose"]
    holds = Holds.from_json([found])
    assert holds.of(CLAUDE, NOW) is not None
    assert len(holds.use(AGENTS)) == 1


def test_a_lane_is_free_while_no_task_uses_its_holder_who_is_held_all_the_same() -> None:
    holds = Holds()
    holds.use(AGENTS)
    assert not holds.use_for([CLAUDE, FREE])
    holds.put("claude", "agent", hold(until=5000.0), NOW)
    assert not holds.use_for([LETTA, FREE, ELSEWHERE])
    assert holds.of(LETTA, NOW) is not None
    assert holds.of(COMMAND, NOW) is not None
    assert holds.use_for([LETTA, FREE])
    assert not holds.use_for([LETTA, FREE])
    assert holds.of(LETTA, NOW) is holds.of(COMMAND, NOW) is None
    assert holds.of(CLAUDE, NOW) is not None
    assert holds.of(ELSEWHERE, NOW) is not None
    assert holds.use_for([CLAUDE])
    assert holds.of(LETTA, NOW) is not None


@pytest.mark.parametrize(
    ("until", "zone", "words"),
    [
        (1800.0, "Europe/Lisbon", "waits until 12:00: usage limit reached"),
        (5400.0, "Europe/Berlin", "waits until 14:00: usage limit reached"),
        (86_400.0, "Europe/Lisbon", "waits until 2026-11-26 11:30: usage limit reached"),
        (3600.0, "Pacific/Auckland", "waits until 01:30: usage limit reached"),
        (3600.0, "Asia/Vladivostok", "waits until 22:30: usage limit reached"),
        (9000.0, "Asia/Vladivostok", "waits until 2026-11-26 00:00: usage limit reached"),
    ],
)
def test_people_read_the_time_of_their_own_clocks(until: float, zone: str, words: str) -> None:
    held = Holds().put("claude", "agent", hold(until=until), NOW)
    assert held.in_words(NOW, ZoneInfo(zone)) == words


# --- clocks ---


def test_a_clock_set_back_makes_nobody_wait_longer_than_it_was_to_be() -> None:
    holds = Holds()
    holds.put("claude", "agent", hold(until=5000.0), NOW)
    holds.put("letta", "letta", hold(HoldKind.NETWORK), NOW)
    assert not holds.trim(NOW)
    assert not holds.trim(after(30))
    assert holds.trim(after(-2))
    assert {each.agent: each.until for each in holds.current(NOW)} == {"claude": after(4998), "letta": after(58)}
    assert holds.trim(after(-86_400))
    assert holds.next_end(NOW - timedelta(days=1)) == after(60 - 86_400)


# --- the next daemon ---

DAMAGED: list[object] = [None, 7, {}, ["x"], [{}], [{"agent": "claude"}]]


def saved() -> dict[str, object]:
    holds = Holds()
    holds.put("claude", "agent", hold(until=60.5), NOW)
    (found,) = holds.as_json()
    return found


@pytest.mark.parametrize("found", DAMAGED)
def test_what_is_none_of_ours_is_refused(found: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Holds.from_json(found)


@pytest.mark.parametrize(
    "change",
    [
        {"agent": 1},
        {"lane": 1},
        {"kind": "hunger"},
        {"why": None},
        {"until": "tomorrow"},
        {"until": 1},
        {"until": "2026-11-25T11:30:00"},
        {"since": None},
        {"step": -1},
        {"step": "1"},
        {"known": 1},
        {"length": -1.0},
        {"length": 1e12},
        {"length": float("nan")},
        {"whose": None},
    ],
)
def test_what_is_damaged_is_refused(change: dict[str, object]) -> None:
    assert Holds.from_json([saved()]).next_end(NOW) == after(60.5)
    with pytest.raises(ValueError, match=r"\w"):
        Holds.from_json([saved() | change])


# --- whatever happens ---

agents = st.sampled_from(["claude", "letta"])
happenings = st.lists(
    st.one_of(
        st.tuples(
            st.just("put"),
            agents,
            st.sampled_from(["agent", "other", None]),
            st.sampled_from(HoldKind),
            st.none() | st.floats(-1e7, 1e7),
        ),
        st.tuples(st.just("succeeded"), agents),
        st.tuples(st.just("resumed")),
        st.tuples(st.just("used"), st.sampled_from([CLAUDE, LETTA, COMMAND])),
        st.tuples(st.just("passed"), st.floats(0, 1e6)),
        st.tuples(st.just("set back"), st.floats(0, 1e6)),
        st.tuples(st.just("restarted")),
    ),
    max_size=30,
)


@given(happenings)
def test_every_hold_is_for_a_bounded_time_and_a_restart_changes_none(those: list[tuple[object, ...]]) -> None:
    holds, now = Holds(), NOW
    for what, *rest in those:
        match what, rest:
            case "put", [str(agent), lane, HoldKind() as kind, until]:
                assert lane is None or isinstance(lane, str)
                named = now + timedelta(seconds=until) if isinstance(until, float) else None
                put = holds.put(agent, lane, Hold(kind, "why", named), now)
                assert now + timedelta(seconds=0.99) <= put.until
                if named is None and not put.known:
                    assert (put.until - now).total_seconds() <= SOONER.get(kind, LONGEST)
                assert holds.of_agent(agent, now) is not None
            case "succeeded", [str(agent)]:
                holds.succeeded(agent)
                assert holds.of_agent(agent, now) is None
            case "resumed", []:
                assert holds.current(now) == holds.end_all(now)
                assert holds.current(now) == []
            case "used", [TaskConfig() as task]:
                holds.use_for([task])
            case "passed", [float(seconds)]:
                now += timedelta(seconds=seconds)
            case "set back", [float(seconds)]:
                now -= timedelta(seconds=seconds)
            case "restarted", []:
                before: list[Held] = holds.current(now)
                holds = Holds.from_json(json.loads(json.dumps(holds.as_json())))
                assert holds.current(now) == before
            case _:
                raise AssertionError(what)
        holds.trim(now)
        assert all((each.until - now).total_seconds() <= FARTHEST for each in holds.current(now))
        end = holds.next_end(now)
        assert end is None or end > now
        assert len(holds.current(now)) <= 6
