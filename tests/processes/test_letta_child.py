"""Deliveries to Letta for real: each a process of its own, against a server that writes down what it gets."""

import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from letta_delivery import AGENT, KEY, PATIENCE, Fork, crew_of, deliver, delivery, started
from letta_server import HANGS, REFUSED, WELL, Does, answer, letta_server, misbehaving, spoken

from orchestrator.agents import letta
from orchestrator.schedule import retry
from orchestrator.schedule.runs import HoldKind, Outcome, Run, Trigger

SUCCESS, FAILURE = Outcome.SUCCESS, Outcome.FAILURE
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc, and counts on how Linux queues")


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@contextmanager
def deaf_server() -> Iterator[int]:
    """Give the port of one whose queue is full: connections to it are never answered."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening, ExitStack() as waiting:
        for _ in range(3):
            one = waiting.enter_context(socket.socket())
            one.settimeout(0)
            one.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


def connecting_to(port: int, pid: int) -> bool:
    """Whether that process has a socket whose SYN nobody has answered."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if row[2].endswith(f":{port:04X}") and row[3] == "02"}
    try:
        links = {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()}
    except FileNotFoundError:  # closed meanwhile
        return False
    return bool(links & {f"socket:[{inode}]" for inode in inodes})


# --- what is sent ---


@pytest.mark.parametrize("text", ["Good morning", "-p $HOME \"'`\n\tgrün € 😀 \\ \u2028", "x" * 300_000])
def test_the_message_arrives_as_it_is_once_and_with_the_key(text: str) -> None:
    with letta_server() as server:
        result = deliver(f"{server.url}/v1/", text)
        (message,) = server.arrived
        assert message.path == f"/v1/agents/{AGENT}/messages"
        assert message.body == {"messages": [{"role": "user", "content": text}], "streaming": False}
        assert message.headers["authorization"] == f"Bearer {KEY}"
        assert message.headers["content-type"] == "application/json"
    assert (result.outcome, result.output, result.error, result.hold) == (SUCCESS, "Done.", None, None)
    assert result.details is not None
    took = result.details["duration_seconds"]
    assert 0 < took < PATIENCE
    assert result.details == {
        "session_id": AGENT,
        "delivery": "delivered",
        "tokens": {"input": 70, "output": 5},
        "stop_reason": "end_turn",
        "turns": 2,
        "duration_seconds": took,
    }


def test_a_server_without_keys_gets_none() -> None:
    with letta_server() as server:
        assert deliver(server.url, LETTA_API_KEY="").outcome is SUCCESS
        assert "authorization" not in server.arrived[0].headers


def test_this_machine_is_never_reached_through_a_proxy() -> None:
    with letta_server() as server:
        assert deliver(server.url, HTTP_PROXY="http://127.0.0.1:1", ALL_PROXY="http://127.0.0.1:1").outcome is SUCCESS


def test_another_machine_is_reached_through_the_proxy_of_the_environment() -> None:
    with letta_server() as proxy:
        assert deliver("http://letta.invalid", HTTP_PROXY=proxy.url).outcome is SUCCESS
        assert proxy.arrived[0].path == f"http://letta.invalid/v1/agents/{AGENT}/messages"


# --- what comes back: the server's answer, outcome, delivery, whether it is final, words of it ---

