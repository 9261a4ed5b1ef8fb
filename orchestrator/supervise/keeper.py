"""Keeps one watcher: feeds events to `lifecycle.step`, carries out its effects, and tells what became of it."""

import signal
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol, assert_never

from orchestrator.clock import Clock, rfc3339
from orchestrator.config.model import Policy, WatcherConfig
from orchestrator.events import Fact, WatcherChanged, WatcherDied, WatcherRestarted, WatcherSaid
from orchestrator.processes.children import SpawnTrouble
from orchestrator.processes.death import Death
from orchestrator.processes.programs import Unlaunchable
from orchestrator.supervise import crashloop, launch, lifecycle, states
from orchestrator.supervise.states import Child, Effect, State

STATUS_TEXT_MAX = 200


class Host(Protocol):
    """What a keeper needs of the machine: `machine.Machine`, or a stand-in in tests."""

    def spawn(self, watcher: WatcherConfig) -> int:
        """Start the watcher's process and give its PID. Raises Unlaunchable or SpawnTrouble."""
        ...

    def signal(self, pid: int, number: int) -> None:
        """Signal the whole group that `pid` leads or led."""
        ...

    def last_lines(self, name: str) -> list[str]:
        """Give the end of what the watcher's last process has written."""
        ...

    def redact(self, name: str, text: str) -> str:
        """Take out of `text` the secrets in the environment that the watcher's last process was started with."""
        ...


