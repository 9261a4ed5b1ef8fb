"""Messages to Letta through the two programs: each slot is delivered once, or unknown, whatever the server does."""

import random
from collections import Counter
from typing import Any

from harness import PATIENT, Site, command_of, until
from letta_server import HANGS, WELL, Does, LettaServer, answer, letta_server, misbehaving
from scheduled import history, run, task

from orchestrator.agents.letta import UNKNOWN

pytestmark = PATIENT

KEY = "sk-let-0123456789"
SLOTS = 16
HANGING = 7  # the number of the request at which the daemon is killed
TODAY = {"frequency": '"daily"', "at": '"00:00"', "max_lateness": '"1d"'}  # once, and at once


def companion(server: LettaServer) -> str:
    return f'[agents.companion]\nkind = "letta"\nbase_url = "{server.url}"\nagent_id = "agent-1"\n'


def message(name: str, *, text: str = "Good morning", **more: str) -> str:
    lines = [f"{key} = {value}" for key, value in more.items()]
    return "\n".join([f"[tasks.{name}]", f'prompt = "{text}"', 'agent = "companion"', *lines, ""])


def settled(site: Site) -> list[dict[str, Any]]:
    """Every run, once each has its outcome."""
    return until(
        lambda: [one for one in [history(site)] if len(one) >= SLOTS and all(each["outcome"] for each in one)]
    )[0]


def test_on_a_bad_day_and_with_a_killed_daemon_no_slot_is_delivered_twice(site: Site) -> None:
    chance = random.Random(11)  # noqa: S311
    bad_day = [misbehaving(chance.random) for _ in range(500)]
    # One hangs, so that the daemon is surely killed in the middle of a delivery.
    with letta_server(lambda number: HANGS if number == HANGING else bad_day[number]) as server:
        site.start(
            text='timezone = "UTC"\n[scheduler]\nmax_concurrent = 6\n'
            + companion(server)
            + "".join(
                message(
                    f"letter{number}",
                    text=f"slot {number}",
                    **TODAY,
                    lane=f'"lane{number % 6}"',
                    retry='{ max = 10, initial = "10ms", max_delay = "50ms" }',
                )
                for number in range(SLOTS)
            ),
        )
        until(lambda: server.connections > HANGING, "the delivery that hangs")
        site.kill()
        site.start()
        runs = settled(site)
        times = Counter(server.taken)
    assert set(times.values()) == {1}  # none twice
    assert len({each["task"] for each in runs}) == SLOTS
    for each in runs:
        taken = times[each["task"].replace("letter", "slot ")]
        if each["outcome"] == "success":
            assert (taken, each["details"]["delivery"]) == (1, "delivered"), each
        elif each["outcome"] == "failure":
            assert each["details"]["delivery"] == "unknown", each
            assert UNKNOWN in each["error"]
        else:
            assert each["outcome"] == "interrupted", each
    outcomes = Counter(each["outcome"] for each in runs)
    assert outcomes["interrupted"] >= 1
    assert outcomes["success"] > SLOTS / 3


def test_a_delivery_that_a_killed_daemon_leaves_behind_is_never_repeated(site: Site) -> None:
    with letta_server(HANGS) as server:
        text = 'timezone = "UTC"\n' + companion(server)
        text += message("letter", **TODAY, retry="{ max = 5 }")
        site.start(text=text + '[tasks.beat]\nevery = "100ms"\ncommand = ["true"]\n')
        server.wait_for(1, patience=60)
        site.kill()
        site.start()
        until(lambda: [each["outcome"] for each in history(site, "letter")] == ["interrupted"], "its outcome")
        before = len(history(site, "beat"))
        until(lambda: len(history(site, "beat")) > before + 5, "other work to go on")
        assert task(site, "letter")["state"] == "idle"
        assert (len(history(site, "letter")), server.connections) == (1, 1)
        assert not [pid for pid in site.ours() if any("letta" in word for word in command_of(pid))]


def test_a_time_out_is_a_delivery_of_which_nobody_knows(site: Site) -> None:
    with letta_server(HANGS) as server:
        site.start(text=companion(server) + message("letter", timeout='"2s"', retry="{ max = 5 }"))
        found, code = run(site, "letter")
        assert (found["outcome"], found["attempts"], code) == ("timeout", 1, 1)
        assert found["error"].endswith("so it is not sent again")
        assert (found["details"]["delivery"], found["details"]["session_id"]) == ("unknown", "agent-1")
        assert server.connections == 1


def test_what_the_server_says_is_what_the_run_says(site: Site) -> None:
    told = iter(
        [
            WELL,
            Does(answer(500, {"detail": "not now"}), takes=False),
            WELL,
            Does(answer(422, {"detail": f"no such thing, {KEY}"}), takes=False),
            Does(answer(401, {"detail": "Unauthorized"}), takes=False),
        ]
    )
    with letta_server(lambda _: next(told)) as server:
        retry = '{ max = 3, initial = "10ms" }'
        site.start(text=companion(server) + message("letter", retry=retry), LETTA_API_KEY=KEY)
        well, again, refused, held = (run(site, "letter")[0] for _ in range(4))
        assert (well["outcome"], well["output"], well["attempts"]) == ("success", "Done.", 1)
        assert well["details"]["tokens"] == {"input": 70, "output": 5}
        assert (again["outcome"], again["attempts"]) == ("success", 2)
        assert (refused["outcome"], refused["attempts"]) == ("failure", 1)
        assert "(422: no such thing, [redacted])" in refused["error"]
        assert (held["outcome"], held["cost_usd"]) == ("failure", None)
        assert "put a valid one into LETTA_API_KEY" in held["error"]
        assert {each.headers["authorization"] for each in server.arrived} == {f"Bearer {KEY}"}
        site.stop()
    for path in site.vault.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


def test_in_a_dry_run_nothing_is_sent(site: Site) -> None:
    with letta_server() as server:
        site.start("--dry-run", text=companion(server) + message("letter"))
        found, code = run(site, "letter")
        assert (found["outcome"], found["error"], code) == ("skipped", "dry run: not sent", 0)
        assert not server.connections
