"""What a scenario is: it measures one program once and gives back series of numbers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from benchmarks.environments import Program
from benchmarks.session import Lab

Series = dict[str, list[float]]  # key of a series → its values, in the unit of the rows that show it


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a statistic over all values of a series."""

    series: str
    title: str
    unit: str
    statistic: Literal["median", "p95", "worst"] = "median"
    more_is_better: bool = False

    @property
    def key(self) -> str:
        return f"{self.series}.{self.statistic}"


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    rounds: int
    kills: int
    flooded_kills: int
    commands: int  # `status` and `restart` calls a round
    sizes: tuple[int, ...]
    idle_seconds: float
    many: int  # watchers of the large daemon whose memory is compared with that of ten
    bursts: int


FULL = Effort(3, 15, 10, 15, (1, 10, 100, 500), 30.0, 200, 3)
QUICK = Effort(1, 3, 3, 3, (1, 10), 3.0, 30, 1)


class Scenario(ABC):
    name: ClassVar[str]

    def __init__(self, effort: Effort) -> None:
        self.effort = effort

    @property
    @abstractmethod
    def rows(self) -> list[Row]:
        """What it contributes to the table."""

    def suits(self, program: str) -> bool:
        """Whether it makes sense for this program."""
        return bool(program)

    @abstractmethod
    def measure(self, lab: Lab, program: Program) -> Series:
        """Measure one program once. Raises TimedOut when it does not do what is waited for."""


def milliseconds(start: int, end: int) -> float:
    """From nanoseconds of one clock."""
    return (end - start) / 1e6
