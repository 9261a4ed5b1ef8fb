"""Log files that rotate between lines: written by the daemon, read by `tail`."""
