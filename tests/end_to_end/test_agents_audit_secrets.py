"""Secrets of the daemon's environment: an agent may print them, but nothing that is recorded or told has them."""

import json
from pathlib import Path

import pytest
from harness import PATIENT, Site, until
from scheduled import history, run

pytestmark = PATIENT

FAKE = Path(__file__).parents[1] / "agents" / "fake_claude.py"
SECRETS = {
    "SOME_API_KEY": "sk-very-secret-key",
    "A_TOKEN_OF_MINE": "tok-12345678",
    "CLIENT_SECRET": "exactly8",
    "DB_PASSWORD": 'pass "word" €',
}
SHORT = {"TINY_KEY": "seven77"}  # shorter than what counts as a secret
TELLS = (
    'echo "out $SOME_API_KEY $A_TOKEN_OF_MINE $CLIENT_SECRET $DB_PASSWORD $TINY_KEY"; echo "$DB_PASSWORD" >&2; exit 3'
)


@pytest.fixture
def told(site: Site) -> Site:
    agents = f'[agents.claude]\ncommand = ["python", "{FAKE}"]\n'
    agents += f'[agents.mine]\nkind = "command"\ncommand = ["sh", "-c", {json.dumps(TELLS)}]\n'
    tasks = "".join(f'[tasks.claude{n}]\nprompt = "behave: secret {name}"\n' for n, name in enumerate(SECRETS))
    tasks += '[tasks.mine]\nprompt = "hi"\nagent = "mine"\nretry = { max = 1, initial = "10ms" }\n'
    site.start(text=agents + tasks, **SECRETS, **SHORT)
    return site


def test_no_secret_is_recorded_or_told_whoever_prints_it(told: Site) -> None:
    with told.following("events", "-f", "--json") as heard:
        for number in range(len(SECRETS)):
            found, code = run(told, f"claude{number}")
            assert (found["outcome"], code) == ("success", 0)
            assert found["output"].startswith("My key is [redacted].")
            assert "[redacted]" in found["details"]["stderr"]
            assert "[redacted]" in json.dumps(found["details"]["denials"])
        found, code = run(told, "mine")
        assert (found["outcome"], found["attempts"], code) == ("failure", 2, 1)
        assert found["output"].strip() == "out [redacted] [redacted] [redacted] [redacted] seven77"
        assert "[redacted]" in found["error"]
        until(lambda: "run.retrying" in heard.read_text() and "mine" in heard.read_text(), "the events")
        events = heard.read_text()
    until(
        lambda: "| mine |" in told.dashboard() and "[redacted]" in told.dashboard().replace("\\", ""), "the Dashboard"
    )
    shown = [told.ctl(*words).stdout for words in (("status",), ("status", "--json"), ("history",), ("why", "mine"))]
    assert told.stop() == 0
    kept = [path.read_bytes() for path in told.vault.rglob("*") if path.is_file()]
    assert kept
    for secret in SECRETS.values():
        for text in [events, *shown, json.dumps(found, ensure_ascii=False)]:
            assert secret not in text
        for data in kept:
            assert secret.encode() not in data
            assert json.dumps(secret)[1:-1].encode() not in data


def test_history_after_a_restart_has_them_no_more_than_before(told: Site) -> None:
    run(told, "mine")
    told.kill()
    told.start(**SECRETS)
    (kept,) = history(told, "mine")
    assert not [secret for secret in SECRETS.values() if secret in json.dumps(kept, ensure_ascii=False)]
