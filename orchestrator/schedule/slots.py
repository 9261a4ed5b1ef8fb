"""Claims slots: writes each down a moment before its instant, and hands its run over at it."""

import heapq
import itertools
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, Protocol

import anyio
import anyio.lowlevel

from orchestrator.clock import Clock
from orchestrator.config.model import TaskConfig
from orchestrator.errors import UserError
from orchestrator.events import Bus, SchedulerChanged
from orchestrator.problems import Problems
from orchestrator.schedule.book import Book
from orchestrator.schedule.clockwatch import ClockWatch
from orchestrator.schedule.runner import NAP
from orchestrator.schedule.runs import Outcome, Phase, Run, TaskState, Trigger
from orchestrator.schedule.shield import Shield
from orchestrator.schedule.when import Due

log = logging.getLogger(__name__)

# Seconds that a slot is claimed ahead: a commit to the disk takes milliseconds, which a run need not be late by.
LEAD: Final = 0.2
LAST_STRETCH: Final = 0.0011  # seconds before a slot that are waited out precisely
CLAIM_AGAIN: Final = 5.0  # seconds until the next try when the database cannot be written
PROBLEM: Final = "scheduler"  # the key of our line in `problems`


class Claims(Protocol):
    """Where slots are claimed: `store.runs.RunStore`, or a stand-in in tests."""

    async def claim(self, runs: Sequence[Run], states: Sequence[TaskState]) -> list[bool]: ...
    def save_state(self, state: TaskState) -> None: ...


