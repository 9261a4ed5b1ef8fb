"""One POST to a Letta server: sent at most once, never a second time from here."""

import json
import os
import time
from datetime import UTC, datetime
from typing import Any, Final

import httpx2

from orchestrator import outbound
from orchestrator.agents.letta_answer import condense, retry_at
from orchestrator.agents.letta_record import Record
from orchestrator.agents.letta_stage import Stage
from orchestrator.redaction import Redactor

BODY_MAX: Final = 4 * 1024 * 1024  # bytes of an answer that are read
WHY_MAX: Final = 500  # characters

# What comes before anything of the message is sent, and may go well another time; and what never does.
_UNCONNECTED: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
_IMPOSSIBLE: Final = (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, httpx2.InvalidURL, ValueError)
_BEFORE_SENDING: Final = ("connection.connect", "connection.start_tls")  # the beginnings of the client's events


def deliver(record: Record) -> None:
    """Send the call's message, and close the record with what came of it."""
    key = os.environ.get(record.call["key_from"], "").strip()
    redact = Redactor({**os.environ, "KEY": key})  # however the variable is named
    sending, started, url = _Sending(record), time.monotonic(), record.call["url"]
    try:
        # One fresh connection: one that is kept may be closed by the time that it is used. How long an answer may take,
        # only the task's timeout says.
        with outbound.client(url, None) as client, client.stream(**_request(record.call, key, sending)) as response:
            record.add(Stage.ANSWERING, status=response.status_code, keyed=bool(key))
            body, broken = _read(response)
    except outbound.ERRORS as error:
        unsent = isinstance(error, httpx2.ProxyError)  # it refuses before it lets anything through
        unsent |= not sending.begun and isinstance(error, (*_UNCONNECTED, *_IMPOSSIBLE))
        why = redact(outbound.in_words(error))[:WHY_MAX]
        record.close(Stage.FAILED, sent=not unsent, again=isinstance(error, _UNCONNECTED), why=why)
        return
    until = retry_at(response.headers.get("retry-after"), datetime.now(UTC))
    record.close(
        Stage.ANSWERED,
        status=response.status_code,
        keyed=bool(key),
        duration_seconds=round(time.monotonic() - started, 3),
        location=redact(response.headers.get("location", ""))[:WHY_MAX],
        until=None if until is None else until.isoformat(),
        broken=None if broken is None else redact(broken)[:WHY_MAX],
        **condense(body, redact),
    )


class _Sending:
    """Hears from the HTTP client what it is about to do, and records it when that may let something out."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self.begun = False

    def __call__(self, event: str, _: object) -> None:
        if not self.begun and not event.startswith(_BEFORE_SENDING):
            self._record.add(Stage.SENDING)
            self.begun = True


def _request(call: dict[str, Any], key: str, sending: _Sending) -> dict[str, Any]:
    headers = {**outbound.HEADERS, "Accept": "application/json", "Connection": "close"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    return {
        "method": "POST",
        "url": call["url"],
        "headers": headers,
        "content": json.dumps(call["body"]).encode(),
        "extensions": {"trace": sending},
    }


def _read(response: httpx2.Response) -> tuple[bytes, str | None]:
    """Give the body, and why that is not all of it."""
    kept = bytearray()
    try:
        for piece in response.iter_bytes():
            kept += piece
            if len(kept) > BODY_MAX:
                return bytes(kept[:BODY_MAX]), f"it is longer than {BODY_MAX // 1024**2} MiB"
    except (httpx2.HTTPError, OSError) as error:
        return bytes(kept), outbound.in_words(error)
    return bytes(kept), None
