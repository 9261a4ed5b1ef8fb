"""The chores that a vault needs, and the looks at it that come before a prompt; each in a process of its own.

    python -P -m orchestrator.actions.chores NAME

with AIEMP_VAULT, AIEMP_STATE_DIR, AIEMP_TIMEZONE, DRY_RUN, AIEMP_TASK and AIEMP_RUN. The last line on stdout is
`{"outcome": "success"|"failure"|"skipped", "output": …, "error": …}`, and with a "prompt" where an agent is to be told
something now; without one no agent has anything to do. Each may be killed at any moment and run again;
with DRY_RUN none changes anything.
"""
