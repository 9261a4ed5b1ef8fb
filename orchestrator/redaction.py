"""PURE. Takes secrets out of what is recorded: the values of variables that are named as secrets are."""

import json
from collections.abc import Iterator, Mapping
from typing import Final

MARK: Final = "[redacted]"

_NAMED: Final = ("KEY", "TOKEN", "SECRET", "PASSWORD")
_SHORTEST: Final = 8  # characters: shorter values stand in all sorts of words


class Redactor:
    """Call it with a text to get that text without the secrets of the environment it was made from."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        values = {
            secret
            for name, value in environ.items()
            if any(word in name.upper() for word in _NAMED)
            for secret in _forms(value)
            if len(secret) >= _SHORTEST and not secret.isspace()
        }
        self._secrets = sorted(values, key=len, reverse=True)

    def __bool__(self) -> bool:
        """Whether there is anything to take out."""
        return bool(self._secrets)

    def __call__(self, text: str) -> str:
        # Found first, replaced afterwards: of two values that overlap in the text no end must be left over.
        found = sorted(span for secret in self._secrets for span in _spans(text, secret))
        if not found:
            return text
        pieces, done = [], 0
        begin, end = found[0]
        for start, stop in found[1:]:
            if start < end:
                end = max(end, stop)
            else:
                pieces += [text[done:begin], MARK]
                done, begin, end = end, start, stop
        return "".join([*pieces, text[done:begin], MARK, text[end:]])


def _forms(value: str) -> Iterator[str]:
    """What a value looks like in output: as it is, as JSON has it inside quotes, and line by line."""
    yield value
    yield value.strip()
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield from (line.strip() for line in value.splitlines())


def _spans(text: str, secret: str) -> Iterator[tuple[int, int]]:
    """Where `secret` stands in `text`; occurrences that overlap are one span."""
    start = text.find(secret)
    while start >= 0:
        latest, end = start, start + len(secret)
        while (latest := text.find(secret, latest + 1, end + len(secret) - 1)) >= 0:
            end = latest + len(secret)
        yield start, end
        start = text.find(secret, end)
