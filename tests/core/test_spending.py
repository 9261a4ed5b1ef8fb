"""What agents and tasks have cost by people's days and months, and whose budget is spent."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.model import AgentConfig
from orchestrator.schedule.spending import Spending, Spent

NOW = datetime(2026, 11, 25, 11, 30, tzinfo=UTC)


def spending(budget: float = 1.0, zone: str = "UTC", *spent: tuple[datetime, float]) -> Spending:
    found = Spending()
    found.use({"claude": AgentConfig("claude", daily_budget_usd=budget)}, ZoneInfo(zone))
    for moment, cost in spent:
        found.add("claude", "t", cost, moment)
    return found


def local(zone: str, *parts: int, fold: int = 0) -> datetime:
    year, month, day, hour, minute = parts
    return datetime(year, month, day, hour, minute, tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def test_a_budget_is_spent_when_it_is_reached() -> None:
    found = spending(1.0)
    for left in (1.0, 0.6, 0.2):
        assert found.left("claude", NOW) == left
        assert found.refusal("claude", NOW) is None
        found.add("claude", "t", 0.4, NOW)
    assert found.left("claude", NOW) == 0.0
    assert found.refusal("claude", NOW) == (
        "budget: agent claude has spent $1.20 of its daily $1.00; prompts run again on 2026-11-26"
    )
    assert found.refusal("claude", NOW + timedelta(hours=12, minutes=29)) is not None
    assert found.refusal("claude", NOW + timedelta(hours=12, minutes=30)) is None


def test_ten_times_a_tenth_is_one() -> None:
    assert spending(1.0, "UTC", *[(NOW, 0.1)] * 10).refusal("claude", NOW) is not None


def test_amounts_of_less_than_a_cent_are_not_shown_as_none() -> None:
    refusal = spending(0.005, "UTC", (NOW, 0.0075)).refusal("claude", NOW)
    assert refusal is not None
    assert "$0.0075 of its daily $0.0050" in refusal


@pytest.mark.parametrize("agent", ["claude", "nobody"])
def test_who_has_no_budget_is_never_refused(agent: str) -> None:
    found = spending(0.0, "UTC", (NOW, 1e6))
    assert found.left(agent, NOW) is None
    assert found.refusal(agent, NOW) is None


@pytest.mark.parametrize(
    ("zone", "date", "hours"),
    [
        ("Europe/Berlin", (2026, 11, 25), 24),
        ("Europe/Berlin", (2027, 3, 28), 23),
        ("Europe/Berlin", (2026, 10, 25), 25),
        ("America/New_York", (2026, 11, 1), 25),
        ("Africa/Cairo", (2027, 4, 30), 23),  # there is no midnight: the day begins at 1:00
        ("America/Havana", (2026, 11, 1), 25),  # there are two: it begins at the first
        ("Asia/Kathmandu", (2026, 11, 25), 24),
        ("Australia/Lord_Howe", (2026, 10, 4), 23.5),
    ],
)
def test_a_day_is_as_long_as_people_have_it(zone: str, date: tuple[int, int, int], hours: float) -> None:
    noon = local(zone, *date, 12, 0)
    begin, _ = spending(1.0, zone).starts(noon)
    assert begin.astimezone(ZoneInfo(zone)).date().timetuple()[:3] == date
    second = timedelta(seconds=1)
    for moment, counts in [
        (begin - second, False),
        (begin, True),
        (begin + timedelta(hours=hours) - second, True),
        (begin + timedelta(hours=hours), False),
    ]:
        found = spending(1.0, zone, (moment, 2.0))
        assert (found.refusal("claude", noon) is not None) is counts
        assert found.refusal("claude", moment) is not None, "it is spent on its own day"


def test_another_zone_has_other_days() -> None:
    found = spending(1.0, "UTC", (local("UTC", 2026, 11, 25, 23, 30), 1.0))
    assert found.of_agent("claude", local("UTC", 2026, 11, 25, 12, 0)) == (1.0, 1.0)
    found.use({}, ZoneInfo("Europe/Berlin"))
    assert found.of_agent("claude", local("UTC", 2026, 11, 25, 12, 0)) == (0.0, 0.0)
    assert found.of_agent("claude", local("UTC", 2026, 11, 26, 12, 0)) == (1.0, 1.0)
    assert found.of_task("t", local("UTC", 2026, 11, 27, 12, 0)) == (0.0, 1.0)


def test_what_was_loaded_counts_as_what_is_added() -> None:
    found = Spending([Spent(NOW, "claude", "t", 0.75)])
    found.use({"claude": AgentConfig("claude", daily_budget_usd=1.0)}, UTC)
    found.add("claude", "other", 0.125, NOW)
    assert found.left("claude", NOW) == 0.125
    assert found.of_agent("claude", NOW) == (0.875, 0.875)
    assert found.of_task("t", NOW) == (0.75, 0.75)
    assert found.of_agent("letta", NOW) == (0.0, 0.0)


ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia", "America/Havana"]
moments = st.datetimes(datetime(2026, 9, 1), datetime(2027, 5, 1), timezones=st.just(UTC))  # noqa: DTZ001  it is aware


@given(
    st.sampled_from(ZONES),
    st.lists(
        st.tuples(moments, st.sampled_from(["claude", "other"]), st.sampled_from("ab"), st.integers(1, 400)),
        max_size=30,
    ),
    moments,
)
def test_as_adding_it_all_up_by_local_dates(
    name: str, those: list[tuple[datetime, str, str, int]], now: datetime
) -> None:
    zone, found = ZoneInfo(name), Spending()
    found.use({"claude": AgentConfig("claude", daily_budget_usd=2.0)}, zone)
    those = sorted(each for each in those if each[0] <= now)
    for moment, agent, task, cents in those:
        found.add(agent, task, cents / 100, moment)
    today = now.astimezone(zone).date()
    days = [(moment.astimezone(zone).date(), agent, task, cents) for moment, agent, task, cents in those]
    for agent in ("claude", "other"):
        day = sum(cents for date, whose, _, cents in days if whose == agent and date == today)
        month = sum(
            cents for date, whose, _, cents in days if whose == agent and date.replace(day=1) == today.replace(day=1)
        )
        assert found.of_agent(agent, now) == (day / 100, month / 100)
    for task in "ab":
        day = sum(cents for date, _, whose, cents in days if whose == task and date == today)
        assert found.of_task(task, now)[0] == day / 100
    spent = sum(cents for date, whose, _, cents in days if whose == "claude" and date == today)
    assert (found.refusal("claude", now) is not None) is (spent >= 200)
    assert found.left("claude", now) == pytest.approx(max(0, 200 - spent) / 100)
