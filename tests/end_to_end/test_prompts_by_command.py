"""Prompts that people and agents schedule by command: added, listed, run, cancelled, all of it through `--json`.

Their agent is a program that writes down what it is told, and fails for as long as there is a file that says so.
"""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from harness import PATIENT, SCRIPTS, Site, until
from scheduled import history, outcomes, run, task

from orchestrator.client import TaskClient

pytestmark = PATIENT

# The prompt is its last word.
CLERK = """\
import pathlib, sys, uuid
here = pathlib.Path(__file__).parent
(here / f"heard-{uuid.uuid4()}").write_text(sys.argv[-1], newline="")
if (here / "unwell").exists():
    sys.exit("the clerk is unwell")
print(f"heard {len(sys.argv[-1])} characters")
"""
LATER = "2099-12-24T18:00"


@pytest.fixture
def office(site: Site) -> Site:
    """A daemon with an agent, the clerk, who is a program, and one that sleeps."""
    clerk = site.python("clerk", CLERK)
    agents = f'[agents.clerk]\nkind = "command"\ncommand = {clerk}\n'
    agents += '[agents.sleepy]\nkind = "command"\ncommand = ["sh", "-c", "exec sleep 1000"]\n'
    site.start(text=f'timezone = "Europe/Berlin"\n{agents}')
    return site


def said(site: Site, *words: str, code: int = 0) -> Any:
    """Give the one JSON document that a command prints."""
    answer = site.ctl(*words, "--json")
    assert (answer.returncode, answer.stderr if code == 0 else "") == (code, ""), answer.stderr
    return json.loads(answer.stdout)


def heard(site: Site) -> list[str]:
    """Give the prompts that the clerk got, in no particular order."""
    return sorted(path.read_bytes().decode() for path in site.folder.glob("heard-*"))


def names(site: Site) -> list[str]:
    return [each["name"] for each in said(site, "tasks")]


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_the_whole_circle(office: Site) -> None:
    added = said(office, "add", "ask", "--at", LATER, "--prompt", "any news?", "--agent", "clerk")
    assert (added["name"], added["enabled"], added["state"], added["added"]) == ("ask", True, "idle", True)
    assert (added["next_slot"], added["runs_left"]) == ("2099-12-24T17:00:00Z", 1)
    assert said(office, "tasks", "ask") == [added]
    ran = said(office, "run", "ask")
    assert (ran["outcome"], ran["output"].strip(), heard(office)) == ("success", "heard 9 characters", ["any news?"])
    assert said(office, "history", "ask") == [ran]
    assert "details" in ran
    (numbers,) = said(office, "stats")
    assert (numbers["task"], numbers["runs"], numbers["success_rate"]) == ("ask", 1, 1.0)
    (done,) = said(office, "tasks", "ask")  # it was to be asked once
    assert (done["enabled"], done["next_slot"], done["runs_left"]) == (False, None, 0)

    assert said(office, "enable", "ask")["results"] == [{"name": "ask", "ok": True, "message": "enabled"}]
    assert said(office, "tasks", "ask")[0]["next_slot"] == "2099-12-24T17:00:00Z"
    assert said(office, "disable", "ask")["results"] == [{"name": "ask", "ok": True, "message": "disabled"}]
    assert said(office, "scheduler", "pause")["scheduler"] == "paused"
    assert said(office, "scheduler", "resume")["scheduler"] == "idle"

    said(office, "add", "slow", "--every", "1h", "--prompt", "take your time", "--agent", "sleepy")
    begun = said(office, "run", "slow", "--no-wait")
    until(lambda: task(office, "slow")["state"] == "running", "the slow one's run")
    assert [each["name"] for each in said(office, "tasks", "--due")] == ["slow"]
    (cancelled,) = said(office, "cancel", "slow")["results"]
    assert (cancelled["name"], cancelled["task"], cancelled["ok"]) == (begun["run_id"], "slow", True)
    assert [each["outcome"] for each in said(office, "history", "slow", "--outcome", "cancelled")] == ["cancelled"]

    removed = said(office, "remove", "ask", "slow")["results"]
    assert removed == [{"name": name, "ok": True, "message": "removed"} for name in ("ask", "slow")]
    assert said(office, "tasks") == []
    assert said(office, "history", "ask") == [ran]


def test_an_agent_schedules_its_own_prompts_without_knowing_where_it_is(office: Site) -> None:
    """It finds the daemon that it was started by, and means that one's time of day."""
    ctl = SCRIPTS / "aiempctl"
    script = office.script(
        "planner",
        f"""set -e
{ctl} add later --at {LATER} --prompt "$1" --agent clerk --json
{ctl} add early --at 08:00 --prompt "$1" --agent clerk --json >&2
""",
    )
    text = office.config.read_text()
    planner = f'[agents.planner]\nkind = "command"\ncommand = ["{office.folder / script}"]\n'
    office.config.write_text(text + planner)
    assert office.ctl("reload").returncode == 0
    assert office.ctl("add", "plan", "--every", "1h", "--prompt", "go on", "--agent", "planner").returncode == 0
    ran, code = run(office, "plan")
    assert (code, ran["outcome"]) == (0, "success"), ran
    assert json.loads(ran["output"])["name"] == "later"
    assert names(office) == ["plan", "later", "early"]
    early = datetime.fromisoformat(task(office, "early")["next_slot"])
    assert f"{early.astimezone(ZoneInfo('Europe/Berlin')):%H:%M}" == "08:00"
    assert run(office, "later")[1] == 0
    assert heard(office) == ["go on"]


