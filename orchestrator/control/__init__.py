"""The one door into a running daemon: commands, the socket that carries them, and its client."""
