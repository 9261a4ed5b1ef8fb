"""Looks after servers of the Model Context Protocol: which there are, and whether they answer."""
