"""Keeps what must be written down from being cancelled, until somebody has no time left to wait for it."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio


class Shield:
    """Shielded cancel scopes that can be given up, all at once."""

    def __init__(self) -> None:
        self._scopes: set[anyio.CancelScope] = set()
        self._given_up = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep cancellation from the block, until `give_up`; then the block is left."""
        with anyio.CancelScope(shield=True) as scope:
            if self._given_up:
                scope.cancel()
            self._scopes.add(scope)
            try:
                yield
            finally:
                self._scopes.discard(scope)

    def give_up(self) -> None:
        """Leave every block that is still held, and every later one at its first wait."""
        self._given_up = True
        for scope in tuple(self._scopes):
            scope.cancel()
