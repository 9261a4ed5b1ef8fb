"""What watchers use of the machine."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from spawning import Land, land

from orchestrator.supervise.usage import Meter


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Land]:
    with land(tmp_path) as made:
        yield made


async def test_looking_at_one_leaves_the_others_baseline(site: Land) -> None:
    one, other = site.spawn("/bin/sleep", "1000"), site.spawn("/bin/sleep", "1000")
    meter = Meter()
    meter.sample([one, other, os.getpid()], 1000.0)
    baseline = meter._last[other]
    meter.sample([one], 1001.0)
    assert meter._last[other] == baseline
    os.kill(other, signal.SIGKILL)
    await site.death(other)
    meter.sample([one], 1002.0)
    assert meter._last.keys() == {one, os.getpid()}
    os.kill(one, signal.SIGKILL)
    await site.death(one)
    assert one not in meter.sample([one], 1003.0)
    assert meter._last.keys() == {os.getpid()}
