"""PURE. The names that `action = "…"` may give: what comes built in."""

from typing import Final

HEALTH_UPDATE: Final = "health_update"  # the one chore that the daemon does itself: it alone knows its watchers' states

# What a vault needs without any agent. All but HEALTH_UPDATE: `python -P -m orchestrator.actions.chores NAME`.
CHORES: Final = frozenset({"stale_approval_check", "daily_rollover", "done_archive", "iteration", HEALTH_UPDATE})

# Prompts that come along; they need an agent to send them to.
NEEDS_AGENT: Final = frozenset({"morning_triage", "linkedin_post", "weekly_audit_prep"})