ANSWERS = [
    # 2xx: never again, whatever stands in it
    (Does(answer(200, spoken("One.", "Two."))), SUCCESS, "delivered", False, "One.\n\nTwo."),
    (Does(answer(200, spoken())), SUCCESS, "delivered", False, ""),
    (Does(answer(200, spoken("x", stop="max_steps"))), SUCCESS, "delivered", False, "as many steps as it may"),
    (Does(answer(200, spoken("x", stop="requires_approval"))), SUCCESS, "delivered", False, "waits for an approval"),
    (Does(answer(200, spoken("half", stop="llm_api_error"))), FAILURE, "delivered", True, "(llm_api_error)"),
    (Does(answer(200, spoken(stop="insufficient_credits"))), FAILURE, "delivered", True, "no credit left"),
    (Does(answer(200, {"error": {"message": "no tool"}})), FAILURE, "delivered", True, "no tool"),
    (Does(answer(200, b"\xff\x00 no JSON {")), SUCCESS, "delivered", False, "is none that Letta gives"),
    (Does(answer(202, {"id": "run-1"})), SUCCESS, "delivered", False, 'is none that Letta gives: {"id": "run-1"}'),
    (Does(answer(204)), SUCCESS, "delivered", False, ""),
    (Does(answer(200, b" " * 6_000_000 + b"{}")), SUCCESS, "delivered", False, "longer than 4 MiB"),
    (Does(answer(200, spoken("w" * 3_000_000))), SUCCESS, "delivered", False, "bytes cut"),
    (Does(WELL.answer, cut=len(WELL.answer) - 30), SUCCESS, "delivered", False, "not read to its end"),
    (Does(WELL.answer, cut=len(WELL.answer) - 30, reset=True), SUCCESS, "delivered", False, "not read to its end"),
    (Does(WELL.answer, wait=0.3), SUCCESS, "delivered", False, "Done."),
    # refused, and again under the task's policy
    (REFUSED, FAILURE, "refused", False, "(500: An internal server error occurred)"),
    (Does(answer(502, b"<html><title>Bad\ngateway</title>")), FAILURE, "refused", False, "(502: Bad gateway)"),
    (Does(answer(503, b"", Retry_After="7")), FAILURE, "refused", False, "(503)"),
    (Does(answer(429, {"error": {"type": "llm_rate_limit"}})), FAILURE, "refused", False, '429: {"type": "llm_ra'),
    # refused for good
    (Does(answer(301, Location="https://elsewhere/")), FAILURE, "refused", True, "(301), to https://elsewhere/;"),
    (Does(answer(307, Location="/v2/")), FAILURE, "refused", True, "correct base_url"),
    (Does(answer(404, {"detail": "Agent not found"})), FAILURE, "refused", True, "(404: Agent not found); correct ag"),
    (
        Does(answer(409, {"detail": {"code": "PENDING_APPROVAL", "message": "Approve first"}})),
        *(FAILURE, "refused", True, "(409: PENDING_APPROVAL: Approve first)"),
    ),
    (Does(answer(422, {"detail": "x" * 9999})), FAILURE, "refused", True, f"(422: {'x' * 500}…)"),
    (Does(answer(413), reads=False), FAILURE, "refused", True, "(413)"),
    # nobody knows
    (Does(reads=False), FAILURE, "unknown", True, letta.UNKNOWN),
    (Does(reads=False, reset=True), FAILURE, "unknown", True, letta.UNKNOWN),
    (Does(), FAILURE, "unknown", True, letta.UNKNOWN),
    (Does(reset=True), FAILURE, "unknown", True, f"{letta.UNKNOWN}; look for it among the messages of {AGENT} at http"),
    (Does(b"SSH-2.0-x\r\n\r\n"), FAILURE, "unknown", True, letta.UNKNOWN),
    (Does(WELL.answer, cut=30), FAILURE, "unknown", True, letta.UNKNOWN),
    (Does(b"HTTP/1.1 100 Continue\r\n\r\n"), FAILURE, "unknown", True, letta.UNKNOWN),
]


@pytest.mark.parametrize(("does", "outcome", "delivered", "final", "words"), ANSWERS)
def test_every_answer_and_none(does: Does, outcome: Outcome, delivered: str, final: bool, words: str) -> None:  # noqa: FBT001
    with letta_server(does) as server:
        result = deliver(server.url)
        assert server.connections == 1  # there is no second request from here
    assert (result.outcome, result.final, result.hold) == (outcome, final, None)
    assert result.details is not None
    assert (result.details["delivery"], result.details["session_id"]) == (delivered, AGENT)
    text = result.error if result.outcome is FAILURE else result.output
    assert words in (text or "")
    assert "\n" not in (result.error or "")
    assert len(result.output.encode()) < 65_536 + 200


HOLDS = [
    (answer(401, {"detail": "Unauthorized"}), HoldKind.LOGIN, "put a valid one into LETTA_API_KEY"),
    (answer(403, b"<html><title>No</title></html>"), HoldKind.LOGIN, "refuses the key (403: No)"),
    (answer(401, {"error": {"type": "llm_authentication"}}), HoldKind.LOGIN, "no valid key for its model's provider"),
    (answer(402, {"error": "Rate limited", "reasons": ["not-enough-credits"]}), HoldKind.CREDIT, "not-enough-credits"),
    (answer(429, {"error": "Rate limited", "reasons": ["exceeded-quota"]}), HoldKind.CREDIT, "add some"),
    (answer(429, {"detail": "slow down"}, Retry_After="90"), HoldKind.BUSY, "for now (429: slow down)"),
]


