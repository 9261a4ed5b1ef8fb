"""PURE. Where a log is cut: only between lines, and never larger than its limit unless one line alone is.

A file is filled to the limit; when more comes, the line that was begun in it moves to a new file. So the files hold the
same lines as if each line had been put, whole, where it fits, however the stream was chopped. Only the position of the
last newline is needed for that; nothing is done per line.
"""

from typing import NamedTuple


class Step(NamedTuple):
    """What to do when there is more to append."""

    rotate: bool  # first set the file aside; its last, begun line moves to the new one
    room: int  # then append at most so many bytes
    alone: bool  # the line at hand is longer than the limit: the file ends where that line ends


def step(size: int, line_start: int, max_bytes: int) -> Step:
    """The next step for a log of `size` bytes whose last line begins at `line_start`.

    `line_start` equals `size` when the log ends with a newline.
    """
    if size < max_bytes:
        return Step(rotate=False, room=max_bytes - size, alone=False)
    begun = size - line_start
    rotate = line_start > 0
    if begun < max_bytes:
        return Step(rotate=rotate, room=max_bytes - begun, alone=False)
    return Step(rotate=rotate, room=max_bytes, alone=True)
