"""PURE. Facts in words, one line each: for the daemon's log and for `aiempctl events` alike. Light imports only."""

from __future__ import annotations

from orchestrator.readable import span, visible

TYPE_CHECKING = False  # type checkers take this name for true; importing typing for it would cost aiempctl some 3 ms
if TYPE_CHECKING:
    from typing import Any


def tell(fact: dict[str, Any]) -> str:
    """Put a fact, as `Fact.as_json` gives it, in words. What it carries from outside is made visible."""
    said = {key: visible(value) for key, value in fact.items() if value is not None}
    get = said.get
    match fact.get("kind"):
        case "watcher.state":
            pid = f" (pid {said['pid']})" if "pid" in said else ""
            why = f": {said['reason']}" if "reason" in said else ""
            return f"{get('name')}: {get('old')} → {get('new')}{pid}{why}"
        case "watcher.died":
            return f"{get('name')}: pid {get('pid')} {_ending(said)}{_lived(fact.get('uptime_seconds'))}"
        case "watcher.restarted":
            return f"{get('name')}: restarted automatically, {get('cause')} (restart {get('restarts')})"
        case "run.started":
            attempt = "" if fact.get("attempt") == 1 else f", attempt {get('attempt')}"
            return f"{get('name')}: run {get('run_id')} started ({get('trigger')}{attempt})"
        case "run.retrying":
            wait = f"again in {span(fact['seconds'])}" if "seconds" in said else "again later"
            return f"{get('name')}: attempt {get('attempt')} failed{_why(said)}; {wait}"
        case "run.finished":
            return f"{get('name')}: {get('outcome')}{_lived(fact.get('duration_seconds'))}{_why(said)}"
        case "task":
            why = f": {said['reason']}" if "reason" in said else ""
            return f"{get('name')}: {get('change')}{why}"
        case "scheduler":
            return f"scheduler: {get('change')}"
        case "agent":
            why = f": {said['reason']}" if "reason" in said else ""
            return f"agent {get('name')}: {get('state')}{why}"
        case "mcp":
            return f"MCP server {get('name')}: {get('state')}{_why(said)}"
        case "config.reloaded":
            changes = [f"{word} {_listed(fact[word])}" for word in _LISTS if fact.get(word)]
            return f"configuration reloaded: {'; '.join(changes) or 'no watcher changed'}"
        case "supervisor.state":
            return f"supervisor: {get('new')} (pid {get('pid')})"
        case "problem":
            return f"problem: {said['text']}" if "text" in said else f"problem solved: {get('key')}"
        case kind:  # a newer daemon may know more
            rest = (f"{visible(key)}={value}" for key, value in said.items() if key not in {"at", "kind"})
            return " ".join([visible(kind), *rest])


_LISTS = ("added", "removed", "stopped", "started", "restarted", "changed")


def _why(said: dict[str, str]) -> str:
    return f" ({said['error']})" if "error" in said else ""


def _listed(names: Any) -> str:
    return ", ".join(map(visible, names)) if isinstance(names, (list, tuple)) else visible(names)


def _ending(said: dict[str, str]) -> str:
    if "signal" in said:
        return f"was ended by {said['signal']}"
    return f"exited with code {said['code']}" if "code" in said else "ended"


def _lived(seconds: Any) -> str:
    return f" after {span(seconds)}" if isinstance(seconds, (int, float)) else ""
