"""The record of one delivery to Letta: the call, each further step before it is done, in the end what came of it."""

import json
import os
from collections.abc import Mapping
from typing import Any

from orchestrator.agents.letta_stage import Stage


class Record:
    """A file, mostly a nameless one, that tells whoever looks into it at any moment what may have happened by then."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._end = os.fstat(fd).st_size
        self.call: dict[str, Any] = json.loads(os.pread(fd, self._end, 0))
        self._known = {key: self.call[key] for key in ("server", "agent_id", "key_from")}

    def add(self, stage: Stage, **more: object) -> None:
        line = b"\n" + self._line(stage, more)
        os.pwrite(self._fd, line, self._end)
        self._end += len(line)

    def close(self, stage: Stage, **more: object) -> None:
        """Leave what came of it, alone. Cut off within this, it is unknown what did."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, self._line(stage, more), 0)

    def _line(self, stage: Stage, more: Mapping[str, object]) -> bytes:
        return json.dumps({"stage": stage, **self._known, **more}, ensure_ascii=False).encode(errors="replace")
