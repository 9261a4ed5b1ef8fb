"""An MCP server that is reached over HTTP: streamable HTTP, and HTTP with server-sent events as it was before that."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import httpx2

from orchestrator import outbound
from orchestrator.mcp.deadline import Deadline
from orchestrator.mcp.finding import State
from orchestrator.mcp.protocol import ENDLESS, WRONG_VERSION, Era, Message, Talk
from orchestrator.mcp.server import Server, Transport
from orchestrator.mcp.sse import Events, TooMuch
from orchestrator.mcp.trouble import Late, Trouble
from orchestrator.redaction import Redactor

BODY_MAX: Final = 8 * 1024 * 1024  # bytes
GOODBYE: Final = 2.0  # seconds for the end of a session, which needs no answer
REDIRECTS_MAX: Final = 5
SAME_METHOD: Final = frozenset({307, 308})
UNSENDABLE: Final = "its url or a header cannot be sent"
_WORDS_MAX: Final = 200  # characters


class Remote:
    """The way to one such server. What it sends goes to the configured host and to no other."""

    def __init__(self, server: Server, deadline: Deadline, talk: Talk, redact: Redactor) -> None:
        """Raises Trouble."""
        self._deadline = deadline
        self._talk = talk
        self._redact = redact
        self._headers = dict(server.headers)
        self._session: str | None = None
        self._answers: Iterator[bytes] = iter(())
        try:
            self._url = httpx2.URL(server.url)
            self._client = outbound.client(self._url, deadline.left())
            if server.transport is Transport.SSE:
                self._stream = self._events(self._send("GET"))
                self._url = self._endpoint()
        except outbound.ERRORS as error:
            raise self._trouble(error) from error
        self._streaming = server.transport is Transport.SSE

    def say(self, message: Message) -> None:
        response = self._send("POST", message)
        self._session = response.headers.get("mcp-session-id") or self._session
        if self._streaming or "method" not in message or "id" not in message:
            response.close()  # what is no request has no answer, and this stream brings them all
        else:
            self._answers = self._read(response)

    def hear(self) -> bytes:
        try:
            if not self._streaming:
                return next(self._answers)
            return next(data for kind, data in self._stream if kind == "message")
        except StopIteration:
            raise Trouble(f"its answer to {self._talk.waits_for} came to an end without being one") from None

    def last_words(self) -> str:
        return ""

    def close(self) -> None:
        """End the session, where there is one."""
        if self._session is not None:
            with suppress(*outbound.ERRORS):
                self._client.delete(self._url, headers=self._all_headers(None), timeout=GOODBYE)
        self._client.close()

    # --- below ---

    def _all_headers(self, message: Message | None) -> dict[str, str]:
        headers = {
            **outbound.HEADERS,
            "Accept": "application/json, text/event-stream",
            **self._headers,
        }
        if self._talk.spoken is not None:
            headers["MCP-Protocol-Version"] = self._talk.spoken
        if self._session is not None:
            headers["Mcp-Session-Id"] = self._session
        if self._talk.era is Era.MODERN and message is not None:
            headers["Mcp-Method"] = str(message.get("method", ""))
        return headers

    def _send(self, method: str, message: Message | None = None) -> httpx2.Response:
        """Send it, and give an answer that is a good one. Raises Trouble."""
        content = None if message is None else json.dumps(message).encode()
        for _ in range(REDIRECTS_MAX + 1):
            left = self._deadline.left()
            if left <= 0:
                raise Late
            try:
                request = self._client.build_request(
                    method,
                    self._url,
                    headers=self._all_headers(message),
                    content=content,
                    timeout=httpx2.Timeout(left, connect=min(outbound.CONNECT_TIMEOUT, left)),
                )
                response = self._client.send(request, stream=True)
            except outbound.ERRORS as error:
                raise self._trouble(error) from error
            if response.status_code not in SAME_METHOD:
                return self._checked(response)
            response.close()
            self._url = self._elsewhere(response.headers.get("location", ""))
        raise Trouble("its redirects go in a circle")

    def _elsewhere(self, location: str) -> httpx2.URL:
        """Follow a redirect, but not to another host: what is sent may hold secrets."""
        try:
            to = self._url.join(location)
        except httpx2.InvalidURL:
            raise Trouble("it redirects to what is no address") from None
        if (to.scheme, to.host, to.port) != (self._url.scheme, self._url.host, self._url.port):
            raise Trouble(f"it redirects to {to.scheme}://{to.host}; if that is right, write it as the url")
        return to

    def _checked(self, response: httpx2.Response) -> httpx2.Response:
        status = response.status_code
        if status < 300:
            return response
        try:
            body = b"".join(self._pieces(response))
        finally:
            response.close()
        said = _said(body)
        words = self._redact(" ".join(filter(None, [str(status), said])))[:_WORDS_MAX]
        if self._talk.waits_for == "initialize" and _is_modern(body):
            self._talk.wants_modern = self._talk.over = True
            raise Trouble(words)
        if status in {401, 403}:
            raise Trouble(f"it wants a sign-in ({words}); sign in with /mcp in claude, or give it headers", State.LOGIN)
        if status < 400:
            raise Trouble(f"it redirects in a way that loses what is sent ({status}); correct the url")
        advice = "; is the path in its url right?" if status in {404, 405} else ""
        raise Trouble(f"HTTP {words}{advice}")

    def _read(self, response: httpx2.Response) -> Iterator[bytes]:
        """Give the messages of an answer: a body that is one, or a stream of events."""
        if response.headers.get("content-type", "").strip().lower().startswith("text/event-stream"):
            yield from (data for kind, data in self._events(response) if kind == "message")
            return
        try:
            yield b"".join(self._pieces(response))
        finally:
            response.close()

    def _events(self, response: httpx2.Response) -> Iterator[tuple[str, bytes]]:
        events = Events()
        try:
            for piece in self._pieces(response, endless=True):
                yield from events.feed(piece)
        except TooMuch:
            raise Trouble(ENDLESS) from None
        finally:
            response.close()

    def _pieces(self, response: httpx2.Response, *, endless: bool = False) -> Iterator[bytes]:
        size = 0
        try:
            for piece in response.iter_bytes():
                size += len(piece)
                if size > BODY_MAX and not endless:
                    raise Trouble(ENDLESS)
                yield piece
                if self._deadline.left() <= 0:
                    raise Late
        except (httpx2.HTTPError, OSError) as error:
            raise self._trouble(error) from error

    def _endpoint(self) -> httpx2.URL:
        for kind, data in self._stream:
            if kind == "endpoint":
                return self._elsewhere(data.decode(errors="replace").strip())
        raise Trouble("it names no endpoint, as servers of type sse do; is its type http?")

    def _trouble(self, error: Exception) -> Trouble:
        if isinstance(error, httpx2.ReadTimeout | httpx2.WriteTimeout | httpx2.PoolTimeout):
            return Late()
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            where = f"{self._url.host}:{self._url.port}" if self._url.port else self._url.host
            return Trouble(f"{where} cannot be reached ({self._in_words(error)}); does the server run?")
        if isinstance(error, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError | httpx2.InvalidURL | ValueError):
            return Trouble(f"{UNSENDABLE}: {self._in_words(error)}")
        return Trouble(f"its connection fails: {self._in_words(error)}")

    def _in_words(self, error: Exception) -> str:
        return self._redact(outbound.in_words(error))[:_WORDS_MAX]  # what is cut is redacted before it is


def _said(body: bytes) -> str:
    """What a person can read of an error's body."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return "" if body.lstrip().startswith(b"<") else " ".join(body.decode(errors="replace").split())
    error = said.get("error", said) if isinstance(said, dict) else said
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or said.get("error_description") or ""
    return " ".join(str(error).split())


def _is_modern(body: bytes) -> bool:
    """Whether a server refuses the old way to begin because it knows only the new one."""
    try:
        return bool(json.loads(body)["error"]["code"] == WRONG_VERSION)
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