@pytest.mark.parametrize(("answered", "kind", "words"), HOLDS)
def test_what_is_about_us_holds_the_agent(answered: bytes, kind: HoldKind, words: str) -> None:
    before = datetime.now(UTC)
    with letta_server(Does(answered, takes=False)) as server:
        result = deliver(server.url)
    assert result.hold is not None
    assert (result.outcome, result.hold.kind, result.hold.why) == (FAILURE, kind, result.error)
    assert result.final is (b" 429 " not in answered.partition(b"\r\n")[0])
    assert words in result.hold.why
    if kind is HoldKind.BUSY:
        assert result.hold.until is not None
        assert timedelta(seconds=90) <= result.hold.until - before <= timedelta(seconds=90 + PATIENCE)
    else:
        assert result.hold.until is None


def test_a_key_that_is_wanted_and_missing_is_asked_for() -> None:
    with letta_server(Does(answer(401, {"detail": "Unauthorized"}))) as server:
        result = deliver(server.url, LETTA_API_KEY="")
    assert "wants a key (401: Unauthorized); set LETTA_API_KEY in the daemon's environment" in (result.error or "")


def test_the_key_is_nowhere_even_when_the_server_repeats_it() -> None:
    told = {"detail": f"the key {KEY} is wrong"}
    for does in [Does(answer(400, told)), Does(answer(200, spoken(f"It is {KEY}!"))), Does(answer(301, Location=KEY))]:
        with letta_server(does) as server, delivery(server.url) as sent:
            command = Path(f"/proc/{sent.process.pid}/cmdline").read_bytes()
            result = sent.result()
            assert KEY not in f"{result}{command!r}{sent.left()!r}"
            assert "[redacted]" in f"{result}"


# --- nobody there ---


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.mark.parametrize(
    ("url", "again"),
    [
        ("http://127.0.0.1:PORT", True),
        ("http://nowhere.invalid", True),
        ("http://127.0.0.1:x", False),
    ],
)
def test_what_surely_was_not_sent_may_be_tried_again(url: str, again: bool) -> None:  # noqa: FBT001
    result = deliver(url.replace("PORT", str(free_port())))
    assert (result.outcome, result.final, result.hold) == (FAILURE, not again, None)
    assert result.details == {"session_id": AGENT, "delivery": "not sent"}
    assert ("cannot be reached" in (result.error or "")) is again


def test_a_server_that_does_not_speak_tls_got_nothing() -> None:
    with letta_server(Does(b"SSH-2.0-x\r\n\r\n", reads=False)) as server:
        result = deliver(server.url.replace("http:", "https:"))
    assert result.details == {"session_id": AGENT, "delivery": "not sent"}
    assert not result.final


def test_a_proxy_that_lets_nothing_through_got_nothing() -> None:
    with letta_server(Does(answer(407), reads=False)) as proxy:
        result = deliver("https://letta.invalid", HTTPS_PROXY=proxy.url)
    assert (result.final, (result.details or {})["delivery"]) == (False, "not sent")


def test_without_the_client_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "httpx2.py").write_text("raise ModuleNotFoundError('No module named httpx2', name='httpx2')\n")
    with letta_server() as server:
        start = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from {letta.MODULE} import main; main()"
        result = deliver(server.url, module=[sys.executable, "-P", "-c", start])
        assert not server.connections
    assert result.final
    assert 'pip install "aiemp[http]"' in (result.error or "")
    assert result.details == {"session_id": AGENT, "delivery": "not sent"}


# --- killed ---


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_ended_while_it_waits_for_the_answer_nobody_knows(number: signal.Signals) -> None:
    with letta_server(HANGS) as server, delivery(server.url) as sent:
        server.wait_for(1)
        since = time.monotonic()
        sent.process.send_signal(number)
        result = sent.result()
        assert time.monotonic() - since < 5
    assert result.final
    assert (result.details or {})["delivery"] == "unknown"
    assert f"its process ended: killed by {number.name}; {letta.UNKNOWN}" in (result.error or "")


