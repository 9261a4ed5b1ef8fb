"""PURE. How a process ended."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Death:
    """How a process ended: by exit code, by signal (its name), or, when it was adopted, nobody knows how."""

    code: int | None = None
    signal: str | None = None

    def __str__(self) -> str:
        if self.signal is not None:
            return f"killed by {self.signal}"
        if self.code is not None:
            return f"exit code {self.code}"
        return "ended, exit code unknown (adopted)"
