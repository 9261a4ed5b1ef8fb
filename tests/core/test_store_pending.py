"""What waits for the database: order, bounds, and what is dropped when the disk cannot keep up."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from orchestrator.events import ConfigReloaded, Fact, SupervisorChanged, WatcherRestarted
from orchestrator.store.pending import BATCH, MAX_FACTS, Ask, Batch, Pending

if TYPE_CHECKING:
    import sqlite3

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def restart(number: int) -> Fact:
    return WatcherRestarted(at=START + timedelta(seconds=number), name="inbox", cause="crashed", restarts=number)


def reloaded() -> Fact:
    return ConfigReloaded(at=START, added=(), removed=(), restarted=(), changed=())


def write(connection: "sqlite3.Connection") -> None:
    connection.execute("SELECT 1")


def everything(pending: Pending) -> list[Batch]:
    batches = []
    pending.finish()
    while batch := pending.take():
        batches.append(batch)
    return batches


def test_facts_come_out_in_order_in_bounded_batches() -> None:
    pending = Pending()
    facts = [restart(number) for number in range(2 * BATCH + 1)]
    for fact in facts:
        pending.add(fact)
    batches = everything(pending)
    assert [len(batch.facts) for batch in batches] == [BATCH, BATCH, 1]
    assert [fact for batch in batches for fact in batch.facts] == facts


def test_a_question_waits_for_every_fact_before_it() -> None:
    pending = Pending()
    for number in range(BATCH + 1):
        pending.add(restart(number))
    ask = Ask(write, write=False)
    assert pending.ask(ask)
    assert [batch.asks for batch in everything(pending)] == [[], [ask]]


def test_a_later_write_replaces_the_earlier_one_under_its_key() -> None:
    pending = Pending()

    def newer(connection: "sqlite3.Connection") -> None:
        write(connection)

    pending.put("watchers", write, urgent=False)
    pending.put("process inbox", write, urgent=True)
    pending.put("watchers", newer, urgent=False)
    (batch,) = everything(pending)
    assert batch.writes == {"process inbox": write, "watchers": newer}


def test_a_full_queue_drops_only_what_a_crash_loop_repeats_and_counts_it() -> None:
    pending = Pending()
    for number in range(MAX_FACTS + 7):
        pending.add(restart(number))
    pending.add(reloaded())
    batches = everything(pending)
    assert sum(len(batch.facts) for batch in batches) == MAX_FACTS + 1
    assert batches[-1].facts[-1] == reloaded()
    notes = [batch.dropped for batch in batches if batch.dropped]
    assert [(note.count, note.since, note.until) for note in notes] == [
        (7, START + timedelta(seconds=MAX_FACTS), START + timedelta(seconds=MAX_FACTS + 6))
    ]


def test_what_could_not_be_written_comes_again_before_what_came_since() -> None:
    pending = Pending()
    pending.add(restart(1))
    pending.put("watchers", write, urgent=True)
    failed = pending.take()
    pending.add(restart(2))
    pending.give_back(failed)
    (again,) = everything(pending)
    assert again.facts == [restart(1), restart(2)]
    assert again.writes == {"watchers": write}


def test_a_newer_write_beats_the_one_that_failed() -> None:
    pending = Pending()
    pending.put("watchers", write, urgent=True)
    failed = pending.take()

    def newer(connection: "sqlite3.Connection") -> None:
        write(connection)

    pending.put("watchers", newer, urgent=True)
    pending.give_back(failed)
    assert [batch.writes for batch in everything(pending)] == [{"watchers": newer}]


def test_what_a_write_is_for_is_known_when_it_comes_again_too() -> None:
    pending = Pending()
    pending.put("watchers", write)
    pending.put("run 1", write, passing=True, durable=True)
    failed = pending.take()
    pending.give_back(failed)
    pending.put("task report", write, passing=True)
    again = pending.take()
    assert again.passing == {"run 1", "task report"}
    assert again.durable
    pending.put("watchers", write)
    (last,) = everything(pending)
    assert last.passing == set()
    assert not last.durable


def test_the_queue_stays_bounded_when_a_batch_comes_back() -> None:
    pending = Pending()
    started = SupervisorChanged(at=START, new="running", pid=1)
    pending.add(started)
    for number in range(BATCH):
        pending.add(restart(number))
    failed = pending.take()
    for number in range(MAX_FACTS):
        pending.add(restart(BATCH + number))
    pending.give_back(failed)
    batches = everything(pending)
    assert sum(len(batch.facts) for batch in batches) == MAX_FACTS
    assert batches[0].facts[0] == started
    assert sum(batch.dropped.count for batch in batches if batch.dropped) == BATCH + 1


def test_nobody_waits_for_an_answer_after_the_end() -> None:
    pending = Pending()
    left = Ask(write, write=True)
    assert pending.ask(left)
    assert pending.close() == [left]
    assert not pending.ask(Ask(write, write=True))
