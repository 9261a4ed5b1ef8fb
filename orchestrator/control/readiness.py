"""When orders are taken: not before the daemon has begun its work, nor once it is to stop."""

from typing import Protocol

from orchestrator.control import protocol
from orchestrator.control.protocol import RpcError


class Stoppable(Protocol):
    """A daemon that begins, and is told to stop."""

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        ...

    async def started(self) -> None:
        """Return when the daemon has begun to do its work."""
        ...


async def ready(daemon: Stoppable) -> None:
    """Wait until the daemon has adopted and started what it should: before that, a start could make a twin.

    Raises RpcError when it is to stop.
    """
    await daemon.started()
    if daemon.stopping:
        raise RpcError(protocol.SHUTTING_DOWN, "the daemon is shutting down")
