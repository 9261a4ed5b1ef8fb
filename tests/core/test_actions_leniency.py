"""What chores and handlers leave may be anything: whatever JSON it is, no exception comes of it."""

import pytest

from orchestrator.actions import results
from orchestrator.processes.death import Death
from orchestrator.processes.printed import OUTPUT_MAX, Tail
from orchestrator.schedule.runs import Outcome

DEEP = b'{"outcome": ' + b"[" * 50_000


def tail(data: bytes) -> Tail:
    made = Tail(OUTPUT_MAX)
    made.add(data)
    return made


@pytest.mark.parametrize("document", [DEEP, b"9" * 5000, b"\xff", b"", b"null", b'{"outcome": ["success"]}'])
def test_what_makes_no_sense_is_no_answer(document: bytes) -> None:
    ended = Death(code=0), tail(document), tail(b"")
    assert results.of_handler(*ended, document).outcome is Outcome.FAILURE
    assert results.of_chore(*ended).outcome is Outcome.FAILURE
    assert results.prompt_of_chore(tail(document)) is None
