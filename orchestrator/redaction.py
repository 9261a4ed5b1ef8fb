"""PURE. Takes secrets out of what is recorded: the values of variables that are named as secrets are."""

import json
from collections.abc import Iterator, Mapping
from typing import Final

MARK: Final = "[redacted]"

_NAMED: Final = ("KEY", "TOKEN", "SECRET", "PASSWORD")
_SHORTEST: Final = 8  # characters: shorter values stand in all sorts of words


def names_a_secret(name: str) -> bool:
    """Whether what is called so is taken for a secret."""
    return any(word in name.upper() for word in _NAMED)


class Redactor:
    """Call it with a text to get that text without the secrets of the environment it was made from."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        values = {
            secret
            for name, value in environ.items()
            if names_a_secret(name)
            for secret in _forms(value)
            if len(secret) >= _SHORTEST and not secret.isspace()
        }
        self._secrets = sorted(values, key=len, reverse=True)
        self.longest = max((len(each.encode(errors="surrogatepass")) for each in values), default=0)  # bytes

    def __bool__(self) -> bool:
        """Whether there is anything to take out."""
        return bool(self._secrets)

    def __call__(self, text: str) -> str:
        pieces, done = list[str](), 0
        for start, end in self._found(text):
            pieces += [text[done:start], MARK]
            done = end
        return "".join([*pieces, text[done:]]) if pieces else text

    def beyond(self, text: str, at: int) -> int:
        """Give the first place from `at` on that lies in no secret, for who cuts `text` there."""
        return next((end for start, end in self._found(text) if start < at < end), at)

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        """Where secrets stand, in order; those that overlap are one, so that of none an end is left over."""
        begin = end = 0
        for start, stop in sorted(span for secret in self._secrets for span in _spans(text, secret)):
            if start < end:
                end = max(end, stop)
                continue
            if end:
                yield begin, end
            begin, end = start, stop
        if end:
            yield begin, end


NOTHING: Final = Redactor({})


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
