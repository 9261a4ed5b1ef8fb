"""One attempt at a run, and the process that it mostly is."""

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.actions import launch
from orchestrator.config.model import Builtin, Command, Handler, TaskConfig
from orchestrator.processes.groups import Ended, Groups
from orchestrator.processes.printed import OUTPUT_MAX
from orchestrator.processes.programs import Surroundings
from orchestrator.schedule.runs import Run


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is attempted, and the world that it is done in."""

    task: TaskConfig
    run: Run
    around: Surroundings
    timezone: str
    on_status: Callable[[str], None]

    @property
    def dry_run(self) -> bool:
        return self.around.dry_run or self.run.dry_run


async def run_action(
    groups: Groups,
    attempt: Attempt,
    action: Command | Handler | Builtin,
    *,
    stdin: int | None = None,
    keep: int = OUTPUT_MAX,
) -> Ended:
    """Run the action's process until nobody of its group is left. Raises Unlaunchable or SpawnTrouble.

    When it is cancelled, `run.output` holds what was printed.
    """
    run = attempt.run

    def keep_output(ended: Ended) -> None:
        run.output = ended.stdout.text()

    program = launch.program(
        attempt.task,
        action,
        run,
        attempt.around,
        timezone=attempt.timezone,
        notify_socket=groups.socket(run.run_id),
    )
    return await groups.run(
        attempt.task.name,
        run.run_id,
        program,
        stdin=stdin,
        keep=keep,
        on_status=attempt.on_status,
        when_cancelled=keep_output,
    )
