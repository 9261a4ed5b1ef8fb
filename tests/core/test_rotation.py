"""Logs are cut between lines, as if each line had been put where it fits as a whole."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.logs.rotation import step

chunks = st.lists(st.text(alphabet="ab\n", max_size=30).map(str.encode), max_size=12)


def files_of(stream: list[bytes], max_bytes: int) -> list[bytes]:
    """Carry the steps out on files in memory, oldest first."""
    files = [b""]
    for chunk in stream:
        rest = chunk
        while rest:
            file = files[-1]
            start = file.rfind(b"\n") + 1
            rotate, room, alone = step(len(file), start, max_bytes)
            if rotate:
                files[-1:] = [file[:start], file[start:]]
            before = len(files[-1])
            files[-1] += rest[:room]
            rest = rest[room:]
            if alone and (end := files[-1].find(b"\n", before) + 1) and end < len(files[-1]):
                files[-1:] = [files[-1][:end], files[-1][end:]]
    return files


def packed(stream: bytes, max_bytes: int) -> list[bytes]:
    """Line after line, each into the file at hand if it fits there, else into a new one."""
    files = [b""]
    for line in stream.splitlines(keepends=True):
        if files[-1] and len(files[-1]) + len(line) > max_bytes:
            files.append(b"")
        files[-1] += line
    return files


@given(chunks, st.integers(1, 40))
def test_files_hold_whole_lines_however_the_stream_was_chopped(stream: list[bytes], max_bytes: int) -> None:
    assert files_of(stream, max_bytes) == packed(b"".join(stream), max_bytes)


@given(st.integers(0, 100), st.integers(0, 100), st.integers(1, 50))
def test_there_is_always_room_to_go_on(size: int, line_start: int, max_bytes: int) -> None:
    rotate, room, _ = step(size, min(size, line_start), max_bytes)
    assert room > 0
    assert not (rotate and size < max_bytes)
