"""HTTP to a server that somebody has configured. Only programs of their own import this: the daemon has no client."""

from typing import Final

import httpx2

from orchestrator.reach import is_this_machine

CONNECT_TIMEOUT: Final = 10.0  # seconds
# A client's errors, among them those of a URL or a proxy that makes no sense.
ERRORS: Final = (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError)

HEADERS: Final = {
    "User-Agent": "aiemp",
    "Accept-Encoding": "identity",  # little cannot become much
    "Content-Type": "application/json",
}


def client(url: str | httpx2.URL, answer_within: float | None) -> httpx2.Client:
    """Make a client for this URL's host; `answer_within`: seconds, None: for ever. Raises what ERRORS has.

    It takes proxies and certificates from the environment, except where the server is this very machine: who needs a
    proxy for the world does not always think of exempting it. A redirect is never followed.
    """
    url = httpx2.URL(url)
    here = is_this_machine(url.host)
    return httpx2.Client(
        verify=not here or url.scheme == "https",  # loading all certificates takes time
        trust_env=not here,
        timeout=httpx2.Timeout(answer_within, connect=CONNECT_TIMEOUT),
        follow_redirects=False,
    )


def in_words(error: Exception) -> str:
    """What a person is told of an error, on one line; secrets are still in it."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
