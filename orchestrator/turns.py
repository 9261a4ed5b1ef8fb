"""Work put off to the end of the event loop's turn, so that a burst of five hundred starts is followed by one write."""

import asyncio
from collections.abc import Callable


class EndOfTurn:
    """Calls `act` once, soon, however often it is asked to within one turn of the loop; without a loop, at once.

    A loop that is closed before it came to it leaves `act` uncalled: ask once more afterwards.
    """

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._asked = False

    def ask(self) -> None:
        """Have `act` called: from the event loop's thread later, from any other at once."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._act()
            return
        if not self._asked:
            self._asked = True
            loop.call_soon(self._now)

    def _now(self) -> None:
        self._asked = False
        self._act()
