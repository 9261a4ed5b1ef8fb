"""PURE. What may stand in supervisor.toml, as data: each key with the parser of its value.

Defaults are not here: they are model.py's, whose fields have the names of the keys.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator.config import values
from orchestrator.config.model import CatchUp, Overlap, Priority, Ready, Restart


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose keys are known."""

    keys: Mapping[str, "Node"]
    required: Mapping[str, str] = field(default_factory=dict)  # key -> what to write there


@dataclass(frozen=True, slots=True)
class Named:
    """A table whose keys are names that the user chooses."""

    name: Callable[[object], str]
    each: "Node"


Leaf = Callable[[object], Any]
Node = Table | Named | Leaf

_seconds: Final = values.duration
_names: Final = values.list_of(values.name, 'a list of names is needed: ["one", "other"]')
_words: Final = values.list_of(values.text, 'a list of strings is needed: ["one", "other"]')
_globs: Final = values.list_of(values.glob, 'a list of patterns is needed: ["Needs_Action/**/*.md"]')

CRASH_LOOP: Final = Table({"max_restarts": values.integer(0), "window": values.positive_duration})

BACKOFF: Final = Table(
    {"initial": _seconds, "factor": values.number(1), "max": _seconds, "reset_after": _seconds},
)

WATCHER: Final = Table(
    {
        "command": values.argv,
        "enabled": values.boolean,
        "autostart": values.boolean,
        "restart": values.choice(Restart),
        "expected_exit_codes": values.list_of(
            values.integer(0, 255), "a list of whole numbers from 0 to 255 is needed: [0, 3]"
        ),
        "start_seconds": _seconds,
        "ready": values.choice(Ready),
        "ready_timeout": values.positive_duration,
        "watchdog": _seconds,
        "backoff": BACKOFF,
        "stop_signal": values.signal_number,
        "stop_timeout": _seconds,
        "memory_limit": values.size,
        "directory": values.path,
        "env": Named(values.environment_name, values.environment_value),
        "env_file": values.path,
        "required_env": values.list_of(
            values.environment_name, 'a list of names of environment variables is needed: ["GMAIL_CREDENTIALS_PATH"]'
        ),
        "depends_on": _names,
        "crash_loop": CRASH_LOOP,
    },
    required={"command": 'every watcher needs one, like command = ["python", "-m", "watchers.filesystem"]'},
)

SUPERVISOR: Final = Table(
    {
        "vault": values.path,
        "timezone": values.text,
        "dry_run": values.boolean,
        "shutdown_timeout": _seconds,
        "log_level": values.choice(("debug", "info", "warning", "error")),
        "logs": Table({"max_bytes": values.positive_size, "backups": values.integer(0, 1000)}),
        "crash_loop": CRASH_LOOP,
    }
)

# Of tasks and agents, keys and values are checked one by one here; what they mean together is for tasks.py.

SCHEDULER: Final = Table(
    {
        "max_concurrent": values.integer(1, 1000),
        "enabled": values.boolean,
        "handler_packages": values.list_of(
            values.package, 'a list of names of installed packages is needed: ["my_handlers"]'
        ),
        "keep_history": values.positive_duration,
    }
)

RETRY: Final = Table(
    {"max": values.integer(0), "initial": _seconds, "factor": values.number(1), "max_delay": _seconds},
)

FREQUENCIES: Final = ("once", "hourly", "daily", "weekdays", "mwf", "weekly", "monthly", "every", "cron", "manual")
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

TASK: Final = Table(
    {
        "description": values.text,
        "frequency": values.choice(FREQUENCIES),
        "at": values.times,
        "days": values.list_of(values.choice(DAYS), f'a list of days is needed, of {" ".join(DAYS)}: ["mon", "thu"]'),
        "day": values.day_of_month,
        "every": values.interval,
        "cron": values.text,
        "start_at": values.start,
        "on_change": _globs,
        "debounce": _seconds,
        "after": _names,
        "only_if_any": _globs,
        "action": values.name,
        "handler": values.handler,
        "command": values.argv,
        "prompt": values.prompt,
        "agent": values.name,
        "agent_id": values.text,
        "timeout": values.positive_duration,
        "priority": values.choice(Priority),
        "lane": values.name,
        "overlap": values.choice(Overlap),
        "catch_up": values.choice(CatchUp),
        "max_lateness": _seconds,
        "retry": RETRY,
        "max_runs": values.integer(0),
        "enabled": values.boolean,
    }
)

TASKS: Final = Named(values.task_name, TASK)

AGENT: Final = Table(
    {
        "kind": values.choice(("claude", "letta", "command")),
        "command": values.argv,
        "allowed_tools": _words,
        "permission_mode": values.text,
        "max_turns": values.integer(0),
        "daily_budget_usd": values.number(0),
        "base_url": values.url,
        "agent_id": values.text,
        "api_key_env": values.environment_name,
    }
)

MCP: Final = Table(
    {
        "command": values.argv,
        "env": Named(values.environment_name, values.environment_value),
        "url": values.url,
        "headers": Named(values.text, values.environment_value),
        "timeout": values.positive_duration,
        "enabled": values.boolean,
    }
)

FILE: Final = Table(
    {
        "supervisor": SUPERVISOR,
        "watchers": Named(values.watcher_name, WATCHER),
        "scheduler": SCHEDULER,
        "tasks": TASKS,
        "agents": Named(values.name, AGENT),
        "mcp": Named(values.name, MCP),
        "approvals": Table({"actions": Named(values.name, values.command_or_task)}),
    }
)
