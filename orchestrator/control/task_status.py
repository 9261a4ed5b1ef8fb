"""What is told of tasks: their objects in `status --json`, `tasks --json` and the Dashboard."""

from typing import Any

from orchestrator.config.model import Action, Builtin, BuiltinPrompt, Command, Handler, Prompt
from orchestrator.schedule import when
from orchestrator.schedule.runs import Phase, Run, precise
from orchestrator.schedule.scheduler import View

_OF_A_RUN = ("run_id", "outcome", "slot", "started_at", "duration_seconds", "error", "cost_usd")
_ORDER = (Phase.RUNNING, Phase.RETRYING, Phase.QUEUED)  # of several unfinished runs the state of the busiest is told


def task_object(view: View, blocked: str | None) -> dict[str, Any]:
    """Give the contract's object of one task, and more of it for people. `blocked`: why its prompts do not run now."""
    entry, config = view.entry, view.entry.config
    phases = {active.run.phase for active in view.active}
    said = next((active.status_text for active in view.active if active.status_text), None)
    left = max(0, config.max_runs - entry.state.successes) if config.max_runs else None
    return {
        "name": entry.name,
        "enabled": entry.enabled,
        "state": next((phase.value for phase in _ORDER if phase in phases), "idle"),
        "next_slot": None if entry.next is None else precise(entry.next),
        "last_run": None if view.last is None else _last_run(view.last),
        "description": config.description,
        "schedule": when.describe(config.schedule),
        "priority": config.priority.value,
        "lane": config.lane,
        "action": _in_words(config.action),
        "status_text": said,
        "blocked": None if said is not None and Phase.QUEUED in phases else blocked,  # it says itself what it waits for
        "added": config.added,
        "runs_left": left,
    }


def _last_run(run: Run) -> dict[str, Any]:
    told = run.as_json()
    return {key: told[key] for key in _OF_A_RUN}


def _in_words(action: Action) -> str:
    match action:
        case Builtin(name=name):
            return name
        case Handler(module=module, function=function):
            return f"{module}:{function}"
        case Command(argv=argv):
            return " ".join(argv)
        case Prompt(agent=agent):
            return f"prompt to {agent}"
        case BuiltinPrompt(name=name, agent=agent):
            return f"{name}, by {agent}"
