"""The agents that prompts go to: how each is called, and what its answers mean."""
