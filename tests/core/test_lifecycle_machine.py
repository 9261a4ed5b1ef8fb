"""hypothesis plays the world against the lifecycle: whatever happens in whatever order, its promises hold."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.config.model import Backoff, CrashLoop, Policy, Ready, Restart
from orchestrator.processes.death import Death
from orchestrator.supervise.lifecycle import deadline, step
from orchestrator.supervise.states import (
    Adopted,
    Child,
    Died,
    Effect,
    Event,
    GroupGone,
    Kill,
    LeftBehind,
    Pinged,
    Readied,
    RestartAsked,
    Resume,
    Spawned,
    SpawnFailed,
    SpawnRefused,
    Start,
    State,
    Stop,
    Tick,
    Unhealthy,
)

WITH_PROCESS = {State.STARTING, State.RUNNING, State.STOPPING}

policies = st.builds(
    Policy,
    restart=st.sampled_from(Restart),
    start_seconds=st.sampled_from([0.0, 1.0]),
    ready=st.sampled_from(Ready),
    ready_timeout=st.sampled_from([0.5, 3.0]),
    watchdog=st.sampled_from([0.0, 2.0]),
    backoff=st.builds(
        Backoff,
        initial=st.sampled_from([0.0, 0.5, 1.0]),
        factor=st.sampled_from([1.0, 2.0, 1e300]),
        max=st.sampled_from([1.0, 60.0]),
        reset_after=st.sampled_from([0.0, 2.0, 60.0]),
    ),
    crash_loop=st.builds(CrashLoop, max_restarts=st.integers(0, 5), window=st.sampled_from([1.0, 10.0, 600.0])),
    stop_timeout=st.sampled_from([0.0, 1.0]),
)


class World(RuleBasedStateMachine):
    """One watcher and the machine it lives on."""

    def __init__(self) -> None:
        super().__init__()
        self.child = Child()
        self.policy = Policy()
        self.now = 0.0
        self.leader = False  # a process of it exists
        self.descendants = False  # others of its process group exist
        self.pid = 0
        self.killed = True
        self.spawn_fate = "works"
        self.automatic: list[float] = []  # when automatic restarts happened

    @initialize(policy=policies)
    def begin(self, policy: Policy) -> None:
        self.policy = policy

    def tell(self, event: Event) -> None:
        before = self.child.total
        self.child, effects = step(self.child, event, self.now, self.policy)
        if self.child.total > before:
            assert self.child.total == before + 1
            self.automatic.append(self.now)
        for effect in effects:
            match effect:
                case Effect.SPAWN:
                    assert not self.leader, "two processes of one watcher"
                    assert not self.descendants, "started beside what an old process left"
                    assert self.child.wanted, "started although nobody wants it"
                    self.spawn()
                case Effect.TERMINATE:
                    assert self.leader or self.descendants
                    self.killed = False
                case Effect.KILL:
                    assert self.leader or self.descendants
                    self.killed = True

    def spawn(self) -> None:
        fate, self.spawn_fate = self.spawn_fate, "works"
        match fate:
            case "refused":
                self.tell(SpawnRefused("no such command"))
            case "failed":
                self.tell(SpawnFailed("out of processes"))
            case _:
                self.pid += 1
                self.leader = True
                self.tell(Spawned(self.pid))

    @rule(fate=st.sampled_from(["works", "failed", "refused"]))
    def next_spawn(self, fate: str) -> None:
        self.spawn_fate = fate

    @rule(event=st.sampled_from([Start(), RestartAsked(), Resume()]))
    def someone_asks(self, event: Event) -> None:
        running = self.child.phase.state in {State.STARTING, State.RUNNING}
        self.tell(event)
        if not (isinstance(event, Start) and running):
            self.automatic = [at for at in self.automatic if at == self.now and self.child.restarts]

    @rule(event=st.sampled_from([Stop(), Kill()]))
    def someone_stops(self, event: Event) -> None:
        self.tell(event)
        assert self.child.phase.state in {State.STOPPED, State.STOPPING}

    @precondition(lambda self: self.child.phase.state is State.STOPPED and not self.child.wanted)
    @rule(uptime=st.sampled_from([0.0, 100.0]))
    def adopted(self, uptime: float) -> None:
        self.leader = True
        self.tell(Adopted(self.pid, uptime))

    @precondition(lambda self: self.child.phase.state is State.STOPPED and not self.child.wanted)
    @rule()
    def left_behind(self) -> None:
        self.descendants = True
        self.tell(LeftBehind(self.pid))

    @precondition(lambda self: self.leader)
    @rule(death=st.sampled_from([Death(0), Death(1), Death(signal="SIGKILL"), Death()]), survivors=st.booleans())
    def dies(self, death: Death, survivors: bool) -> None:  # noqa: FBT001  hypothesis passes by keyword
        self.leader, self.descendants = False, survivors
        self.tell(Died(death, survivors))

    @precondition(lambda self: self.descendants and not self.leader)
    @rule()
    def group_goes(self) -> None:
        self.descendants = False
        self.tell(GroupGone())

    @precondition(lambda self: self.leader)
    @rule(event=st.sampled_from([Readied(), Pinged(), Unhealthy("too large")]))
    def says(self, event: Event) -> None:
        self.tell(event)

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 5.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        due = deadline(self.child, self.policy)
        if due is not None and due <= self.now:
            self.tell(Tick())

    @rule(policy=policies)
    def reloaded(self, policy: Policy) -> None:
        self.policy = policy
        self.automatic.clear()  # the promise below is one under a single policy

    @invariant()
    def a_process_exists_exactly_where_the_state_says(self) -> None:
        assert (self.child.phase.state in WITH_PROCESS) == (self.leader or self.descendants)

    @invariant()
    def a_deadline_exists_exactly_where_one_is_due(self) -> None:
        due = deadline(self.child, self.policy)
        match self.child.phase.state:
            case State.STARTING | State.BACKOFF:
                assert due is not None
            case State.RUNNING:
                assert (due is not None) == (self.policy.watchdog > 0)
            case State.STOPPING:
                assert (due is not None) == (not self.killed)
            case _:
                assert due is None

    @invariant()
    def what_is_wanted_is_up_or_says_why(self) -> None:
        if self.child.wanted:
            assert self.child.phase.state is not State.STOPPED
        else:
            assert self.child.phase.state in {State.STOPPED, State.STOPPING}

    @invariant()
    def never_more_automatic_restarts_than_allowed(self) -> None:
        limits = self.policy.crash_loop
        for last in self.automatic:
            assert sum(last - limits.window < at <= last for at in self.automatic) <= limits.max_restarts

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.child.restarts) <= 5

    def teardown(self) -> None:
        """From wherever it is: asked to stop, and the processes obeying, it ends in stopped."""
        self.tell(Stop())
        if self.leader:
            self.leader = self.descendants = False
            self.tell(Died(Death(code=0)))
        elif self.descendants:
            self.descendants = False
            self.tell(GroupGone())
        assert self.child == replace(self.child, wanted=False)
        assert self.child.phase.state is State.STOPPED


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=150, stateful_step_count=60)
