"""PURE. Why Claude Code has given no result, guessed from what it printed instead and from how it died."""

import re
from datetime import datetime, tzinfo
from typing import Final

from orchestrator.agents import troubles
from orchestrator.agents.claude_details import storable
from orchestrator.agents.claude_printed import Printed
from orchestrator.processes.death import Death
from orchestrator.schedule.runs import Outcome, Result

PIPE_FULL: Final = 65_536  # bytes that a pipe holds: all that arrives when the program ends before they are read
SAYING_MAX: Final = 500  # characters: what is longer is no complaint of the program but may be the text of a model

_UNKNOWN_OPTION: Final = re.compile(r"unknown option '?(--?[\w-]+)", re.IGNORECASE)
_NESTED: Final = re.compile(r"inside another Claude Code session", re.IGNORECASE)
# What is wrong with a command line or with the configuration is wrong the next time, too.
_WRONG_CALL: Final = re.compile(
    r"\bargument '.*' is invalid|cannot be used with root|invalid MCP configuration|settings file not found"
    r"|must be provided either|contained only whitespace|exceeds 10MB",
    re.IGNORECASE,
)
_BY_SHELL: Final = {129: "SIGHUP", 130: "SIGINT", 137: "SIGKILL", 143: "SIGTERM"}  # 128 and the signal's number


def read(found: Printed, length: int, stderr: str, death: Death | None, *, now: datetime, zone: tzinfo) -> Result:
    """Tell what came of a prompt that was answered with no result. `length`: bytes that were printed."""
    output, ended = storable(found.words), _ended(death)
    if found.cut_off:
        why = f"its answer is cut off after {length:,} bytes ({ended})"
        if length == PIPE_FULL:
            why += "; that is a known fault of Claude Code where its output is a pipe that is read late"
        return _failure(why, output)
    # Of a program that ended well, only what it printed in place of an answer is a complaint.
    said = [found.words.strip(), *([stderr.strip()] if death is None or death.code != 0 or not length else [])]
    complaints = [each for each in said if each and len(each) <= SAYING_MAX]
    for complaint in complaints:
        if (wrong := _wrong_call(complaint)) is not None:
            return _failure(wrong, output, final=True)
        if (hold := troubles.hold_of(complaint, now, zone)) is not None:
            return Result(Outcome.FAILURE, output=output, error=hold.why, hold=hold)
    final = any(troubles.is_final(each) for each in complaints)
    if found.words.strip() and not found.events:
        return _failure(
            f"did not answer with JSON: {troubles.first_line(storable(found.words))} ({ended})", output, final=final
        )
    if length:
        return _failure(f"ended without a result ({ended}){_last_words(stderr)}", output, final=final)
    return _failure(f"printed nothing ({ended}){_last_words(stderr)}", output, final=final)


def _wrong_call(complaint: str) -> str | None:
    if unknown := _UNKNOWN_OPTION.search(complaint):
        return f"it does not know the option {unknown[1]}, so it is too old: run `claude update`"
    if _NESTED.search(complaint):
        return "it refuses to run inside another Claude Code session: unset CLAUDECODE, or run `claude update`"
    return troubles.first_line(complaint) if _WRONG_CALL.search(complaint) else None


def _ended(death: Death | None) -> str:
    if death is None:
        return "it was stopped"
    by_shell = _BY_SHELL.get(death.code or 0)
    return f"{death}, as after {by_shell}" if by_shell else str(death)


def _last_words(stderr: str) -> str:
    lines = [line for each in stderr.splitlines() if (line := troubles.first_line(each))]
    return f": {storable(lines[-1])}" if lines else ""


def _failure(why: str, output: str, *, final: bool = False) -> Result:
    return Result(Outcome.FAILURE, output=output, error=why, final=final)
