"""Keeping watchers alive."""
