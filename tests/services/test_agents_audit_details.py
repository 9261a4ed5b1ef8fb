"""What an agent told of an attempt: without secrets from the moment that it is written down, not only in the end."""

from scheduling_site import OK, World, held, prompt

from orchestrator.config.model import Retry
from orchestrator.schedule.runs import HoldKind, Outcome, Phase, Result, Trigger
from orchestrator.schedule.when import Manual

TOLD = {"stderr": "hunter22", "denials": [{"tool": "Bash", "input": "curl -H hunter22"}]}
KEPT = {"stderr": "***", "denials": [{"tool": "Bash", "input": "curl -H ***"}]}


async def test_between_two_attempts_the_details_of_the_first_have_no_secrets() -> None:
    world = World()
    world.actions.results["t"] = [Result(Outcome.FAILURE, "out hunter22", "no hunter22", details=TOLD), OK]
    retry = Retry(max=1, initial=60.0, max_delay=60.0)
    async with world.serving(prompt(schedule=Manual(), retry=retry), killed=True) as scheduler:
        run = (await scheduler.fire("t", Trigger.CHANGE)).run
        await world.clock.advance(1)
        assert run.phase is Phase.RETRYING
        (kept,) = world.store.rows.values()
        assert (kept.output, kept.error, kept.details) == ("out ***", "no ***", KEPT)


async def test_while_an_agent_is_held_the_details_of_the_attempt_have_no_secrets() -> None:
    world = World()
    found = held(HoldKind.LOGIN, "log in")
    world.actions.results["t"] = [Result(found.outcome, error="log in", details=TOLD, hold=found.hold)]
    async with world.serving(prompt(schedule=Manual()), killed=True) as scheduler:
        run = (await scheduler.fire("t", Trigger.CHANGE)).run
        await world.clock.advance(1)
        assert run.phase is Phase.QUEUED
        (kept,) = world.store.rows.values()
        assert kept.details in (None, KEPT)
