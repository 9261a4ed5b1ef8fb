"""Starts and stops in the order of dependencies: held back until what is needed runs, or who needs it is gone."""

from collections.abc import Callable, Mapping, Sequence

from orchestrator.supervise import order, states
from orchestrator.supervise.keeper import Keeper
from orchestrator.supervise.states import State
from orchestrator.supervise.verdict import Verb

UP = frozenset({State.STARTING, State.RUNNING})
# What a dependency does not come out of by itself.
STUCK = frozenset({State.PAUSED, State.FATAL, State.EXITED, State.STOPPED})


class Holding:
    """Which of `keepers` are to be started or stopped as soon as the others allow it."""

    def __init__(self, keepers: Mapping[str, Keeper], startable: Callable[[str], bool]) -> None:
        self.closed = False  # nothing is started any more
        self._keepers = keepers
        self._startable = startable
        self._starts: dict[str, None] = {}  # in the order asked
        self._stops: dict[str, None] = {}
        self._advancing = False

    def __bool__(self) -> bool:
        return bool(self._starts or self._stops)

    def holds(self, name: str) -> bool:
        return name in self._starts or name in self._stops

    def stops(self, name: str) -> bool:
        """Whether `name` is to stop once what depends on it is gone."""
        return name in self._stops

    def starts(self, name: str) -> bool:
        """Whether `name` is to start once what it depends on runs, or once it is gone."""
        return name in self._starts

    def hopeless(self, name: str) -> bool:
        """Whether `name` waits for something that will not come by itself."""
        needed = order.dependencies(self._depends_on(), name) if name in self._starts else []
        return any(self._keepers[need].state in STUCK and need not in self._starts for need in needed)

    def concerns(self, verb: Verb, names: Sequence[str]) -> list[str]:
        """Who has a part in `verb`: a start needs what is needed, a stop takes along what depends on it."""
        if verb in {Verb.STOP, Verb.RESTART}:
            others = order.dependents(self._depends_on(), *names)
            # Not the paused, fatal or exited: they are down, and a restart of others is no reason to revive them. Nor
            # those that someone is stopping.
            concerned = {name for name in others if name in self._starts or self._lives(name)}
            if verb is Verb.RESTART:
                concerned -= {name for name in others if name not in self._starts and self._goes(name)}
        else:
            needy = [name for name in names if verb is Verb.START or self._keepers[name].state is State.PAUSED]
            needed = order.dependencies(self._depends_on(), *needy)
            concerned = {name for name in needed if self._keepers[name].state not in UP or name in self._stops}
        return [name for name in self._keepers if name in concerned or name in names]

    def ask(self, verb: Verb, name: str, *, named: bool) -> None:
        """Take up `verb` for one watcher; `advance` then carries out what nothing holds back.

        `named`: it is itself what was asked for, not just something that this needs or that needs this.
        """
        keeper = self._keepers[name]
        up = verb is Verb.START and keeper.state in UP and name not in self._stops
        if up or (verb is Verb.RESUME and named and keeper.state is not State.PAUSED):
            if named:
                keeper.tell(states.Resume())  # clears its restart window, and does nothing else
            return
        self.release(name)
        if verb is not Verb.START:
            self._stops[name] = None
        if verb is not Verb.STOP and self._startable(name) and not self.closed:
            self._starts[name] = None

    def stop(self, name: str) -> None:
        """Stop `name` once what depends on it is gone, and never mind an earlier start."""
        self.release(name)
        self._stops[name] = None

    def release(self, name: str) -> None:
        """Hold back no start of `name` any more, nor carry it out."""
        self._starts.pop(name, None)
        self._keepers[name].waits_for = None

    def clear(self) -> None:
        self._stops.clear()
        for name in tuple(self._starts):
            self.release(name)

    def advance(self) -> None:
        """Carry out every start and stop that no longer has to wait for others."""
        if self._advancing:
            return  # a change made below; the loop there comes round again
        self._advancing = True
        try:
            while any([self._advance_stops(), self._advance_starts()]):
                pass
        finally:
            self._advancing = False

    def _advance_stops(self) -> bool:
        for keeper in [self._keepers[name] for name in self._stops]:
            if keeper.comes_back:
                keeper.tell(states.Stop())  # nothing of it runs that others could need, so nothing has to wait
        running = [keeper for keeper in self._keepers.values() if keeper.pid is not None]
        needed = {need for keeper in running for need in keeper.config.depends_on}
        free = [name for name in self._stops if name not in needed]
        for name in free:
            del self._stops[name]
            self._keepers[name].tell(states.Stop())
        return bool(free)

    def _advance_starts(self) -> bool:
        moved = False
        for name in [name for name in self._starts if name not in self._stops]:
            keeper = self._keepers[name]
            blocker = next((need for need in keeper.config.depends_on if not self._up(need)), None)
            keeper.waits_for = None if blocker is None else f"{blocker}, which is {self._keepers[blocker].state}"
            if blocker is None:
                del self._starts[name]
                keeper.tell(states.Start())
                moved = True
        return moved

    def _lives(self, name: str) -> bool:
        return self._keepers[name].pid is not None or self._keepers[name].state is State.BACKOFF

    def _goes(self, name: str) -> bool:
        return name in self._stops or not self._keepers[name].child.wanted

    def _up(self, name: str) -> bool:
        return self._keepers[name].state is State.RUNNING and not self.holds(name)

    def _depends_on(self) -> dict[str, tuple[str, ...]]:
        return {name: keeper.config.depends_on for name, keeper in self._keepers.items()}
