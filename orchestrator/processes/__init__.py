"""The machine's processes, for whoever runs some: watchers and tasks alike."""
