"""PURE. What came of a prompt, read from all that Claude Code printed: its result, never its exit code alone."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import Any, Final

from orchestrator.agents import claude_details, claude_silence, troubles
from orchestrator.agents.claude_details import storable
from orchestrator.agents.claude_printed import Event, may_have_result, take_apart
from orchestrator.agents.limits import of_epoch
from orchestrator.processes.death import Death
from orchestrator.schedule.runs import Hold, HoldKind, Outcome, Result

# What it says instead of asking the model, and calls a success.
_NOT_DONE: Final = re.compile(
    r"\s*(?:/\S+ isn['’]t available in this environment|unknown (?:skill|slash command|command)\b)", re.IGNORECASE
)
_NUMBER: Final = re.compile(r"\((\d{1,9})\)")
_CUT_ANSWER: Final = re.compile(r"mid-response|response stopped arriving|may be incomplete", re.IGNORECASE)


def is_whole(printed: bytes) -> bool:
    """Whether a complete result stands there: an object, an array of events with one, or a stream that has one."""
    return may_have_result(printed) and take_apart(printed).result is not None


def read(printed: bytes, stderr: str, death: Death | None, *, now: datetime, zone: tzinfo) -> Result:
    """Tell what came of a prompt. `death`: None where we ended the program after its result.

    How it died counts only where it printed no result: exit codes are known to be wrong either way.
    """
    found = take_apart(printed)
    if found.result is None:
        return claude_silence.read(found, len(printed), stderr, death, now=now, zone=zone)
    made = _made_of(found.result, found.events, now, zone)
    details = claude_details.of(found.events, found.result)
    return replace(made, cost_usd=claude_details.cost(found.result), details=details)


def _made_of(result: Event, events: Sequence[Event], now: datetime, zone: tzinfo) -> Result:
    text = _text(result)
    # An API that refuses gives subtype "success" too, and is_error with it.
    if result.get("subtype") == "success" and result.get("is_error", False) is False:
        if not _by_the_program(result):
            return Result(Outcome.SUCCESS, output=_with_denials(text, result))
        # Some versions tell of a limit in this way.
        if hold := troubles.hold_of(text, now, zone):
            return _failure(hold.why, text, result, hold=hold)
        if _NOT_DONE.match(text):
            why = f"it did nothing but say: {troubles.first_line(text).rstrip('.')}; correct the prompt's beginning"
            return _failure(why, text, result, final=True)
        return Result(Outcome.SUCCESS, output=_with_denials(text, result))
    return _error(result, text, events, now, zone)


def _by_the_program(result: Event) -> bool:
    """Whether the text is the program's own: no model has said a word."""
    return claude_details.count(result.get("num_turns")) == 0 or claude_details.output_tokens(result) == 0


def _error(result: Event, text: str, events: Sequence[Event], now: datetime, zone: tzinfo) -> Result:
    subtype, errors = result.get("subtype"), _errors(result)
    if subtype == "error_max_turns":
        # It counts the turn that it was not let make; the number in its error is the one that was set.
        named = _NUMBER.search(errors)
        turns = named[1] if named else claude_details.count(result.get("num_turns"))
        after = "all its turns" if turns is None else f"{turns} turn{'' if str(turns) == '1' else 's'}"
        # Another attempt would cost as much, and end there too.
        return _failure(
            f"stopped after {after}, as max_turns says; raise it, or ask for less", text, result, final=True
        )
    if subtype == "error_max_budget_usd":
        why = f"stopped at its budget, as daily_budget_usd says: {errors or 'it is spent'}"
        return _failure(why, text, result, final=True)
    complaint = text or errors
    status, codes = _status(result), _codes(result, events)
    hold = troubles.hold_of(complaint, now, zone, status=status, codes=codes, until=_named_end(events))
    if hold is not None and not _is_taken(hold, complaint, result):
        return _failure(hold.why, text, result, hold=hold)
    final = troubles.is_final(complaint, status=status, codes=codes)
    said = troubles.first_line(complaint)
    if subtype == "error_during_execution":
        return _failure(
            f"it met an error while it worked: {said or 'it does not say which'}", text, result, final=final
        )
    if subtype == "success":
        return _failure(said or "it says that it has failed, but not why", text, result, final=final)
    name = storable(subtype) if isinstance(subtype, str) and subtype else "a result of no kind"
    return _failure(
        f"it ended with {troubles.first_line(name)}{f': {said}' if said else ''}", text, result, final=final
    )


def _is_taken(hold: Hold, complaint: str, result: Event) -> bool:
    """Whether the agent was at work already when the connection or the servers failed it: a failure, to be counted."""
    passing = hold.kind in (HoldKind.NETWORK, HoldKind.BUSY)
    return passing and (bool(claude_details.cost(result)) or _CUT_ANSWER.search(complaint) is not None)


def _failure(why: str, text: str, result: Event, *, hold: Hold | None = None, final: bool = False) -> Result:
    return Result(Outcome.FAILURE, output=_with_denials(text, result), error=why, hold=hold, final=final)


def _text(result: Event) -> str:
    """The answer; whatever is no text as JSON."""
    for said in (result.get("result"), result.get("structured_output")):
        if isinstance(said, str) and said:
            return storable(said)
        if said not in (None, ""):
            return storable(json.dumps(said, ensure_ascii=False))
    return ""


def _with_denials(text: str, result: Event) -> str:
    denied = claude_details.denied(result)
    return "\n\n".join(part for part in (text.rstrip("\n") if denied else text, denied) if part)


def _errors(result: Event) -> str:
    said = result.get("errors")
    lines = [each for each in said if isinstance(each, str)] if isinstance(said, list) else [said]
    return storable("; ".join(each for each in lines if isinstance(each, str)))


def _status(result: Event) -> int | None:
    return claude_details.count(result.get("api_error_status"))


def _codes(result: Event, events: Sequence[Event]) -> set[str]:
    """All names that it has for what is wrong; those of a stream say more."""
    told = [event for event in events if event.get("is_api_error_message") is True][-1:]
    named: list[Any] = [each.get(key) for each in (result, *told) for key in ("api_error", "api_error_type", "error")]
    named.append(result.get("terminal_reason"))
    return {each for each in named if isinstance(each, str)}


def _named_end(events: Sequence[Event]) -> datetime | None:
    """When the limit ends by the last event that tells of one, to the second; a plain result has only words for it."""
    for event in reversed(events):
        told = event.get("rate_limit_info")
        if isinstance(told, dict) and told.get("status") == "rejected":
            seconds = claude_details.number(told.get("resetsAt"))
            try:
                return None if seconds is None else of_epoch(seconds)
            except (OverflowError, ValueError):
                return None
    return None
