"""Notices that time did not pass as it should: a suspended machine, a stopped daemon, a clock that was set."""

from dataclasses import dataclass
from typing import Final

from orchestrator.clock import Clock
from orchestrator.readable import span

FORWARD: Final = 5.0  # seconds that the clock on the wall may gain on the monotonic one without being called a jump
BACK: Final = 1.0  # … and lose: NTP slews, it does not step by so much
SILENCE: Final = 45.0  # seconds between two looks after which whoever should look was stopped


@dataclass(frozen=True, slots=True)
class Jump:
    """`back`: the clock was set back, else time was lost. `text` says so to a person."""

    back: bool
    text: str


class ClockWatch:
    """Look at least every 30 s. What lies before `awake_since` was not lived through."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.awake_since = clock.now()
        self._looked = clock.monotonic()
        self._ahead = self.awake_since.timestamp() - self._looked

    def look(self) -> Jump | None:
        """Tell what happened to the clock since the last look."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        ahead = now.timestamp() - monotonic
        gained, silent = ahead - self._ahead, monotonic - self._looked
        self._ahead, self._looked = ahead, monotonic
        if gained < -BACK:
            self.awake_since = now
            return Jump(back=True, text=f"the clock was set back by {span(-gained)}; the schedule goes on from here")
        if gained > FORWARD:
            self.awake_since = now
            return Jump(
                back=False, text=f"the machine slept, or its clock was set forward, {span(gained)}; missed slots follow"
            )
        if silent > SILENCE:
            self.awake_since = now
            return Jump(back=False, text=f"the daemon stood still for {span(silent)}; missed slots follow")
        return None
