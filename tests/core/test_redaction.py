"""What is recorded holds no secrets, and everything else as it was."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.redaction import MARK, Redactor

ENVIRON = {
    "GMAIL_API_KEY": "k3y-of-gmail",
    "github_token": "ghp_0123456789",
    "SECRET_OF_ALL": "ghp_0123456789abc",
    "DB_PASSWORD": "short",
    "PATH": "/usr/local/bin",
    "PRIVATE_KEY": "-----BEGIN-----\nMIIEvQIBADANBg\n-----END-----\n",
    "QUOTED_SECRET": 'say "hello" \\ world',
    "BLANK_TOKEN": " " * 12,
}


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("nothing to hide in /usr/local/bin, short", "nothing to hide in /usr/local/bin, short"),
        ("key=k3y-of-gmail;", f"key={MARK};"),
        ("k3y-of-gmail", MARK),
        ("k3y-of-gmailk3y-of-gmail", MARK + MARK),
        ("longer: ghp_0123456789abc, shorter: ghp_0123456789ab", f"longer: {MARK}, shorter: {MARK}ab"),
        ("key:\n-----BEGIN-----\nMIIEvQIBADANBg\n-----END-----\n!", f"key:\n{MARK}!"),
        ("only MIIEvQIBADANBg of it", f"only {MARK} of it"),
        ('{"said": "say \\"hello\\" \\\\ world"}', f'{{"said": "{MARK}"}}'),
        (" " * 40, " " * 40),
        ("", ""),
    ],
)
def test_values_of_variables_named_as_secrets_are_replaced(text: str, redacted: str) -> None:
    assert Redactor(ENVIRON)(text) == redacted


def test_of_values_that_overlap_no_end_is_left() -> None:
    redact = Redactor({"A_KEY": "abcdefgh", "B_KEY": "efghijkl", "C_KEY": "xyxyxyxy"})
    assert redact("<abcdefghijkl>") == f"<{MARK}>"
    assert redact("<xyxyxyxyxyxy>") == f"<{MARK}>"


def test_a_text_without_secrets_is_not_copied() -> None:
    text = "x" * 100_000
    assert Redactor(ENVIRON)(text) is text
    assert Redactor({})(text) is text


@given(st.lists(st.text(alphabet="ab", min_size=8, max_size=12), max_size=4), st.data())
def test_no_secret_is_ever_left_in_a_text(secrets: list[str], data: st.DataObject) -> None:
    redact = Redactor({f"TOKEN_{number}": secret for number, secret in enumerate(secrets)})
    pieces = st.one_of(st.text(alphabet="abc", max_size=9), st.sampled_from(secrets or [""]))
    text = "".join(data.draw(st.lists(pieces, max_size=8)))
    redacted = redact(text)
    assert not any(secret in redacted for secret in secrets)
    if not any(secret in text for secret in secrets):
        assert redacted == text


def test_who_cuts_a_text_learns_where_a_secret_ends() -> None:
    redact = Redactor({"A_KEY": "abcdefgh", "B_KEY": "efghijkl"})
    text = "<abcdefghijkl>"
    assert [redact.beyond(text, at) for at in range(len(text))] == [0, 1, *[13] * 11, 13]
    assert redact.beyond(text, 100) == 100
    assert (redact.longest, Redactor({}).longest, Redactor({"A_KEY": "äöüäöüäöü"}).longest) == (8, 0, 18)


@given(st.text(min_size=8))
def test_a_secret_printed_within_json_is_found(secret: str) -> None:
    printed = json.dumps({"output": secret}, ensure_ascii=False)
    redacted = Redactor({"A_SECRET": secret})(printed)
    if not secret.isspace():
        # The mark is set apart: it may itself hold what somebody chose for a password.
        assert json.dumps(secret, ensure_ascii=False)[1:-1] not in redacted.replace(MARK, "\n")


def test_it_knows_whether_there_are_secrets() -> None:
    assert Redactor(ENVIRON)
    assert not Redactor({"PATH": "/usr/local/bin", "DB_PASSWORD": "short"})