def test_killed_while_it_reads_a_good_answer_the_message_is_delivered() -> None:
    half = Does(WELL.answer, cut=len(WELL.answer) - 30, holds=True)
    with letta_server(half) as server, delivery(server.url) as sent:
        wait_until(lambda: b'"answering"' in sent.left())
        sent.process.kill()
        result = sent.result()
    assert (result.outcome, (result.details or {})["delivery"]) == (SUCCESS, "delivered")
    assert "not read to its end: its process ended: killed by SIGKILL" in result.output


@LINUX
def test_killed_while_it_connects_the_message_is_not_sent() -> None:
    with deaf_server() as port, delivery(f"http://127.0.0.1:{port}") as sent:
        wait_until(lambda: connecting_to(port, sent.process.pid))
        sent.process.kill()
        result = sent.result()
    assert (result.final, (result.details or {})["delivery"]) == (False, "not sent")


@LINUX
def test_a_server_that_does_not_even_answer_the_connection_is_not_waited_for() -> None:
    with deaf_server() as port:
        result = deliver(f"http://127.0.0.1:{port}", module=started("outbound.CONNECT_TIMEOUT = 0.2"))
    assert (result.final, (result.details or {})["delivery"]) == (False, "not sent")
    assert "cannot be reached (ConnectTimeout" in (result.error or "")


def test_it_does_not_outlive_its_time_for_long_when_nobody_ends_it() -> None:
    with letta_server(HANGS) as server:
        result = deliver(server.url, module=started("letta_child.LINGER = 0.1"), timeout=1.0)
    assert "killed by SIGALRM" in (result.error or "")
    assert result.final


def test_killed_at_any_moment_the_file_never_says_less_than_what_happened() -> None:
    """Nothing that has arrived counts as not sent, and nothing that may have is sent again."""
    chance = random.Random(4)  # noqa: S311
    for _ in range(16):
        with letta_server(Does(WELL.answer, wait=0.02)) as server, delivery(server.url) as sent:
            try:
                sent.process.wait(chance.uniform(0.0, 0.45))
            except subprocess.TimeoutExpired:
                sent.process.kill()
            result = sent.result()
        told = (result.details or {})["delivery"]
        assert told in ({"unknown", "delivered"} if server.arrived else {"not sent", "unknown"})
        assert result.outcome is SUCCESS or result.final is (told == "unknown")


# --- many ---


def test_of_200_slots_each_is_delivered_exactly_once_or_unknown_and_none_twice(tmp_path: Path) -> None:
    chance = random.Random(2026)  # noqa: S311
    bad_day = [misbehaving(chance.random) for _ in range(5000)]
    slots = [f"slot {number}" for number in range(200)]
    with letta_server(bad_day.__getitem__) as server, crew_of(24, tmp_path) as forks:
        runs = dict(zip(slots, forks.map(lambda fork, slot: carry_out(fork, server.url, slot), slots), strict=True))
        times = Counter(server.taken)
        assert server.connections > 250  # much was tried again
    assert set(times.values()) == {1}  # none twice
    for slot, run in runs.items():
        assert run.details is not None
        match run.details["delivery"]:
            case "delivered":
                assert (run.outcome, times[slot]) == (SUCCESS, 1), run
            case "unknown":
                assert run.outcome is FAILURE, run
                assert letta.UNKNOWN in (run.error or "")
            case other:
                raise AssertionError(f"{slot} was not delivered, although it may be tried 20 times: {other}, {run}")
    delivered = sum(run.outcome is SUCCESS for run in runs.values())
    assert 120 < delivered < 190  # there were both kinds


def carry_out(fork: Fork, url: str, slot: str) -> Run:
    """Make attempts under the policy of a task, as the daemon does. The waits are left out."""
    run = Run(slot, "letters", datetime.now(UTC), Trigger.SCHEDULE, retries=20)
    while True:
        run.attempts += 1
        result = fork.deliver(url, slot)
        if result.hold is not None:  # it does not count, and is waited for
            assert result.hold.until is not None
            run.attempts -= 1
            continue
        run.details, run.error = result.details, result.error
        if not retry.again(run, result):
            run.outcome = result.outcome
            return run
