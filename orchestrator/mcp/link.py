"""PURE. What carries a talk to an MCP server, and what comes of having it."""

from collections.abc import Callable
from typing import Protocol

from orchestrator.mcp.protocol import Message, Talk


class Link(Protocol):
    """A way to a server. What moves messages raises Trouble."""

    def say(self, message: Message) -> None: ...

    def hear(self) -> bytes:
        """Wait for the next thing that the server says."""
        ...

    def last_words(self) -> str:
        """Give what it has said beside the talk that may explain its end, or nothing."""
        ...

    def close(self) -> None:
        """Let the server go."""
        ...


def have(talk: Talk, link: Link, now: Callable[[], float]) -> None:
    """Have the talk to its end. Raises Trouble."""
    link.say(talk.begin(now()))
    while not talk.over:
        for message in talk.hear(link.hear(), now()):
            link.say(message)
