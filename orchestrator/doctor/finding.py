"""PURE. What a check has found: how bad it is, in words, and what a person can do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"  # the employee works, but not as somebody might expect
    PROBLEM = "problem"  # something that it is there for will not be done


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` names what was looked at; `remedy` is None where there is nothing to do."""

    check: str
    level: Level
    message: str
    remedy: str | None = None

    def as_json(self) -> dict[str, str | None]:
        return {"check": self.check, "level": str(self.level), "message": self.message, "remedy": self.remedy}


def ok(check: str, message: str) -> Finding:
    return Finding(check, Level.OK, message)


def warning(check: str, message: str, remedy: str) -> Finding:
    return Finding(check, Level.WARNING, message, remedy)


def problem(check: str, message: str, remedy: str) -> Finding:
    return Finding(check, Level.PROBLEM, message, remedy)


def stops(findings: Iterable[Finding]) -> bool:
    """Whether any of them would stop the employee, or a part of it."""
    return any(finding.level is Level.PROBLEM for finding in findings)
