"""Watchers: ordinary programs that sense something and write notes into the vault."""
