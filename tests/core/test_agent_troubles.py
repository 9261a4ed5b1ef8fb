"""Why an agent takes no prompts, by its own words; and what is only wrong with the prompt."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.agents.troubles import hold_of, is_final
from orchestrator.schedule.runs import HoldKind

LIMIT, LOGIN, CREDIT = HoldKind.LIMIT, HoldKind.LOGIN, HoldKind.CREDIT
NETWORK, BUSY = HoldKind.NETWORK, HoldKind.BUSY
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
API_429 = 'API Error: 429 {"type":"error","error":{"type":"rate_limit_error","message":"%s"}}'

HOLDS = [
    (LIMIT, "You've hit your 5-hour limit · resets 7:32am (UTC)"),
    (LIMIT, "You've hit your Opus limit · resets Nov 30, 2:32am (UTC)"),
    (LIMIT, "You've hit your limit · resets 1pm (Europe/Lisbon)"),
    (LIMIT, "You've hit your org's monthly usage limit"),
    (LIMIT, "You've hit your monthly spend limit · raise it at https://claude.ai/settings/usage"),
    (LIMIT, "You're out of usage credits · resets 7:46am (UTC)"),
    (LIMIT, "You're out of extra usage. Add more at claude.ai/settings/usage and keep going."),
    (LIMIT, "Claude AI usage limit reached|1795600000"),
    (LIMIT, "5-hour limit reached ∙ resets 3am"),
    (LIMIT, "Opus weekly limit reached ∙ resets Oct 31, 9am"),
    (LIMIT, "Fable 5 limit reached · /model to switch"),
    (LIMIT, "spend limit reached (daily; resets 2026-12-09 00:00 UTC)"),
    (LIMIT, "API Error: Rate limit reached"),
    (LIMIT, "API Error: 400 You have reached your specified API usage limits. You will regain access on 2026-12-01."),
    (LIMIT, API_429 % "This request would exceed your account's rate limit. Please try again later."),
    (LIMIT, "API Error: 429"),
    (BUSY, API_429 % "This request would exceed your organization's rate limit of 50 requests per minute."),
    (BUSY, "API Error: Server is temporarily limiting requests (not your usage limit) · try later"),
    (BUSY, "upstream rate limit exceeded"),
    (BUSY, "spend limit unavailable"),
    (BUSY, "API Error: 529 Overloaded. This is a server-side issue, usually temporary."),
    (BUSY, "API Error: Repeated 529 Overloaded errors. The API is at capacity"),
    (BUSY, 'API Error: 529 {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'),
    (BUSY, "API Error: 500 Internal server error. This is a server-side issue"),
    (BUSY, 'API Error: 500 {"type":"error","error":{"type":"api_error","message":"?"}}'),
    (BUSY, "API Error: 503 upstream connect error"),
    (LOGIN, "Not logged in · Please run /login"),
    (LOGIN, "Invalid API key · Please run /login"),
    (LOGIN, "Invalid API key · Fix external API key"),
    (LOGIN, "Missing API key · Run /login"),
    (LOGIN, "Login expired · Please run /login"),
    (LOGIN, "OAuth token has expired · Please run /login"),
    (LOGIN, "OAuth token revoked · Please run /login"),
    (LOGIN, "Failed to authenticate: OAuth session expired and could not be refreshed"),
    (LOGIN, "Failed to authenticate. API Error: 401 Invalid bearer token"),
    (LOGIN, "Failed to authenticate. API Error: 403 Request not allowed"),
    (LOGIN, 'API Error: 401 {"type":"error","error":{"type":"authentication_error"}} · Please run /login'),
    (LOGIN, "Could not resolve authentication method. Expected one of apiKey, authToken"),
    (LOGIN, "Your apiKeyHelper script is failing · Fix it"),
    (LOGIN, "Invalid auth token · Fix external auth token"),
    (LOGIN, "Your ANTHROPIC_API_KEY belongs to a disabled organization · Update or unset it"),
    (LOGIN, "Your organization has disabled Claude subscription access for Claude Code"),
    (CREDIT, "Credit balance is too low"),
    (CREDIT, "API Error: 400 Your credit balance is too low to access the Anthropic API."),
    (CREDIT, "API Error: 402 billing"),
    (NETWORK, "API Error: Connection refused — a firewall or proxy may be blocking it (ECONNREFUSED)"),
    (NETWORK, "API Error: Can't reach the API server — check your internet or DNS (ENOTFOUND)"),
    (NETWORK, "API Error: Connection dropped (ECONNRESET). Check the gateway set in ANTHROPIC_BASE_URL"),
    (NETWORK, "No internet route — check it (EHOSTUNREACH)"),
    (NETWORK, "Couldn't connect through your proxy (ERR_PROXY_TUNNEL)"),
    (NETWORK, "Unable to connect to API (ECONNREFUSED)"),
    (NETWORK, "API Error: Connection error."),
    (NETWORK, "TypeError: fetch failed"),
    (NETWORK, "Request timed out. If the API is slow to answer, set API_TIMEOUT_MS above 4000."),
    (NETWORK, "SSL certificate verification failed"),
    (NETWORK, "API Error: API returned an empty or malformed response (HTTP 200) — check for a proxy"),
]
FINAL = [
    "Prompt is too long",
    "Prompt is too long · the request is ~210000 tokens (limit 200000)",
    "Input is too long for requested model",
    "Context limit reached",
    "Request too large (max 32MB). Remove older images or compact the conversation.",
    "There's an issue with the selected model (claude-nope). It may not exist or you may not have access to it.",
    'API Error: 404 {"type":"error","error":{"type":"not_found_error","message":"model: claude-nope"}}',
    'API Error: 400 {"type":"error","error":{"type":"invalid_request_error","message":"messages: roles"}}',
    "API Error: Usage credits required for 1M context · turn on usage credits, or use --model",
]


@pytest.mark.parametrize(("kind", "text"), HOLDS)
def test_what_holds_an_agent(kind: HoldKind, text: str) -> None:
    hold = hold_of(text, NOW, BERLIN)
    assert hold is not None
    assert hold.kind is kind
    assert "\n" not in hold.why
    assert text[:40].partition("|")[0].rstrip(".") in hold.why
    assert not is_final(text)


@pytest.mark.parametrize("text", FINAL)
def test_what_will_not_be_better_the_next_time(text: str) -> None:
    assert hold_of(text, NOW, BERLIN) is None
    assert is_final(text)


@pytest.mark.parametrize(
    "text", ["", "Execution error", "API Error: the model refused", "I could not find the file.", "Tool crashed: 42"]
)
def test_what_says_nothing_of_the_kind(text: str) -> None:
    assert hold_of(text, NOW, BERLIN) is None
    assert not is_final(text)


@pytest.mark.parametrize(
    ("status", "codes", "kind"),
    [
        (429, {"usage_limit_reached", "rate_limit_error"}, LIMIT),
        (429, set(), LIMIT),
        (None, {"rate_limit"}, LIMIT),
        (None, {"connection_failed"}, NETWORK),
        (400, {"org_disabled_credential", "invalid_request_error"}, LOGIN),
        (None, {"account_on_hold"}, LOGIN),
        (401, set(), LOGIN),
        (403, {"permission_error"}, LOGIN),
        (402, {"billing_error"}, CREDIT),
        (529, {"overloaded_error"}, BUSY),
        (500, {"api_error"}, BUSY),
        (408, set(), BUSY),
        (429, {"long_context_credits_required", "rate_limit_error"}, None),
        (400, {"invalid_request_error"}, None),
        (404, set(), None),
        (None, {"model_not_found"}, None),
    ],
)
def test_what_is_known_beside_the_words(status: int | None, codes: set[str], kind: HoldKind | None) -> None:
    hold = hold_of("something unheard of", NOW, BERLIN, status=status, codes=codes)
    assert (hold and hold.kind) == kind
    assert is_final("something unheard of", status=status, codes=codes) == (kind is None)


def test_who_is_not_logged_in_is_told_what_to_do() -> None:
    hold = hold_of("Not logged in · Please run /login", NOW, BERLIN)
    assert hold is not None
    assert "run `claude` once" in hold.why
    assert "`claude setup-token`" in hold.why


def test_the_end_of_a_limit() -> None:
    text = "You've hit your 5-hour limit · resets 7:32am (UTC)"
    in_words = hold_of(text, NOW, BERLIN)
    assert in_words is not None
    assert in_words.until == datetime(2026, 11, 25, 7, 32, tzinfo=UTC)
    exact = datetime(2026, 11, 25, 7, 32, 45, tzinfo=UTC)
    to_the_second = hold_of(text, NOW, BERLIN, until=exact)
    assert to_the_second is not None
    assert to_the_second.until == exact


@pytest.mark.parametrize("text", ["Usage limit reached", "usage limit reached|1795500000", "limit reached, resets 4am"])
def test_a_limit_that_should_be_over_ends_at_no_known_time(text: str) -> None:
    hold = hold_of(text, NOW, BERLIN, until=NOW)
    assert hold is not None
    assert hold.kind is LIMIT
    assert hold.until is None


def test_only_a_limit_and_a_busy_server_name_a_time() -> None:
    busy = hold_of("API Error: 529 Overloaded; retry-after: 30", NOW, BERLIN)
    assert busy is not None
    assert busy.until == datetime(2026, 11, 25, 3, 0, 30, tzinfo=UTC)
    login = hold_of("Not logged in; resets 3pm", NOW, BERLIN)
    assert login is not None
    assert login.until is None


def test_a_long_text_is_no_complaint() -> None:
    text = "Usage limit reached. " * 200
    assert hold_of(text, NOW, BERLIN) is None
    assert hold_of(text, NOW, BERLIN, status=429) is not None


@given(
    text=st.text() | st.sampled_from(HOLDS).map(lambda each: each[1]), more=st.text(), status=st.none() | st.integers()
)
def test_a_reason_is_one_line_and_no_time_past(text: str, more: str, status: int | None) -> None:
    hold = hold_of(text + more, NOW, BERLIN, status=status)
    if hold is not None:
        assert len(hold.why.splitlines()) == 1
        assert len(hold.why) < 700
        assert hold.until is None or hold.until > NOW
        assert not is_final(text + more, status=status)
