"""The MCP servers that agents use, each started or reached for real. They help agents, who work without them too."""

from collections.abc import Iterator
from typing import Any

from orchestrator.doctor.commands import surroundings
from orchestrator.doctor.finding import Finding, ok, warning
from orchestrator.doctor.patient import Patient
from orchestrator.processes import programs


def look(patient: Patient) -> Iterator[Finding]:
    from orchestrator.mcp import now, servers  # noqa: PLC0415  heavy, and only this check's

    if patient.config is None:
        return
    vault, around = patient.places.vault, surroundings(patient)
    environ = programs.inherited(around) | {"DRY_RUN": "true" if around.dry_run else "false"}
    found, wrong = servers.read(vault, patient.config.mcp, environ, config_folder=str(patient.folder))
    for line in wrong:
        message, _, remedy = line.partition("; ")
        yield warning("mcp", message, remedy or f"correct it in {vault}/.mcp.json or under [mcp] in {patient.file}")
    if found and servers.is_anothers_choice(vault):
        message, _, remedy = servers.OTHERS.partition("; ")
        yield warning("mcp", f"the MCP servers ({len(found)}) are not tried: {message}", remedy)
        return
    for server in found:
        for each in now.check_now([server], vault, environ):
            yield judge(each.as_json())


def judge(found: dict[str, Any]) -> Finding:
    """What a finding of the MCP check, as `status --json` has it, means here."""
    check, state = f"mcp {found['name']}", found["state"]
    message, _, remedy = str(found.get("error") or "it did not say why").partition("; ")
    match state:
        case "ok":
            return ok(check, f"it works ({', '.join(_known(found))})")
        case "disabled":
            return ok(check, "it is switched off for Claude Code")
        case "unchecked":
            return ok(check, f"it is not checked: {message}")
        case "timeout":
            return warning(check, f"it did not answer in time: {message}", remedy or "start it by hand to see why")
        case "login":
            return warning(check, message, remedy or f"as the daemon's user: claude mcp login {found['name']}")
        case _:
            return warning(
                check, f"it does not work: {message}", remedy or "correct its command or url, or take it out"
            )


def _known(found: dict[str, Any]) -> Iterator[str]:
    if found.get("version"):
        yield str(found["version"])
    if isinstance(found.get("tools"), int):
        yield f"{found['tools']} tools"
    if isinstance(found.get("latency_ms"), int | float):
        yield f"{found['latency_ms']:.0f} ms"
