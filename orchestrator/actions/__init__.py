"""What a run does: a command, a handler, a built-in."""
