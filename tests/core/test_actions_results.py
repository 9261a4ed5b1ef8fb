"""What is kept of what a run prints, and how its attempt went, read from that and from its process's end."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.actions import results
from orchestrator.processes.death import Death
from orchestrator.processes.printed import OUTPUT_MAX, Tail, cut
from orchestrator.redaction import Redactor
from orchestrator.schedule.runs import Outcome, Result

SUCCESS, FAILURE, SKIPPED = Outcome.SUCCESS, Outcome.FAILURE, Outcome.SKIPPED
DONE, KILLED = Death(code=0), Death(signal="SIGKILL")


def tail(*pieces: bytes, limit: int = 10) -> Tail:
    made = Tail(limit)
    for piece in pieces:
        made.add(piece)
    return made


# --- what is kept ---


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([], ""),
        ([b"one\n", b"two\n"], "one\ntwo\n"),
        ([b"0123456789"], "0123456789"),
        ([b"\xff\xfe"], "\ufffd\ufffd"),
        ([b"one\ntwo\nthree\n"], "… 8 bytes cut\nthree\n"),
        ([b"on", b"e\ntwo\nthr", b"ee\n"], "… 8 bytes cut\nthree\n"),
        ([b"x" * 100 + b"0123456789"], "… 100 bytes cut\n0123456789"),
        ([b"x" * 100, "ää€😀".encode()], "… 102 bytes cut\nä€😀"),  # not in the middle of ä
        ([b"x" * 20 + b"\n"], "… 11 bytes cut\nxxxxxxxxx\n"),
        ([b"\x80" * 30], "… 20 bytes cut\n" + "\ufffd" * 10),
    ],
)
def test_the_end_is_kept_from_a_line_or_a_character_on(pieces: list[bytes], text: str) -> None:
    assert tail(*pieces).text() == text


@given(pieces=st.lists(st.binary(max_size=40)), limit=st.integers(1, 30))
def test_nothing_but_the_end_is_kept_and_the_rest_is_counted(pieces: list[bytes], limit: int) -> None:
    made, whole = tail(*pieces, limit=limit), b"".join(pieces)
    assert made.total == len(whole)
    assert len(made._kept) <= 2 * limit
    if len(whole) <= limit:
        assert made.text() == whole.decode(errors="replace")
    else:
        first, _, rest = made.text().partition("\n")
        count = int(first.split()[1])
        assert count >= len(whole) - limit
        assert rest == whole[count:].decode(errors="replace")


SECRETS = ("ABCDEFGH", "HGFEDCBAHGFEÄ", "KLMNOPQR\nSTUVWXYZ", "DEFGHKLM")  # what else is printed is in lower case


@given(
    pieces=st.lists(st.sampled_from([*SECRETS, "x", "\n", "ä\n", "a few words", "x" * 30]), max_size=12),
    cuts=st.integers(1, 60),
)
def test_no_part_of_a_secret_is_left_at_the_cut(pieces: list[str], cuts: int) -> None:
    made = Tail(cuts, Redactor({f"KEY_{number}": secret for number, secret in enumerate(SECRETS)}))
    for piece in pieces:
        made.add(piece.encode())
    for text in (made.text(), *made.last_lines(3)):
        assert text == text.lower()


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (b"ABCDEFGH", "[redacted]"),
        (b"xxABCDEFGH and more", "… 10 bytes cut\n and more"),
        (b"ABCDEFGHABCDEFGH or", "… 16 bytes cut\n or"),
        (b"ABCDEFGH-ABCDEFGH", "… 8 bytes cut\n-[redacted]"),
        (b"ABCDEFGH\nABCDEFGH", "… 9 bytes cut\n[redacted]"),
    ],
)
def test_a_cut_through_a_secret_is_made_behind_it(said: bytes, text: str) -> None:
    made = Tail(10, Redactor({"A_KEY": "ABCDEFGH"}))
    made.add(said)
    assert made.text() == text


@given(text=st.text())
def test_text_that_fits_stays_as_it_is(text: str) -> None:
    assert cut(text) == text.encode(errors="replace").decode()


def test_a_long_text_is_cut_too() -> None:
    assert cut("ä\n" * OUTPUT_MAX).startswith(f"… {2 * OUTPUT_MAX + 1} bytes cut\nä\n")


@pytest.mark.parametrize(
    ("said", "lines"),
    [(b"", []), (b"\n \n", []), (b"a\n\n b \n", ["a", "b"]), (b"a\nb\nc\nd", ["c", "d"])],
)
def test_last_lines_are_those_with_something_in_them(said: bytes, lines: list[str]) -> None:
    assert tail(said).last_lines(2) == lines


# --- commands ---


@pytest.mark.parametrize(
    ("death", "stderr", "result"),
    [
        (DONE, b"warning", Result(SUCCESS, "out\n")),
        (Death(code=3), b"", Result(FAILURE, "out\n", "exit code 3")),
        (Death(code=3), b"1\n2\n 3\n\n4\n", Result(FAILURE, "out\n", "exit code 3: 2 ⏎ 3 ⏎ 4")),
        (KILLED, b"", Result(FAILURE, "out\n", "killed by SIGKILL")),
    ],
)
def test_a_command_went_as_its_exit_code_says(death: Death, stderr: bytes, result: Result) -> None:
    assert results.of_command(death, tail(b"out\n"), tail(stderr)) == result


# --- handlers ---


@pytest.mark.parametrize(
    ("returned", "result"),
    [
        ({"outcome": "success", "output": "said", "error": None}, Result(SUCCESS, "said")),
        ({"outcome": "success", "output": "", "error": ""}, Result(SUCCESS, "")),
        ({"outcome": "success", "output": None, "error": None}, Result(SUCCESS, "printed")),
        ({"outcome": "failure", "output": None, "error": "why"}, Result(FAILURE, "printed", "why")),
        ({"outcome": "success", "output": "\ud800", "error": "\ud800"}, Result(SUCCESS, "?", "?")),
    ],
)
@pytest.mark.parametrize("death", [DONE, KILLED, Death(code=1)])
def test_what_a_handler_returned_counts_whatever_became_of_its_process(
    returned: Any, result: Result, death: Death
) -> None:
    assert results.of_handler(death, tail(b"printed"), tail(), json.dumps(returned).encode()) == result


@pytest.mark.parametrize(
    "returned",
    [b"", b"{", b"[]", b"null", b'{"outcome": "timeout"}', b'{"outcome": {}}', b'{"module": "handlers.a"}', b"\xff"],
)
def test_a_handler_that_returned_nothing_has_failed(returned: bytes) -> None:
    result = results.of_handler(DONE, tail(b"printed"), tail(b"why\n"), returned)
    assert result == Result(FAILURE, "printed", "the handler did not come to return: exit code 0: why")


# --- chores ---


@pytest.mark.parametrize(
    ("death", "said", "result"),
    [
        (DONE, b'moving\n{"outcome": "success", "output": "3 moved", "error": null}\n', Result(SUCCESS, "3 moved")),
        (DONE, b'{"outcome": "skipped", "output": "", "error": "nothing there"}', Result(SKIPPED, "", "nothing there")),
        (Death(code=1), b'{"outcome": "failure", "output": "", "error": "full"}', Result(FAILURE, "", "full")),
        (Death(code=1), b"moving\n", Result(FAILURE, "moving\n", "exit code 1: why")),
        (DONE, b"moving\n", Result(FAILURE, "moving\n", "the chore ended without saying how it went")),
        (DONE, b"", Result(FAILURE, "", "the chore ended without saying how it went")),
    ],
)
def test_a_chore_went_as_its_last_line_says(death: Death, said: bytes, result: Result) -> None:
    assert results.of_chore(death, tail(said, limit=1000), tail(b"why\n")) == result


@pytest.mark.parametrize(
    ("said", "prompt"),
    [
        (b'counting\n{"outcome": "success", "output": "3", "prompt": "Sort $5 \\n them"}\n', "Sort $5 \n them"),
        (b'{"outcome": "success", "prompt": ""}', None),
        (b'{"outcome": "success", "prompt": " \\n"}', None),
        (b'{"outcome": "success", "prompt": 5}', None),
        (b'{"outcome": "success"}', None),
        (b'["prompt"]', None),
        (b"prompt", None),
        (b"", None),
    ],
)
def test_a_chore_says_on_its_last_line_what_an_agent_is_to_be_told(said: bytes, prompt: str | None) -> None:
    assert results.prompt_of_chore(tail(said, limit=1000)) == prompt
