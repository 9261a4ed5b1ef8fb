"""PURE. The restart window that cuts a crash loop, and the waits between automatic restarts."""

from typing import Final

from orchestrator.config.model import Backoff, CrashLoop

# Seconds until the next try at least. What is missing (memory, a free descriptor) is missing in the same instant too,
# and whoever may be restarted a million times would try a million times before anybody else gets a turn.
AFTER_A_FAILED_SPAWN: Final = 0.1


def recent(restarts: tuple[float, ...], now: float, window: float) -> tuple[float, ...]:
    """Those of `restarts` (monotonic seconds) that lie less than `window` seconds before `now`."""
    return tuple(at for at in restarts if now - at < window)


def exceeds(restarts: tuple[float, ...], at: float, limits: CrashLoop) -> bool:
    """Whether one more restart at `at` would be one too many within the window."""
    return len(recent(restarts, at, limits.window)) >= limits.max_restarts


def delay(streak: int, backoff: Backoff) -> float:
    """Seconds to wait before automatic restart number `streak` (from 1) since the watcher last ran healthily.

    The first comes at once, the second after `initial`, each further one after `factor` times as long, up to `max`.
    """
    if streak <= 1 or backoff.initial == 0:
        return 0.0
    try:
        return min(backoff.max, backoff.initial * backoff.factor ** (streak - 2))
    except OverflowError:
        return backoff.max
