"""For the tests of captured output: a running Capture, real children, and what is in the logs."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.config.model import LogsConfig
from orchestrator.logs.capture import Capture
from orchestrator.places import Places

# Prints lines `NUMBER xxx…` of changing length until BYTES are out, in writes that end in the middle of lines.
FLOOD = """
import os, sys
first, size = int(sys.argv[1]), int(sys.argv[2])
number, block = first, bytearray()
while size > 0 or block:
    while size > 0 and len(block) < 50000:
        line = b"%d %s\\n" % (number, b"x" * (number * 7 % 150))
        block += line
        size -= len(line)
        number += 1
    del block[:os.write(1, block[:32768 if size > 0 else None])]
"""


class Problems:
    """What capture reported: texts by key, and every call."""

    def __init__(self) -> None:
        self.now: dict[str, str] = {}
        self.calls: list[tuple[str, str | None]] = []

    def __call__(self, key: str, text: str | None) -> None:
        self.calls.append((key, text))
        if text is None:
            self.now.pop(key, None)
        else:
            self.now[key] = text


@contextmanager
def capturing(vault: Path, limits: LogsConfig, problems: Problems | None = None) -> Iterator[tuple[Capture, Places]]:
    places = Places(str(vault))
    Path(places.state).mkdir(mode=0o700, exist_ok=True)
    capture = Capture(places, limits, problems or Problems())
    capture.start()
    try:
        yield capture, places
    finally:
        capture.close()


def child(capture: Capture, name: str, script: str, *args: object) -> subprocess.Popen[bytes]:
    """A process whose output goes to the watcher `name`'s pipe."""
    capture.open(name)
    output = capture.writer(name)
    capture.boundary(name)
    try:
        return subprocess.Popen([sys.executable, "-S", "-c", script, *map(str, args)], stdout=output, stderr=output)
    finally:
        os.close(output)


def until(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not in {seconds} s: {what}"
        time.sleep(0.005)


def parts(path: str) -> list[bytes]:
    """A log's files, oldest first."""
    found = [Path(path).read_bytes()]
    while (file := Path(f"{path}.{len(found)}")).exists():
        found.append(file.read_bytes())
    return found[::-1]


def numbers(output: bytes) -> list[int]:
    """The numbers of the flood's lines, each of which must be whole."""
    found = []
    for line in output.splitlines():
        number, _, rest = line.partition(b" ")
        assert rest == b"x" * (int(number) * 7 % 150), line
        found.append(int(number))
    return found
