"""What is measured, in the order of the table."""

from benchmarks.scenarios.base import FULL, QUICK, Effort, Row, Scenario, Series
from benchmarks.scenarios.capture import Capture
from benchmarks.scenarios.control import Restart, Status
from benchmarks.scenarios.mass import StartAndStop
from benchmarks.scenarios.resources import Idle, Memory
from benchmarks.scenarios.respawn import FloodedRespawn, Respawn

SCENARIOS: dict[str, type[Scenario]] = {
    scenario.name: scenario
    for scenario in (Respawn, FloodedRespawn, StartAndStop, Status, Restart, Memory, Idle, Capture)
}

__all__ = ["FULL", "QUICK", "SCENARIOS", "Effort", "Row", "Scenario", "Series"]
