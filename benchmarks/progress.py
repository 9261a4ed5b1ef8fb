"""What the run is doing, on stderr."""

import sys


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
