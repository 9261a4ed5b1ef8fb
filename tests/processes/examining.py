"""A configuration and a vault to look at with the doctor's checks, in an environment of a test's own."""

import os
from pathlib import Path

from orchestrator.doctor.finding import Finding, Level
from orchestrator.doctor.intake import admit
from orchestrator.doctor.patient import Patient
from orchestrator.vault import folders


class Practice:
    """Makes patients. `environ` is the shell's, which is the daemon's too as long as none runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.vault = folder / "vault"
        self.bin = folder / "bin"
        self.vault.mkdir()
        self.bin.mkdir()
        folders.create(str(self.vault))
        self.environ = {"PATH": f"{self.bin}:{os.defpath}", "HOME": str(folder), "USER": "amy", "TZ": "UTC"}

    def patient(self, text: str = "", **environ: str) -> Patient:
        """The patient that `supervisor.toml` with this text describes."""
        config = self.folder / "supervisor.toml"
        config.write_text(f'[supervisor]\nvault = "vault"\n{text}')
        return admit(str(config), self.environ | environ, str(self.folder))

    def program(self, name: str, text: str = "exit 0") -> Path:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path


def wrong(findings: list[Finding]) -> list[Finding]:
    """Those that are not in order; every one of them says what to do."""
    found = [finding for finding in findings if finding.level is not Level.OK]
    assert all(finding.remedy for finding in found)
    return found


def told(findings: list[Finding]) -> str:
    """What is not in order, a line each."""
    return "\n".join(f"{each.level} {each.check}: {each.message} -> {each.remedy}" for each in wrong(findings))
