"""What Claude Code has printed, read: alike in the daemon and in the process that reads what is much."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from orchestrator.processes.death import Death
from orchestrator.processes.printed import cut
from orchestrator.redaction import Redactor
from orchestrator.schedule.runs import Hold, HoldKind, Outcome, Result

PRINTED_MAX: Final = 64 * 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class End:
    """How its process ended, what that said on stderr, and when and where that is."""

    death: Death | None
    stderr: str
    now: datetime
    zone: str  # IANA name

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"now": self.now.isoformat()}


def read(printed: bytes, end: End, redact: Redactor) -> Result:
    """Tell what came of a prompt; its output as it is kept."""
    from orchestrator.agents import claude_answer  # noqa: PLC0415  much that only who uses it has to have

    zone = ZoneInfo(end.zone)
    found = claude_answer.read(printed, end.stderr, end.death, now=end.now, zone=zone)
    return replace(found, output=cut(redact(found.output)))


def is_whole(printed: bytes) -> bool:
    """Whether a complete result stands there."""
    from orchestrator.agents import claude_answer  # noqa: PLC0415  as above

    return claude_answer.is_whole(printed)


def end_of(found: Mapping[str, Any]) -> End:
    """Read what `End.as_json` gave."""
    death = None if found["death"] is None else Death(**found["death"])
    return End(death, found["stderr"], datetime.fromisoformat(found["now"]), found["zone"])


def result_of(found: Mapping[str, Any]) -> Result:
    """Read a result that was given as JSON, its moments as texts."""
    hold = found["hold"]
    if hold is not None:
        until = None if hold["until"] is None else datetime.fromisoformat(hold["until"])
        hold = Hold(HoldKind(hold["kind"]), hold["why"], until)
    return Result(**{**found, "outcome": Outcome(found["outcome"]), "hold": hold})
