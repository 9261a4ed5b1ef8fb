"""Blocking work off the event loop, with the edges of it made harmless."""

import errno
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import anyio.to_thread

T = TypeVar("T")


async def in_thread(work: Callable[..., T], *args: Any) -> T:
    """Do `work` in a worker thread and give its result.

    When cancelled it does not wait for the thread, which a dead disk may hold for ever. Raises OSError (EAGAIN) when
    the machine has no thread left to give, and whatever `work` raises.
    """
    try:
        return await anyio.to_thread.run_sync(partial(work, *args), abandon_on_cancel=True)
    except RuntimeError as error:
        if "start new thread" not in str(error):  # what CPython says when pthread_create(3) fails
            raise
        raise OSError(errno.EAGAIN, "no thread can be started") from error
