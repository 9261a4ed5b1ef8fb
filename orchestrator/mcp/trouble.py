"""PURE. Why a talk with an MCP server came to nothing."""

from orchestrator.mcp.finding import State


class Trouble(Exception):
    """Ends a talk; the message is for a person. `state` is what the server is in then."""

    def __init__(self, why: str, state: State = State.FAILED) -> None:
        super().__init__(why)
        self.state = state


class Late(Trouble):
    """The time that the talk had is over."""

    def __init__(self) -> None:
        super().__init__("", State.TIMEOUT)
