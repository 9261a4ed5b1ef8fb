"""Runs scheduled work: every slot once, on time, timed out, retried, recorded."""
