"""Which settings a new configuration changes, as they stand in supervisor.toml."""

from pathlib import Path

import pytest
from fake_machine import world

from orchestrator.problems import Problems
from orchestrator.reloading import Reloader, Source

BEFORE = """
[supervisor]
log_level = "info"
[scheduler]
max_concurrent = 5
[tasks.a]
command = ["x"]
"""


@pytest.mark.parametrize(
    ("old", "new", "settings"),
    [
        ('"info"', '"debug"', ["supervisor.log_level"]),
        ("[scheduler]", "logs.backups = 9\n[scheduler]", ["supervisor.logs.backups"]),
        ("= 5", "= 6\nenabled = false", ["scheduler.max_concurrent", "scheduler.enabled"]),
        ('["x"]', '["y"]', []),
        ("[tasks.a]", "[agents.b]\n[tasks.b]\nprompt = 'x'\n[tasks.a]", []),
    ],
)
async def test_changed_settings(tmp_path: Path, old: str, new: str, settings: list[str]) -> None:
    file = tmp_path / "supervisor.toml"
    file.write_text(BEFORE)
    async with world() as w:
        source = Source(file)
        reloader = Reloader(
            source,
            source.load(),
            w.supervisor,
            {},
            bus=w.bus,
            problems=Problems(w.bus, w.clock),
            clock=w.clock,
            apply_settings=lambda _: None,
        )
        file.write_text(BEFORE.replace(old, new))
        assert reloader.reload(plan=True) == ([], settings)
