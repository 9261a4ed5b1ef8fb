"""PURE. Is the configuration valid, and is there something in it to do?"""

from collections.abc import Iterator
from typing import Final

from orchestrator.doctor.finding import Finding, ok, problem, warning
from orchestrator.doctor.patient import Patient

CHECK: Final = "configuration"


def look(patient: Patient) -> Iterator[Finding]:
    if patient.config is None:
        for line in patient.invalid:
            yield problem(CHECK, line, f"correct the line, then: aiemp check -c {patient.file}")
        return
    config = patient.config
    watchers = sum(watcher.enabled for watcher in config.watchers.values())
    yield ok(
        CHECK, f"{patient.file} is valid; enabled: {_count(watchers, 'watcher')}, {_count(len(patient.tasks), 'task')}"
    )
    if not watchers and not patient.tasks:
        text = "no watcher and no task is enabled: there is nothing to do"
        yield warning(CHECK, text, f"enable some in {patient.file}, then: aiempctl reload")
    for line in patient.broken_tasks:
        yield problem(CHECK, line, "correct the file, then: aiempctl reload")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
