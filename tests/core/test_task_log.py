"""Runs as lines of Logs/task_execution.jsonl: one each, whatever they printed."""

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.schedule.runs import Outcome, Phase, Run, Trigger
from orchestrator.store.task_log import LIMIT, line

SLOT = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
ENDED = SLOT + timedelta(seconds=1, microseconds=250_000)


def finished(output: str = "", error: str | None = None) -> Run:
    return Run(
        run_id="0123456789ab",
        task="report",
        slot=SLOT,
        trigger=Trigger.SCHEDULE,
        phase=Phase.FINISHED,
        attempts=2,
        started_at=SLOT,
        outcome=Outcome.FAILURE if error else Outcome.SUCCESS,
        duration=1.2494,
        output=output,
        error=error,
        cost_usd=0.25,
    )


def test_a_line_has_the_contracts_fields() -> None:
    assert line(finished("done"), ENDED) == (
        b'{"timestamp": "2026-11-20T08:00:01.25Z", "task_id": "report", "run_id": "0123456789ab", '
        b'"slot": "2026-11-20T08:00:00Z", "status": "success", "duration_ms": 1249, "attempts": 2, "output": "done", '
        b'"error": null, "cost_usd": 0.25}\n'
    )


def test_a_run_that_never_began_has_no_duration() -> None:
    run = Run("r", "report", SLOT, Trigger.SCHEDULE, Phase.FINISHED, outcome=Outcome.MISSED, error="2 were missed")
    found = json.loads(line(run, ENDED))
    assert found["status"] == "missed"
    assert found["duration_ms"] is None
    assert found["error"] == "2 were missed"


def test_texts_are_cut_and_say_so() -> None:
    found = json.loads(line(finished("x" * 4097, "ü" * 2049), ENDED))
    assert found["output"] == "x" * 4093 + "…"
    assert found["error"] == "ü" * 2046 + "…"
    assert json.loads(line(finished("ü" * 2048), ENDED))["output"] == "ü" * 2048


@given(st.text(st.characters(exclude_categories=()), max_size=50), st.sampled_from([1, 500]))
def test_whatever_was_printed_it_is_one_line_of_json(text: str, times: int) -> None:
    written = line(finished(text * times), ENDED)
    assert written.endswith(b"\n")
    assert len(written.decode().splitlines()) == 1
    output = json.loads(written)["output"]
    assert len(output.encode("utf-8", "surrogatepass")) <= LIMIT
    if times == 1:
        assert output == _joined(text)


def _joined(text: str) -> str:
    """Two surrogates side by side that make a pair are one character once JSON has been read."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
