"""Keeps all watchers: tells each of deaths, deadlines and messages, and orders starts and stops by dependency."""

import fnmatch
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import anyio
import anyio.abc
import anyio.lowlevel

from orchestrator.clock import Clock
from orchestrator.config.model import WatcherConfig
from orchestrator.events import Bus, Fact, WatcherRestarted
from orchestrator.processes.death import Death
from orchestrator.supervise import states
from orchestrator.supervise.holding import Holding
from orchestrator.supervise.keeper import Host, Keeper
from orchestrator.supervise.states import State
from orchestrator.supervise.verdict import Verb, Verdict, View, in_the_end, judge, needs

log = logging.getLogger(__name__)

LONGEST_SLEEP = 30.0  # seconds; so that a suspended machine or a stepped clock is noticed
MEMORY_EVERY = 5.0  # seconds between two looks at watchers that have a memory limit


class Machine(Host, Protocol):
    """What the supervisor needs of the machine beside what its keepers need: `machine.RealMachine`, or a stand-in."""

    def deaths(self) -> Iterable[tuple[int, Death]]:
        """Reap every process that has ended."""
        ...

    async def wait_for_death(self) -> None: ...

    def living_groups(self, pids: Collection[int]) -> set[int]:
        """Find which of these process groups have living members."""
        ...

    def messages(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Give what watchers have said through sd_notify and nobody has read."""
        ...

    async def wait_for_message(self) -> None: ...

    async def settle(self, name: str) -> None:
        """Return when all that the watcher has written lies in its log."""
        ...

    async def tree_rss(self, pids: Sequence[int]) -> Mapping[int, int]: ...

    def open(self, name: str) -> None:
        """Prepare for a watcher of this name."""
        ...

    def forget(self, name: str) -> None:
        """Clean up after a watcher that is no longer configured."""
        ...


class Supervisor:
    """All watchers of one daemon. Everything but `serve` and the waiting methods is synchronous."""

    def __init__(self, machine: Machine, clock: Clock, bus: Bus) -> None:
        self.keepers: dict[str, Keeper] = {}
        self._machine = machine
        self._clock = clock
        self._bus = bus
        self._leaders: dict[int, Keeper] = {}  # PID → whose process it is
        self._holding = Holding(self.keepers, self._startable)
        self._removed: set[str] = set()
        self._sleeps_until = 0.0
        self._wake = anyio.Event()  # the earliest deadline is earlier than the sleep
        self._leaderless = anyio.Event()  # a process group without a leader has to be seen to its end
        self._limited = anyio.Event()  # there may be a watcher with a memory limit
        self._changed = anyio.Event()  # some watcher's state is another
        self._tasks: anyio.abc.TaskGroup | None = None

    # --- running ---

    async def serve(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Keep the watchers until cancelled. Stops none of them: see `stop_all`."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            tasks.start_soon(self._hear_deaths)
            tasks.start_soon(self._hear_messages)
            tasks.start_soon(self._keep_deadlines)
            tasks.start_soon(self._see_groups_off)
            tasks.start_soon(self._watch_memory)
            task_status.started()

    async def _hear_deaths(self) -> None:
        while True:
            await self._machine.wait_for_death()
            self._bury()
            await anyio.lowlevel.checkpoint()

    def _bury(self) -> None:
        deaths = list(self._machine.deaths())
        if deaths:
            self._listen()  # what a process said before it died counts for it, not for its successor
        survivors = self._machine.living_groups([pid for pid, _ in deaths])
        for pid, death in deaths:
            keeper = self._leaders.pop(pid)
            if self._holding.stops(keeper.name):
                keeper.tell(states.Stop())  # it is to stop, and only waited for others: no reason to start it again
            keeper.tell(states.Died(death, survivors=pid in survivors))

    async def _hear_messages(self) -> None:
        while True:
            await self._machine.wait_for_message()
            self._listen()
            await anyio.lowlevel.checkpoint()

    def _listen(self) -> None:
        for name, fields in self._machine.messages():
            keeper = self.keepers.get(name)
            if keeper is None:
                continue
            if keeper.hear(fields):
                self._bus.publish(keeper.said())
            self._mind_deadline(keeper)  # with READY=1 it may be an earlier one, though the state is the same

    async def _keep_deadlines(self) -> None:
        while True:
            now = self._clock.monotonic()
            due = min((at for keeper in self.keepers.values() if (at := keeper.deadline) is not None), default=now + 99)
            self._sleeps_until = min(due, now + LONGEST_SLEEP)
            self._wake = anyio.Event()
            if due > now:
                with self._clock.move_on_after(self._sleeps_until - now):
                    await self._wake.wait()
            else:
                await anyio.lowlevel.checkpoint()
            self._bury()  # who died in time must not be judged as late,
            self._listen()  # nor who spoke in time
            now = self._clock.monotonic()
            for keeper in tuple(self.keepers.values()):
                if (at := keeper.deadline) is not None and at <= now:
                    keeper.tell(states.Tick())

    async def _see_groups_off(self) -> None:
        """Wait for the ends of process groups whose leader is dead; the kernel tells nobody of those, so look."""
        while True:
            await self._leaderless.wait()
            pause = 0.005
            while left := [keeper for keeper in self.keepers.values() if keeper.leaderless]:
                if self._leaderless.is_set():  # another one, which the first one's stubbornness must not slow down
                    self._leaderless, pause = anyio.Event(), 0.005
                groups = {keeper.pid: keeper for keeper in left if keeper.pid is not None}
                for pid in groups.keys() - self._machine.living_groups(groups):
                    groups[pid].tell(states.GroupGone())
                with self._clock.move_on_after(pause):
                    await self._leaderless.wait()
                pause = min(pause * 1.5, 0.25)
            self._leaderless = anyio.Event()

    async def _watch_memory(self) -> None:
        while True:
            limits = {
                keeper.pid: keeper
                for keeper in self.keepers.values()
                if keeper.config.launch.memory_limit and keeper.pid is not None and not keeper.leaderless
            }
            if not limits:
                self._limited = anyio.Event()
                await self._limited.wait()
            else:
                try:
                    found = await self._machine.tree_rss(list(limits))
                except OSError as error:  # no thread or descriptor left; it is looked at again soon
                    log.warning("the watchers' memory cannot be looked at now: %s", error.strerror)
                    found = {}
                for pid, used in found.items():
                    keeper = limits[pid]
                    limit = keeper.config.launch.memory_limit
                    if keeper.pid == pid and limit and used > limit:
                        why = f"memory: its processes use {used / 2**20:.0f} MiB of the {limit / 2**20:.0f} MiB allowed"
                        keeper.tell(states.Unhealthy(why))
            await self._clock.sleep(MEMORY_EVERY)

    # --- what is to be kept ---

    def add(self, config: WatcherConfig) -> None:
        """Keep one more watcher, or go on keeping one under a changed configuration. Starts and stops nothing."""
        self._removed.discard(config.name)
        keeper = self.keepers.get(config.name)
        if keeper is None:
            self._machine.open(config.name)
            self.keepers[config.name] = Keeper(config, self._machine, self._clock, self._on_change)
        else:
            watchdog, keeper.config = keeper.config.policy.watchdog, config
            if config.policy.watchdog != watchdog:
                keeper.tell(states.Pinged())  # another interval counts from now, not from the last ping
            self._wake.set()  # its deadlines may be others now
        if config.launch.memory_limit:
            self._limited.set()

    def adopt(self, name: str, pid: int, uptime: float, restarts: int = 0, *, watched: bool = True) -> None:
        """Keep a process that an earlier daemon started as `name`'s, as if it were our own (see Keeper.adopt)."""
        keeper = self.keepers[name]
        self._leaders[pid] = keeper
        keeper.adopt(pid, uptime, restarts, watched=watched)

    def see_off(self, name: str, pid: int) -> None:
        """End what is left of the group `pid` of an earlier daemon's process, before `name` is started."""
        self.keepers[name].tell(states.LeftBehind(pid))

    def remove(self, names: Iterable[str]) -> None:
        """Stop these watchers and forget them once they are gone."""
        for name in names:
            self._removed.add(name)
            self._holding.stop(name)
        self._holding.advance()
        self._forget_removed()
        self._tell_waiting()

    # --- what people ask for ---

    def _startable(self, name: str) -> bool:
        return self.keepers[name].config.enabled and name not in self._removed

    def match(self, patterns: Iterable[str]) -> tuple[list[str], list[str]]:
        """Find the watchers that shell globs name, in the file's order, and the patterns that name none."""
        found, unknown = set[str](), list[str]()
        for pattern in patterns:
            if pattern == "all":
                names = list(self.keepers)
            elif pattern in self.keepers:
                names = [pattern]
            else:
                names = fnmatch.filter(self.keepers, pattern)
            found.update(names)
            if not names and pattern != "all":
                unknown.append(pattern)
        return [name for name in self.keepers if name in found], unknown

    def ask(
        self, verb: Verb, names: Sequence[str], *, person: bool = False, except_for: Collection[str] = ()
    ) -> dict[str, int | None]:
        """Begin to carry out `verb`; give the generation that each watcher it concerns has to reach.

        A start also starts what is needed, a stop also stops what depends on it, a restart restarts that too.
        `person`: it is someone's wish, which a stop keeps for the next daemon should this one be killed.
        `except_for`: who is not taken along. Whoever needs them waits.
        """
        concerned = [name for name in self._holding.concerns(verb, names) if name in names or name not in except_for]
        # What a resumed watcher depends on is started, not resumed.
        asked = {
            name: needs(Verb.START if verb is Verb.RESUME and name not in names else verb, self.view(name))
            for name in concerned
        }
        for name in concerned:
            self.keepers[name].stopped_by_person = person and verb is Verb.STOP
            self._holding.ask(verb, name, named=name in names)
        self._holding.advance()
        self._tell_waiting()  # who waits for what this takes back
        return asked

    def renew(self, names: Iterable[str]) -> None:
        """Restart just these watchers, whatever depends on them: they are started with something else now."""
        for name in names:
            if not self._holding.holds(name):
                self.keepers[name].tell(states.RestartAsked())

    async def wait(self, verb: Verb, asked: Mapping[str, int | None], timeout: float) -> dict[str, Verdict]:  # noqa: ASYNC109  a manual clock's
        """Wait until `verb` is done or has failed for all of `asked`, at most `timeout` seconds."""
        verdicts: dict[str, Verdict] = {}
        with self._clock.move_on_after(timeout):
            while True:
                for name, generation in asked.items():
                    if name not in verdicts and (verdict := self._judge(verb, name, generation)) is not None:
                        verdicts[name] = verdict
                if len(verdicts) == len(asked):
                    break
                await self._changed.wait()
        for name in asked.keys() - verdicts.keys():
            verdicts[name] = self._judge(verb, name, asked[name]) or Verdict(
                ok=False, message=f"is still {self.view(name).state} after {timeout:g} s, and aiemp goes on with it"
            )
        kept = [name for name in verdicts if name in self.keepers]
        return verdicts | {name: in_the_end(verb, verdicts[name], self.view(name)) for name in kept}

    def _judge(self, verb: Verb, name: str, generation: int | None) -> Verdict | None:
        if name not in self.keepers or (name in self._removed and verb is not Verb.STOP):
            return Verdict(ok=verb is Verb.STOP, message="is no longer configured")
        if verb is not Verb.STOP and not self.keepers[name].config.enabled:
            return Verdict(ok=False, message="is disabled; set enabled = true in the configuration and reload")
        return judge(verb, generation, self.view(name))

    def view(self, name: str) -> View:
        keeper = self.keepers[name]
        return View(
            state=keeper.state,
            pid=keeper.pid,
            generation=keeper.generation,
            wanted=keeper.child.wanted,
            held=self._holding.holds(name),
            stop_held=self._holding.stops(name),
            start_held=self._holding.starts(name),
            again=keeper.again,
            hopeless=self._holding.hopeless(name),
            reason=keeper.reason(),
            clean_exit=keeper.last_exit is not None
            and keeper.last_exit[0].code in keeper.config.policy.expected_exit_codes,
        )

    def signal(self, name: str, number: int) -> Verdict:
        """Send a signal to a watcher's process group."""
        keeper = self.keepers[name]
        if keeper.pid is None:
            return Verdict(ok=False, message="there is no process to signal")
        self._machine.signal(keeper.pid, number)
        return Verdict(ok=True, message="signalled")

    async def settle(self, name: str) -> None:
        """Return when all that the watcher has written lies in its log, at most a second from now."""
        if name in self.keepers:  # it may be forgotten since this was asked for
            with self._clock.move_on_after(1.0):
                await self._machine.settle(name)

    async def stop_all(self, timeout: float) -> bool:  # noqa: ASYNC109  a manual clock's
        """Stop every watcher, dependents first; kill those left shortly before `timeout` seconds are over.

        Tells whether nobody is left.
        """
        self._holding.closed = True
        names = list(self.keepers)
        asked = self.ask(Verb.STOP, names)
        last = min(1.0, timeout / 5)
        await self.wait(Verb.STOP, asked, timeout - last)
        self.kill_all()
        verdicts = await self.wait(Verb.STOP, {name: asked[name] for name in names if name in self.keepers}, last)
        return all(verdict.ok for verdict in verdicts.values())

    def kill_all(self) -> None:
        """Kill whatever process there is, at once, and let none come back."""
        self._holding.closed = True
        self._holding.clear()
        for keeper in tuple(self.keepers.values()):
            keeper.tell(states.Kill())

    # --- what happened ---

    def _on_change(self, keeper: Keeper, before: State, facts: list[Fact]) -> None:
        if keeper.pid is not None and not keeper.leaderless:
            self._leaders[keeper.pid] = keeper
        elif keeper.leaderless:
            self._leaderless.set()
        self._mind_deadline(keeper)
        if keeper.config.launch.memory_limit:
            self._limited.set()
        for fact in facts:
            self._bus.publish(fact)
        if keeper.state is State.PAUSED and self._tasks is not None:
            self._tasks.start_soon(self._report_pause, keeper, before)
        elif keeper.state is not before or any(isinstance(fact, WatcherRestarted) for fact in facts):
            self._bus.publish(keeper.changed(before))
        if self._holding:
            self._holding.advance()
        if self._removed:
            self._forget_removed()
        self._tell_waiting()

    def _mind_deadline(self, keeper: Keeper) -> None:
        due = keeper.deadline
        if due is not None and due < self._sleeps_until:
            self._wake.set()

    def _tell_waiting(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    async def _report_pause(self, keeper: Keeper, before: State) -> None:
        """Publish a pause together with the last that the watcher said, which may still be on its way to the log."""
        await self.settle(keeper.name)
        if keeper.state is State.PAUSED:
            self._bus.publish(keeper.changed(before))

    def _forget_removed(self) -> None:
        gone = [name for name in self._removed if self.keepers[name].pid is None]
        for name in [name for name in gone if not self._holding.holds(name)]:
            self._removed.discard(name)
            del self.keepers[name]
            self._machine.forget(name)
