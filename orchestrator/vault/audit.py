"""The audit log: one JSON line an act, in one file a day. The day is UTC's, as every time in it is."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator.clock import rfc3339
from orchestrator.vault.appending import append


@dataclass(frozen=True, slots=True)
class Act:
    """What was done to something in the vault, by whom, with whose approval. `target` is a path in the vault."""

    action_type: str
    actor: str
    target: str
    parameters: Mapping[str, Any]
    approval_status: str | None
    approved_by: str | None
    result: str


def file_of(vault: Path, moment: datetime) -> Path:
    return vault / "Logs" / "audit" / f"{rfc3339(moment)[:10]}.jsonl"


def record(vault: Path, moment: datetime, acts: Sequence[Act]) -> None:
    """Write down what was done at `moment`. Raises OSError."""
    if not acts:
        return
    lines = (
        json.dumps(
            {
                "timestamp": rfc3339(moment),
                "action_type": act.action_type,
                "actor": act.actor,
                "target": act.target,
                "parameters": act.parameters,
                "approval_status": act.approval_status,
                "approved_by": act.approved_by,
                "result": act.result,
            }
        )
        for act in acts
    )
    append(file_of(vault, moment), "".join(f"{line}\n" for line in lines).encode("ascii"), within=vault)


def acts_of_day(vault: Path, moment: datetime) -> Iterator[Mapping[str, Any]]:
    """Every act of that day; what is no such line is passed over. Raises OSError."""
    try:
        file = file_of(vault, moment).open("rb")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            try:
                act = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(act, dict):
                yield act