class Slots:
    """The clock's side of the schedule. `open`: whether slots are to be run at all just now."""

    def __init__(
        self,
        book: Book,
        claims: Claims,
        hand_over: Callable[[Run], None],
        tell: Callable[[Run], None],
        *,
        clock: Clock,
        bus: Bus,
        problems: Problems,
        shield: Shield,
    ) -> None:
        self.open = True
        self.failing = False
        self._book = book
        self._claims = claims
        self._hand_over = hand_over
        self._tell = tell  # of runs that are over as soon as they are written down: missed slots
        self._clock = clock
        self._bus = bus
        self._problems = problems
        self._shield = shield
        self._claiming = anyio.Lock()
        self._watch = ClockWatch(clock)
        self._ahead: list[tuple[float, int, Run]] = []  # a heap: claimed, and their slots are a moment away
        self._numbers = itertools.count()
        self._wake = anyio.Event()
        self._claimed = anyio.Event()

    def begin(self) -> None:
        """From now on slots are on time; what came before was missed."""
        self._watch = ClockWatch(self._clock)

    def look_again(self) -> None:
        """Something changed about what is due next."""
        self._wake.set()

    def set_open(self, *, is_open: bool) -> None:
        """Run slots from now on, or no more. Those that pass while it is closed were missed."""
        if is_open and not self.open:
            self._watch.awake_since = self._clock.now()
        self.open = is_open
        self.look_again()

    async def keep(self) -> None:
        """Claim every slot in time, for ever."""
        while True:
            self._notice_clock()
            self._wake = anyio.Event()
            pause = await self._claim() if self.open else NAP
            if pause > 0:
                with self._clock.move_on_after(pause):
                    await self._wake.wait()
            else:
                await anyio.lowlevel.checkpoint()

    async def release(self) -> None:
        """Hand every claimed run over at its slot, for ever. Apart from `keep`, which a slow disk may hold up."""
        while True:
            self._claimed = anyio.Event()
            self.hand_over_until(self._clock.now())
            if not self._ahead:
                await self._claimed.wait()
            elif (left := self._ahead[0][0] - self._clock.now().timestamp()) > LAST_STRETCH:
                with self._clock.move_on_after(min(left - LAST_STRETCH, NAP)):
                    await self._claimed.wait()
            else:
                await self._clock.sleep_precisely(left)

    def hand_over_until(self, moment: datetime | None) -> None:
        """Hand over what is claimed up to `moment`; None: all of it."""
        while self._ahead and (moment is None or self._ahead[0][0] <= moment.timestamp()):
            self._hand_over(heapq.heappop(self._ahead)[2])

    async def take_back(self) -> list[Run]:
        """Give what is claimed and was not handed over, which then never will be."""
        async with self._claiming:  # a claim that is under way is one of them
            self.open = False
        taken, self._ahead = [run for _, _, run in self._ahead], []
        return taken

    async def claim_due(self) -> None:
        """Claim what is due now or in a moment. Raises UserError when that is impossible: then nothing is handled."""
        async with self._claiming:
            await self._claim_all(self._clock.now())

    async def _claim_all(self, now: datetime) -> None:
        entries = self._book.due(now.timestamp() + LEAD)
        if not entries:
            return
        runs, states = list[Run](), list[TaskState]()
        for entry in entries:
            due = self._book.look(entry, now, self._watch.awake_since)
            runs += runs_of(entry.config, due)
            handled = max(each for each in (due.slot, due.newest_missed, entry.state.handled_until) if each is not None)
            states.append(
                replace(entry.state, handled_until=handled, ever_run=entry.state.ever_run or due.slot is not None)
            )
        try:
            with self._shield.held():  # else nobody would know what was committed
                ours = await self._claims.claim(runs, states)
        except UserError:
            for entry in entries:
                self._book.reckon(entry)
            raise
        for entry, state in zip(entries, states, strict=True):
            # Others may have changed the state meanwhile: only what belongs to the slot is taken over.
            self._book.remember(entry, replace(entry.state, handled_until=state.handled_until, ever_run=state.ever_run))
            if entry.state != state:
                self._claims.save_state(entry.state)
        for run, is_ours in zip(runs, ours, strict=True):
            if is_ours and run.phase is Phase.FINISHED:
                self._tell(run)
            elif is_ours:
                heapq.heappush(self._ahead, (run.slot.timestamp(), next(self._numbers), run))
        self._claimed.set()

    async def _claim(self) -> float:
        """Claim what is due, and give the seconds until there may be more to do."""
        try:
            await self.claim_due()
        except UserError as error:
            self.failing = True
            self._problems.report(PROBLEM, f"no scheduled run is started, since none can be written down: {error}")
            return CLAIM_AGAIN
        if self.failing:
            self.failing = False
            self._problems.clear(PROBLEM)
        next_at = self._book.next_at()
        return NAP if next_at is None else min(NAP, next_at - LEAD - self._clock.now().timestamp())

    def _notice_clock(self) -> None:
        jump = self._watch.look()
        if jump is None:
            return
        log.warning("%s", jump.text)
        self._bus.publish(SchedulerChanged(at=self._clock.now(), change=jump.text))
        if jump.back:
            for state in self._book.set_back(self._clock.now()):
                self._claims.save_state(state)
            self.hand_over_until(None)  # their slots would not come for as long as the clock went back


def new_run_id() -> str:
    return os.urandom(6).hex()


def new_run(task: TaskConfig, slot: datetime, trigger: Trigger) -> Run:
    """Give a run that is about to start.

    It is written down as running: should the daemon die right afterwards, it may have begun.
    """
    return Run(new_run_id(), task.name, slot, trigger, Phase.RUNNING, retries=task.retry.max)


def runs_of(task: TaskConfig, due: Due) -> Iterable[Run]:
    """Give the runs to be written down: at most one that runs, and one that stands for all that were missed."""
    if due.missed and due.newest_missed is not None:
        missed = new_run(task, due.newest_missed, Trigger.SCHEDULE)
        missed.phase, missed.outcome = Phase.FINISHED, Outcome.MISSED
        missed.error = (
            "this slot was missed" if due.missed == 1 else f"{due.missed} slots were missed; this is the last"
        )
        yield missed
    if due.slot is not None:
        yield new_run(task, due.slot, Trigger.CATCH_UP if due.late else Trigger.SCHEDULE)
