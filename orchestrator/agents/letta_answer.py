"""PURE. What a Letta server's answer comes to, made small by who receives it: the daemon need not take it whole."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from orchestrator.processes.printed import cut

WORDS_MAX: Final = 500  # characters of what a server says of an error
NAME_MAX: Final = 100  # characters of a word for machines
LONGEST_WAIT: Final = timedelta(days=1)  # whatever a server asks for; then it is asked again

_TOKENS: Final = {
    "input": "prompt_tokens",
    "output": "completion_tokens",
    "cache_read": "cached_input_tokens",
    "cache_creation": "cache_write_tokens",
}


def condense(body: bytes, redact: Callable[[str], str]) -> dict[str, Any]:
    """Give what matters of a body, whatever it is, as JSON takes it.

    `form`: "answer" (an agent's), "error", "empty" or "other"; `text`: what the agent said; `said`: what else stands
    there, on one line; `type` and `reasons` of an error, where it names them; `stop_reason`, `tokens`, `turns`.
    """
    text = body.decode(errors="replace").strip()
    if not text:
        return {"form": "empty"}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, Mapping):
        return {"form": "other", "said": _line(_plain(text), redact)}
    answer = dict[str, Any]()
    if isinstance(found.get("messages"), list):
        answer = {"form": "answer", "text": cut(redact("\n\n".join(_spoken(found["messages"])))), **_told(found)}
    if errors := " ".join(_errors(found)):
        error = found.get("error")
        kind = error.get("type") if isinstance(error, Mapping) else None
        reasons = [each[:NAME_MAX] for each in _list(found.get("reasons")) if isinstance(each, str)][:10]
        answer |= {"form": "error", "said": _line(errors, redact), "type": _name(kind), "reasons": reasons}
    return answer or {"form": "other", "said": _line(text, redact)}


def retry_at(header: str | None, now: datetime) -> datetime | None:
    """When a Retry-After, in seconds or as a date, lets us come again; None where there is nothing to wait for."""
    if header is None:
        return None
    try:
        wait = timedelta(seconds=float(header))
    except OverflowError:
        wait = LONGEST_WAIT
    except ValueError:
        try:
            moment = parsedate_to_datetime(header)
        except ValueError:
            return None
        wait = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    return now + min(wait, LONGEST_WAIT) if wait >= timedelta(seconds=1) else None


def _spoken(messages: Any) -> Iterator[str]:
    """What the agent said: neither what it thought nor which tools it called."""
    for message in _list(messages):
        if isinstance(message, Mapping) and message.get("message_type") == "assistant_message":
            content = message.get("content")
            parts = content if isinstance(content, list) else [content]
            text = "".join(part if isinstance(part, str) else _part(part) for part in parts)
            if text:
                yield text


def _part(part: Any) -> str:
    text = part.get("text") if isinstance(part, Mapping) else None
    return text if isinstance(text, str) else ""


def _told(found: Mapping[str, Any]) -> dict[str, Any]:
    """Why the agent stopped, and what its work took."""
    stop, usage = found.get("stop_reason"), found.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    tokens = {ours: usage[theirs] for ours, theirs in _TOKENS.items() if _is_count(usage.get(theirs))}
    turns = usage.get("step_count")
    return {
        "stop_reason": _name(stop.get("stop_reason") if isinstance(stop, Mapping) else stop),
        "tokens": tokens or None,
        "turns": turns if _is_count(turns) else None,
    }


def _errors(found: Mapping[str, Any]) -> Iterator[str]:
    """What is said of an error: `detail` and `error` are each a text, an object or something else."""
    for said in (found.get("error"), found.get("detail"), *_error_messages(found.get("messages"))):
        if isinstance(said, str):
            yield said
        elif isinstance(said, Mapping):
            told = [said[key] for key in ("code", "message", "detail") if isinstance(said.get(key), str)]
            yield ": ".join(dict.fromkeys(told)) or json.dumps(said, ensure_ascii=False)
        elif said:
            yield json.dumps(said, ensure_ascii=False)
    yield from (str(each) for each in _list(found.get("reasons")))


def _error_messages(messages: Any) -> Iterator[Any]:
    for message in _list(messages):
        if isinstance(message, Mapping) and message.get("message_type") == "error_message":
            yield message


def _plain(text: str) -> str:
    """Take a page's title for the page: what stands in front of a server answers in HTML."""
    if not text.lstrip().startswith("<"):
        return text
    title = re.search(r"<title[^>]*>(.*?)</title>", text[:100_000], re.IGNORECASE | re.DOTALL)
    return title[1] if title else "a page in HTML"


def _line(text: str, redact: Callable[[str], str]) -> str:
    text = " ".join(redact(text).encode(errors="replace").decode().split())  # lone surrogates go into no database
    return text if len(text) <= WORDS_MAX else f"{text[:WORDS_MAX]}…"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _name(value: Any) -> str | None:
    return value.encode(errors="replace").decode()[:NAME_MAX] if isinstance(value, str) else None
