"""PURE. Why an agent has not taken a prompt, read out of its own complaint: limit, login, credit, network, busy.

Only what is known to be a complaint may be read here: an answer may well talk about usage limits.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

from orchestrator.agents import limits
from orchestrator.schedule.runs import Hold, HoldKind

COMPLAINT_MAX: Final = 2_000  # characters: what is longer is no complaint but an answer, and only its codes count
LINE_MAX: Final = 300  # characters that are quoted

_LIMIT, _LOGIN, _CREDIT = HoldKind.LIMIT, HoldKind.LOGIN, HoldKind.CREDIT
_NETWORK, _BUSY = HoldKind.NETWORK, HoldKind.BUSY

_WHY: Final = {
    _LIMIT: "the usage limit is reached",
    _LOGIN: "no valid login",
    _CREDIT: "no credit",
    _NETWORK: "the network or a server on the way fails",
    _BUSY: "the servers are overloaded or out of order",
}
_REMEDY: Final = {
    _LIMIT: "prompts wait until it is lifted",
    _LOGIN: (
        "run `claude` once as the user of the daemon and log in, or set CLAUDE_CODE_OAUTH_TOKEN (`claude setup-token`)"
        " or a valid ANTHROPIC_API_KEY for it"
    ),
    _CREDIT: "add credit to the account (console.anthropic.com, Plans & Billing), or unset ANTHROPIC_API_KEY to use"
    " a subscription",
    _NETWORK: "check the connection, DNS, the proxy variables and ANTHROPIC_BASE_URL as the daemon has them",
    _BUSY: "status.claude.com says more",
}


_EPOCH: Final = re.compile(r"\|\d{10,13}$")  # when a limit ends, in seconds since 1970: nothing for a person


@dataclass(frozen=True, slots=True)
class _Sign:
    """`kind` None: it is about this prompt or this configuration, and no other attempt would do better."""

    kind: HoldKind | None
    pattern: re.Pattern[str] | None
    codes: frozenset[str]
    statuses: frozenset[int]
    remedy: str | None

    def shows(self, text: str, codes: Collection[str], status: int | None) -> bool:
        in_words = self.pattern is not None and self.pattern.search(text) is not None
        return in_words or not self.codes.isdisjoint(codes) or status in self.statuses


def _sign(
    kind: HoldKind | None, *words: str, codes: str = "", statuses: Iterable[int] = (), remedy: str | None = None
) -> _Sign:
    pattern = re.compile("|".join(words), re.IGNORECASE) if words else None
    return _Sign(kind, pattern, frozenset(codes.split()), frozenset(statuses), remedy)


# The first that shows counts: some complaints have words of several kinds in them, and the last ones are vague.
_SIGNS: Final = (
    _sign(
        None,
        r"prompt is too long|input is too long|prompt_too_long|request too large|exceeds the maximum size",
        r"context (?:window )?limit|issue with the selected model|\bmodel\b[^.\n]{0,40} not found",
        r"usage credits required for 1M context|extra usage is required for long context",
        codes="long_context_credits_required model_not_found request_too_large",
    ),
    _sign(
        _BUSY,
        r"not your usage limit|temporarily limiting|overloaded|at capacity|per minute\b|upstream rate limit",
        r"spend limit unavailable|concurrent (?:requests|connections)|internal server error|service unavailable",
        r"bad gateway|gateway time-?out",
        codes="overloaded_error overloaded",
    ),
    _sign(
        _LIMIT,
        r"(?:hit|reached|exceeded) (?:your|the|its)\b.{0,60}\blimits?\b|\blimit (?:has been )?(?:reached|exceeded)",
        r"out of (?:extra usage|usage credits)|spend limit|usage limits?\b|account's rate limit",
        codes="usage_limit_reached",
    ),
    _sign(
        _CREDIT,
        r"credit balance|insufficient[_ ](?:credits?|quota|funds)",
        codes="billing_error credits_required",
    ),
    _sign(
        _LOGIN,
        r"organization has (?:been )?disabled|disabled organization|not allowed for this organization",
        codes="org_disabled_credential oauth_org_not_allowed account_on_hold verification_required",
        remedy="ask the organization's administrator, or give the daemon another login or ANTHROPIC_API_KEY",
    ),
    _sign(
        _LOGIN,
        r"(?:invalid|missing) (?:x-)?api[- ]key|invalid auth token|apikeyhelper",
        remedy="correct or unset ANTHROPIC_API_KEY (or apiKeyHelper) where the daemon gets it from",
    ),
    _sign(
        _LOGIN,
        r"not logged in|run /login|login (?:has )?expired|log in again|failed to authenticate|invalid bearer token",
        r"oauth (?:token|session)[\w ]{0,20} (?:expired|revoked|invalid)|invalid authentication credentials",
        r"could not resolve authentication|could not load credentials|security token included in the request",
        codes="authentication_failed authentication_error cloud_credential_error",
    ),
    _sign(
        _NETWORK,
        r"\b(?:E(?:CONN(?:REFUSED|RESET|ABORTED)|NOTFOUND|HOSTUNREACH|NETUNREACH|TIMEDOUT|AI_AGAIN|PIPE)|ERR_PROXY\w*)\b",
        r"connection (?:refused|dropped|error|failed|timed out)|(?:can't|cannot|unable to|couldn't) (?:reach|connect)",
        r"no internet|fetch failed|getaddrinfo|socket hang up|certificate|request timed out",
        r"empty or malformed response",
        codes="connection_failed",
    ),
    _sign(_LIMIT, r"\brate[_ ]limit", codes="rate_limit_error rate_limit", statuses=[429]),
    _sign(_LOGIN, codes="permission_error", statuses=[401, 403, 407]),
    _sign(_CREDIT, statuses=[402]),
    _sign(_BUSY, codes="api_error server_error timeout_error", statuses=[408, *range(500, 600)]),
    _sign(None, codes="invalid_request_error invalid_request not_found_error", statuses=[400, 404, 413, 422]),
)
_STATUS: Final = re.compile(r"\bAPI Error:?\s*\(?(\d{3})\b|\brejected \((\d{3})\)", re.IGNORECASE)
_CODES: Final = re.compile(r'"(?:type|code)"\s*:\s*"([a-z_]{3,40})"')


def hold_of(
    text: str,
    now: datetime,
    zone: tzinfo,
    *,
    status: int | None = None,
    codes: Collection[str] = (),
    until: datetime | None = None,
) -> Hold | None:
    """Tell what holds the agent; None where the complaint is about the prompt itself or about something unknown.

    `status`, `codes`, `until`: HTTP's status, kinds of errors and the end of a limit, where they are known beside it.
    """
    sign = _sign_of(text, status, codes)
    if sign is None or sign.kind is None:
        return None
    if sign.kind not in (_LIMIT, _BUSY):
        until = None
    elif until is None or until <= now:
        until = limits.reset(text, now, zone)
    # One that should be over already is met by growing waits, as one without a time.
    until = None if until is None or until <= now else until.astimezone(UTC)
    said = first_line(text).rstrip(".")
    why = f"{_WHY[sign.kind]}: {said}" if said else _WHY[sign.kind]
    return Hold(sign.kind, f"{why}; {sign.remedy or _REMEDY[sign.kind]}", until)


def is_final(text: str, *, status: int | None = None, codes: Collection[str] = ()) -> bool:
    """Whether the complaint is about this very prompt or the configuration, so that another attempt ends the same."""
    sign = _sign_of(text, status, codes)
    return sign is not None and sign.kind is None


def first_line(text: str) -> str:
    """The first line with something in it, cut to what one can read at a glance."""
    line = next((line for each in text.splitlines() if (line := " ".join(each.split()))), "")
    line = _EPOCH.sub("", line)
    return line if len(line) <= LINE_MAX else f"{line[: LINE_MAX - 1]}…"


def _sign_of(text: str, status: int | None, codes: Collection[str]) -> _Sign | None:
    if len(text) > COMPLAINT_MAX:
        text = ""
    known = {*codes, *_CODES.findall(text)}
    if status is None and (said := _STATUS.search(text)) is not None:
        status = int(said[1] or said[2])
    return next((sign for sign in _SIGNS if sign.shows(text, known, status)), None)