def test_a_prompt_for_once_that_fails_keeps_its_place(office: Site) -> None:
    (office.folder / "unwell").touch()
    with TaskClient(office.vault) as tasks:
        tasks.register(
            "ask",
            prompt="any news?",
            agent="clerk",
            frequency="once",
            at=soon(0.5),
            max_runs=1,
            retry={"max": 2, "initial": "50ms"},
        )
    until(lambda: outcomes(office, "ask") == [("schedule", "failure")], "its failure")
    assert history(office, "ask")[0]["attempts"] == 3
    left = task(office, "ask")
    assert (left["enabled"], left["state"], left["next_slot"], left["runs_left"]) == (True, "idle", None, 1)
    assert run(office, "ask")[1] == 1
    (office.folder / "unwell").unlink()
    assert run(office, "ask")[1] == 0
    left = task(office, "ask")
    assert (left["enabled"], left["runs_left"]) == (False, 0)


def test_a_prompt_for_once_is_tried_again_after_a_minute_and_is_gone_after_its_success(office: Site) -> None:
    (office.folder / "unwell").touch()
    assert said(office, "add", "ask", "--at", soon(0.5), "--prompt", "?", "--agent", "clerk")["state"] == "idle"
    until(lambda: task(office, "ask")["state"] == "retrying", "the first failure")
    (pause,) = [fact["seconds"] for fact in office.facts() if "seconds" in fact and fact.get("name") == "ask"]
    assert 50 < pause < 70
    (retrying,) = history(office, "ask")
    assert (retrying["attempts"], retrying["outcome"]) == (1, None)
    office.stop()
    (office.folder / "unwell").unlink()
    office.start()
    left = task(office, "ask")  # the next daemon goes on with it
    assert (left["enabled"], left["state"]) == (True, "retrying")
    assert said(office, "cancel", "ask")["results"][0]["ok"]
    assert task(office, "ask")["enabled"]
    assert run(office, "ask")[1] == 0
    assert outcomes(office, "ask") == [("schedule", "cancelled"), ("manual", "success")]
    assert not task(office, "ask")["enabled"]
    assert heard(office) == ["?", "?"]


def test_a_prompt_may_be_sent_so_many_times(office: Site) -> None:
    words = ("add", "beat", "--every", "200ms", "--max-runs", "2", "--prompt", "tick", "--agent", "clerk")
    assert said(office, *words)["runs_left"] == 2
    until(lambda: not task(office, "beat")["enabled"], "its second success")
    assert [outcome for _, outcome in outcomes(office, "beat")].count("success") == 2
    assert heard(office) == ["tick", "tick"]


def test_a_prompt_arrives_as_it_is_whatever_is_in_it(office: Site) -> None:
    texts = [
        "--dangerously \"quoted\" 'and' $HOME `id` $(touch owned) \\ %s {x}",
        "first\nsecond\r\n\n\ttabbed ünïcode 日本 👩‍💻\n",
        "line\n" * 10_000,
    ]
    (office.folder / "prompt.md").write_bytes(texts[1].encode())
    ways = [[f"--prompt={texts[0]}"], ["--prompt-file", str(office.folder / "prompt.md")], ["--prompt", "-"]]
    for number, way in enumerate(ways):
        what = ["add", f"ask{number}", "--every", "1h", "--agent", "clerk", *way]
        added = subprocess.run(
            [str(SCRIPTS / "aiempctl"), "-c", str(office.config), *what],
            input=texts[2].encode(),
            env=office.environ,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert added.returncode == 0, added.stderr
        assert run(office, f"ask{number}")[1] == 0
    assert heard(office) == sorted(texts)
    assert not list(office.folder.rglob("owned"))


def test_who_is_no_agent_gets_no_prompts(office: Site) -> None:
    for words, why in (
        (["--agent", "clark"], 'tasks.x.agent: is "clark", which is no agent; did you mean "clerk"?'),
        (["--agent", "clerk", "--agent-id", "a"], "tasks.x.agent_id: belongs to agents of Letta; "),
        (["--start-at", "tomorrow"], 'tasks.x.start_at: is "tomorrow"; an ISO date-time'),
    ):
        refused = office.ctl("add", "x", "--every", "1h", "--prompt", "p", *words)
        assert (refused.returncode, why in refused.stderr) == (2, True), refused.stderr
    assert names(office) == []


def test_the_first_prompt_comes_when_it_was_to_start_and_the_others_count_from_there(office: Site) -> None:
    start = (datetime.now(UTC) + timedelta(seconds=4)).replace(microsecond=0)
    words = ["add", "beat", "--every", "500ms", "--prompt", "tick", "--agent", "clerk"]
    added = said(office, *words, "--start-at", start.isoformat(), "--max-runs", "3")
    assert datetime.fromisoformat(added["next_slot"]) == start
    assert added["schedule"].startswith("every 500 ms from 20")
    until(lambda: not task(office, "beat")["enabled"], "its three successes")
    ran = [datetime.fromisoformat(each["slot"]) for each in history(office, "beat") if each["trigger"] == "schedule"]
    assert min(ran) == start
    assert all((slot - start) % timedelta(seconds=0.5) == timedelta(0) for slot in ran)
