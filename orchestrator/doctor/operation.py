"""PURE. Has somebody stopped the employee on purpose, or told it to change nothing?"""

from collections.abc import Iterator, Mapping
from typing import Final

from orchestrator.config.model import Config
from orchestrator.doctor.finding import Finding, ok, warning

CHECK: Final = "operation"


def judge(config: Config, *, pause_file: str | None, paused: bool, environ: Mapping[str, str]) -> Iterator[Finding]:
    """`pause_file` is the path of one that is there; `paused`: by `aiempctl scheduler pause`."""
    found = list[Finding]()
    if pause_file is not None:
        found.append(warning(CHECK, f"{pause_file} is there: no new run starts", f"rm '{pause_file}'"))
    if paused:
        found.append(warning(CHECK, "the scheduler is paused: no new run starts", "aiempctl scheduler resume"))
    if not config.scheduler.enabled:
        text = "the scheduler is switched off: nothing runs by itself"
        found.append(
            warning(CHECK, text, f"set enabled = true under [scheduler] in {config.file}, then: aiempctl reload")
        )
    if config.dry_run:
        said = environ.get("DRY_RUN")
        where = f"DRY_RUN={said} in the daemon's environment" if said else "`dry_run` in the configuration"
        text = f"it is a dry run, by {where}: nothing outside the vault is changed or sent"
        remedy = (
            "take it out there"
            if said
            else f"once you trust it: dry_run = false in {config.file}, then: aiempctl reload"
        )
        found.append(warning(CHECK, text, remedy))
    yield from found or [ok(CHECK, "nobody has paused it, and it is no dry run")]