class Keeper:
    """One watcher and all that is known of it. Every method is synchronous: nothing happens between two events."""

    def __init__(
        self,
        config: WatcherConfig,
        host: Host,
        clock: Clock,
        on_change: Callable[["Keeper", State, list[Fact]], None],
    ) -> None:
        self.config = config
        self.child = Child()
        self.generation = 0  # counts the processes it has had
        self.since = clock.now()
        self._process_since = 0.0  # monotonic seconds
        self.last_exit: tuple[Death, datetime] | None = None
        self.status_text: str | None = None
        self.adopted = False
        self.stopped_by_person = False
        self.refused: str | None = None  # the fingerprint of what could not be started at all, the last time
        self.watched = True  # its process was told of a watchdog (WATCHDOG_USEC)
        self.waits_for: str | None = None  # set by the supervisor while a dependency holds the start back
        self._host = host
        self._clock = clock
        self._on_change = on_change

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def state(self) -> State:
        return self.child.phase.state

    @property
    def pid(self) -> int | None:
        """Its process group's leader; in `stopping` it may be dead while others of the group are not."""
        match self.child.phase:
            case states.Starting(pid=pid) | states.Running(pid=pid) | states.Stopping(pid=pid):
                return pid
            case _:
                return None

    @property
    def leaderless(self) -> bool:
        """Whether its process is dead while others of the process group still have to be ended."""
        return isinstance(self.child.phase, states.Stopping) and self.child.phase.death is not None

    @property
    def comes_back(self) -> bool:
        """Whether it has no living process, but is started again by itself."""
        return self.state is State.BACKOFF or (self.leaderless and self.child.wanted)

    @property
    def again(self) -> bool:
        """Whether another process of it was asked for, which begins when the one that is being stopped has ended."""
        phase = self.child.phase
        return isinstance(phase, states.Stopping) and phase.cause is None and self.child.wanted

    @property
    def deadline(self) -> float | None:
        return lifecycle.deadline(self.child, self.policy)

    @property
    def policy(self) -> Policy:
        """Its policy; without a watchdog for a process that does not know of the one that a reload has brought."""
        return self.config.policy if self.watched else replace(self.config.policy, watchdog=0.0)

    def tell(self, event: states.Event) -> None:
        """Let `event` happen, carry out what follows from it, then publish the facts."""
        before, facts = self.state, list[Fact]()
        todo: deque[states.Event] = deque([event])
        while todo:
            happened = todo.popleft()
            now, restarts, phase = self._clock.monotonic(), self.child.total, self.child.phase
            if isinstance(phase, states.Starting | states.Running):
                self._process_since = phase.since
            self.child, effects = lifecycle.step(self.child, happened, now, self.policy)
            if isinstance(happened, states.Died):
                facts.append(self._died(happened.death, phase, now))
            if self.child.total > restarts:
                cause = getattr(self.child.phase, "cause", None) or "restart"
                facts.append(
                    WatcherRestarted(at=self._clock.now(), name=self.name, cause=cause, restarts=self.child.total)
                )
            todo.extend(answer for effect in effects if (answer := self._carry_out(effect)) is not None)
        if self.state is not before or any(isinstance(fact, WatcherRestarted) for fact in facts):
            self.since = self._clock.now()
            self._on_change(self, before, facts)
        elif facts:
            self._on_change(self, before, facts)

    def changed(self, before: State) -> WatcherChanged:
        """Give the fact that the state was left; the same one again was left for a backoff of no length."""
        old = State.BACKOFF if before is self.state else before
        return WatcherChanged(
            at=self.since, name=self.name, old=old.value, new=self.state.value, pid=self.pid, reason=self.reason()
        )

    def hear(self, fields: dict[str, str]) -> bool:
        """Take what the watcher says through sd_notify; tell whether its status text changed."""
        if fields.get("READY") == "1":
            self.tell(states.Readied())
        if (watchdog := fields.get("WATCHDOG")) == "1":
            self.tell(states.Pinged())
        elif watchdog == "trigger":
            self.tell(states.Unhealthy("watchdog: it asked for a restart itself (WATCHDOG=trigger)"))
        text = fields.get("STATUS")
        if fields.get("STOPPING") == "1" and text is None:
            text = "stopping"
        if text is None:
            return False
        text = self._host.redact(self.name, text)[:STATUS_TEXT_MAX]  # cut last: half a secret would not be known again
        if text == self.status_text:
            return False
        self.status_text = text
        return True

    def said(self) -> WatcherSaid:
        """Give the fact that its status text is another."""
        return WatcherSaid(at=self._clock.now(), name=self.name, text=self.status_text or "")

    def adopt(self, pid: int, uptime: float, restarts: int = 0, *, watched: bool = True) -> None:
        """Go on keeping a process that an earlier daemon started `uptime` seconds ago, after so many restarts.

        `watched`: it was told of a watchdog, and so may be judged by one.
        """
        self.generation += 1
        self.watched = watched
        self.adopted = True
        self.child = replace(self.child, total=restarts)
        self.tell(states.Adopted(pid, uptime))

    def stay_paused(self, cause: str) -> None:
        """Go on keeping it from its crash loop, as an earlier daemon did; first what is left of it may have to end."""
        phase = self.child.phase
        if isinstance(phase, states.Stopping):
            self.child = replace(self.child, phase=replace(phase, pauses=cause))
        else:
            self.child = replace(self.child, phase=states.Paused(cause), wanted=True)

    def reason(self) -> str | None:
        """One line for a person: why it is not simply running or stopped."""
        phase = self.child.phase
        if self.waits_for is not None and self.pid is None:
            return f"waits for {self.waits_for}"
        match phase:
            case states.Backoff(cause=cause, wait=wait):
                return self._with_output(f"{cause}; waits {wait:g} s before the next start", lines=1)
            case states.Paused(cause=cause):
                return self._with_output(cause, lines=3)
            case states.Fatal(cause=cause):
                return cause
            case states.Exited(death=death, cause=cause):
                if cause is not None:
                    return f'{cause}; not started again, as restart = "never" says'
                return str(death) if death.code == 0 else self._with_output(str(death), lines=1)
            case states.Stopping(cause=cause, death=dead):
                left = "ending what its process left behind" if dead is not None else None
                return "; ".join(part for part in (cause, left) if part) or None
            case states.Stopped() | states.Starting() | states.Running():
                return None
            case _ as never:
                assert_never(never)

    def describe(self) -> dict[str, Any]:
        """Give its object in `status --json`, without what only a look at the running process tells."""
        phase, now = self.child.phase, self._clock.monotonic()
        up = isinstance(phase, states.Starting | states.Running)
        exit_ = self.last_exit
        return {
            "name": self.name,
            "state": self.state.value,
            "pid": self.pid,
            "uptime_seconds": round(now - phase.since, 3) if up else None,  # type: ignore[union-attr]  # `up` says so
            "since": rfc3339(self.since),
            "ready": isinstance(phase, states.Running) or (isinstance(phase, states.Starting) and phase.ready),
            "status_text": self.status_text,
            "restarts": self.child.total,
            "restarts_in_window": len(crashloop.recent(self.child.restarts, now, self.config.policy.crash_loop.window)),
            "last_exit": None
            if exit_ is None
            else {"code": exit_[0].code, "signal": exit_[0].signal, "at": rfc3339(exit_[1])},
            "reason": self.reason(),
            "cpu_percent": None,
            "rss_bytes": None,
            "adopted": self.adopted,
            "stopped_by_person": self.stopped_by_person,
            "wanted": (self.child.wanted or self.waits_for is not None) and self.state is not State.EXITED,
        }

    def _died(self, death: Death, phase: states.Phase, now: float) -> WatcherDied:
        self.last_exit, self.adopted, self.status_text = (death, self._clock.now()), False, None
        stopping = isinstance(phase, states.Stopping)
        pid = phase.pid if isinstance(phase, states.Starting | states.Running | states.Stopping) else 0
        return WatcherDied(
            at=self.last_exit[1],
            name=self.name,
            pid=pid,
            code=death.code,
            signal=death.signal,
            uptime_seconds=round(now - self._process_since, 3),
            expected=stopping or death.code in self.config.policy.expected_exit_codes,
        )

    def _carry_out(self, effect: Effect) -> states.Event | None:
        match effect:
            case Effect.SPAWN:
                return self._spawn()
            case Effect.TERMINATE | Effect.KILL:
                number = signal.SIGKILL if effect is Effect.KILL else self.config.policy.stop_signal
                assert self.pid is not None  # noqa: S101  the lifecycle only ends what exists
                self._host.signal(self.pid, number)
                return None
            case _ as never:
                assert_never(never)

    def _spawn(self) -> states.Event:
        self.generation += 1
        self.status_text = None
        self.watched = self.config.policy.watchdog > 0
        self.refused = None
        try:
            return states.Spawned(self._host.spawn(self.config))
        except (Unlaunchable, SpawnTrouble) as error:
            if isinstance(error, SpawnTrouble) and error.transient:
                return states.SpawnFailed(str(error))
            self.refused = launch.fingerprint(self.config.launch)
            return states.SpawnRefused(str(error))

    def _with_output(self, text: str, *, lines: int) -> str:
        said = [line.strip() for line in self._host.last_lines(self.name)[-lines:]]
        return f"{text}; last output: {self._host.redact(self.name, ' ⏎ '.join(said))}" if any(said) else text
