"""What it takes to have an MCP server checked in a process of its own: its program, its environment, its stdin."""

import json
import os
import sys
from collections.abc import Mapping
from typing import Final

from orchestrator.agents import claude
from orchestrator.mcp.server import Server
from orchestrator.places import Places
from orchestrator.processes.programs import NOT_INHERITED

SPARE: Final = 10.0  # seconds beyond the server's timeout: then the process of its check is ended from outside
STOP: Final = 2.0  # seconds between SIGTERM and SIGKILL, for who has left the process's group
NO_END: Final = "its check came to no end in {:g} s"
NO_RESULT: Final = "its check ended without a result"

# What marks the processes of a daemon's checks, always the same: it makes one at a time, and whatever bears the mark
# after one is left from that, or from a daemon that was killed during one.
DAEMONS: Final = "mcp-check"

_MODULE: Final = "orchestrator.mcp.check"


def argv(server: Server) -> tuple[str, ...]:
    """With -P, nothing that lies in the vault is taken for ours. The name is for people who look at `ps`."""
    return (sys.executable, "-P", "-m", _MODULE, server.name)


def document(server: Server, vault: str) -> bytes:
    """Make what the process reads. It may hold secrets, and so is no argument."""
    return json.dumps({"server": server.as_json(), "vault": vault}).encode()


def new_id() -> str:
    """Make up what marks the processes of a check beside the daemon's."""
    return f"{DAEMONS}-{os.urandom(8).hex()}"


def environment(environ: Mapping[str, str], places: Places, check_id: str, *, dry_run: bool) -> dict[str, str]:
    """Make the environment of the process, which what it starts will find too."""
    kept = {name: value for name, value in environ.items() if name not in NOT_INHERITED}
    told = {"AIEMP_VAULT": places.vault, "AIEMP_STATE_DIR": places.state, "AIEMP_RUN": check_id}
    return {**claude.environment(kept), **told, "DRY_RUN": "true" if dry_run else "false"}
