"""supervisor.toml: what may stand in it, and how it becomes a frozen `Config`."""
