"""Which variables hold secrets, by the contract: KEY, TOKEN, SECRET or PASSWORD in the name, 8 characters or more."""

import pytest

from orchestrator.redaction import MARK, Redactor


@pytest.mark.parametrize("name", ["KEY", "TOKEN", "SECRET", "PASSWORD"])
@pytest.mark.parametrize("form", ["{}", "MY_{}", "{}_FILE_OF_MINE", "A{}B"])
def test_each_of_the_four_words_counts_anywhere_in_a_name(name: str, form: str) -> None:
    redact = Redactor({form.format(name): "12345678", form.format(name.lower()): "abcdefgh"})
    assert redact("<12345678> <abcdefgh>") == f"<{MARK}> <{MARK}>"


@pytest.mark.parametrize("name", ["PATH", "KE_Y", "SECRE", "PASSWD", "USER"])
def test_other_names_hold_no_secret(name: str) -> None:
    assert Redactor({name: "12345678"})("<12345678>") == "<12345678>"


@pytest.mark.parametrize("name", ["KEY", "TOKEN", "SECRET", "PASSWORD"])
def test_seven_characters_are_no_secret_and_eight_are(name: str) -> None:
    assert Redactor({name: "1234567"})("<1234567>") == "<1234567>"
    assert Redactor({name: "12345678"})("<12345678>") == f"<{MARK}>"
