"""PURE. How an attempt went, read from how its process ended, what it printed and what it handed back."""

import json
from collections.abc import Mapping
from typing import Any, Final

from orchestrator.processes.death import Death
from orchestrator.processes.printed import Tail
from orchestrator.schedule.runs import Outcome, Result

LAST_LINES: Final = 3
CLAIMED: Final = {each.value: each for each in (Outcome.SUCCESS, Outcome.FAILURE, Outcome.SKIPPED)}


def failure(why: str, output: str = "") -> Result:
    return Result(Outcome.FAILURE, output=output, error=why)


def of_command(death: Death, output: Tail, stderr: Tail) -> Result:
    """Exit code 0 is success, everything else is not."""
    if death.code == 0:
        return Result(Outcome.SUCCESS, output=output.text())
    return failure(_with_last_words(str(death), stderr), output.text())


def of_handler(death: Death, output: Tail, stderr: Tail, returned: bytes) -> Result:
    """Take what it returned, whatever became of its process afterwards; what it printed where it returned no output."""
    result = _read(returned, printed=output)
    if result is not None:
        return result
    return failure(_with_last_words(f"the handler did not come to return: {death}", stderr), output.text())


def of_chore(death: Death, output: Tail, stderr: Tail) -> Result:
    """Take what the last line of its output says."""
    result = _read(output.last_line(), printed=output)
    if result is not None:
        return result
    if death.code != 0:
        return of_command(death, output, stderr)
    return failure("the chore ended without saying how it went", output.text())


def prompt_of_chore(output: Tail) -> str | None:
    """Give what the last line of a chore's output says to an agent, if it does."""
    found = _parsed(output.last_line())
    prompt = found.get("prompt") if isinstance(found, Mapping) else None
    return prompt if isinstance(prompt, str) and prompt.strip() else None


def _read(document: bytes, printed: Tail) -> Result | None:
    """Read `{"outcome", "output", "error"}`; None where that is not what it is."""
    found = _parsed(document)
    if not isinstance(found, Mapping) or str(found.get("outcome")) not in CLAIMED:
        return None
    output, error = found.get("output"), found.get("error")
    return Result(
        CLAIMED[found["outcome"]],
        output=_storable(output) if isinstance(output, str) else printed.text(),
        error=_storable(error) if isinstance(error, str) and error else None,
    )


def _parsed(document: bytes) -> Any:
    """Read JSON; None where it is none, or such as nobody means."""
    try:
        return json.loads(document)
    except (ValueError, RecursionError):  # brackets without end
        return None


def _storable(text: str) -> str:
    """Without lone surrogates, which JSON can bring along and no database and no file takes."""
    return text.encode(errors="replace").decode()


def _with_last_words(text: str, stderr: Tail) -> str:
    said = stderr.last_lines(LAST_LINES)
    return f"{text}: {' ⏎ '.join(said)}" if said else text
