"""Prompts to Claude Code through the whole daemon: outcomes, limits, money, the stop switch, and what is told of them.

Claude is a program here that plays what the real one does, see tests/agents/fake_claude.py.
"""

import json
import os
import re
import signal
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from harness import PATIENT, Site, alive, until
from scheduled import history, outcomes, run, seconds, task

pytestmark = PATIENT

FAKE = Path(__file__).parents[1] / "agents" / "fake_claude.py"
CLAUDE = f'[agents.claude]\nkind = "claude"\ncommand = ["python", "{FAKE}"]\n'
EVERY = 'frequency = "every"\nevery = '


def prompt(name: str, text: str, more: str = "") -> str:
    return f"[tasks.{name}]\nprompt = {json.dumps(text)}\n{more}\n"


def agent(site: Site, name: str = "claude") -> dict[str, Any]:
    return next(each for each in site.status()["agents"] if each["name"] == name)


def row(site: Site, component: str) -> str:
    return next((line for line in site.dashboard().splitlines() if line.startswith(f"| {component} |")), "")


def ended(site: Site, name: str) -> list[dict[str, Any]]:
    return [each for each in history(site, name) if each["outcome"] is not None]


def others(site: Site) -> list[int]:
    """Give the living processes of this vault but the daemon."""
    return [pid for pid in site.ours() if site.daemon is None or pid != site.daemon.pid]


def test_a_prompt_is_answered_and_what_it_took_is_kept(site: Site) -> None:
    site.start(text=CLAUDE + prompt("ask", 'What is $HOME\'s "name"?\n-- yes'))
    found, code = run(site, "ask")
    assert (found["outcome"], found["output"], code) == ("success", 'What is $HOME\'s "name"?\n-- yes', 0)
    details = found["details"]
    assert found["cost_usd"] == 0.0123
    assert (details["agent"], details["kind"], details["turns"]) == ("claude", "claude", 2)
    assert details["session_id"] == "fb5aeb1f-2092-4ac9-9cc4-5419361aaff7"
    assert details["tokens"] == {"input": 20, "output": 40, "cache_read": 1000, "cache_creation": 7}
    assert details["argv"][-2:] == ["--", "…"]
    assert {"--permission-mode", "dontAsk"} <= set(details["argv"])
    assert history(site, "ask")[0] == found
    (line,) = (site.vault / "Logs/task_execution.jsonl").read_text().splitlines()
    assert json.loads(line)["cost_usd"] == 0.0123


def test_money_is_told_everywhere(site: Site) -> None:
    site.start(text=CLAUDE + prompt("ask", "behave: cost 0.40"))
    for _ in range(2):
        run(site, "ask")
    (stats,) = json.loads(site.ctl("stats", "--json").stdout)
    assert (stats["cost_usd"], stats["cost_today_usd"], stats["cost_month_usd"]) == (0.8, 0.8, 0.8)
    assert "$0.80" in site.ctl("stats").stdout
    assert site.ctl("history").stdout.count("$0.40") == 2
    found = agent(site)
    assert (found["state"], found["cost_today_usd"], found["cost_month_usd"]) == ("ready", 0.8, 0.8)
    assert re.search(r"^claude +ready +\$0.80 +\$0.80", site.ctl("status").stdout, re.MULTILINE)
    until(lambda: r"\$0.80 today, \$0.80 this month" in row(site, "agent claude"), "the Dashboard's row")
    assert site.stop() == 0
    site.start()
    assert agent(site)["cost_today_usd"] == 0.8


def test_a_spent_budget_skips_the_fourth_run(site: Site) -> None:
    budget = CLAUDE + "daily_budget_usd = 1\n"
    site.start(text=budget + prompt("ask", "behave: cost 0.40", EVERY + '"300ms"\noverlap = "queue"'))
    skipped = until(
        lambda: [each for each in history(site, "ask") if "budget" in (each["error"] or "")], "the end of it"
    )
    site.ctl("disable", "ask")
    assert "$1.20 of its daily $1.00" in skipped[0]["error"]
    assert {each["outcome"] for each in skipped} == {"skipped"}
    started = [fact for fact in site.facts() if fact["kind"] == "run.started"]
    assert len(started) == 3
    assert [each for each in outcomes(site, "ask") if each[1] == "success"] == [("schedule", "success")] * 3
    assert agent(site)["state"] == "spent"
    assert task(site, "ask")["blocked"].startswith("agent claude: budget")
    until(lambda: "🟡 spent" in row(site, "agent claude"), "the Dashboard's row")
    found, code = run(site, "ask")
    assert (found["outcome"], code) == ("skipped", 0)


def test_a_limit_is_waited_for_and_costs_no_attempt(site: Site, tmp_path: Path) -> None:
    text = CLAUDE + prompt("limited", f"behave: limit-once {tmp_path}/marker 3", "retry = { max = 0 }")
    text += '[tasks.other]\ncommand = ["true"]\n' + EVERY + '"250ms"\n'
    site.start(text=text + prompt("queued", "behave: json"))
    begun = time.time()
    limited = json.loads(site.ctl("run", "limited", "--no-wait").stdout)["run_id"]
    found = until(lambda: agent(site) if agent(site)["state"] == "held" else None, "the agent to be held")
    assert found is not None
    assert seconds(found["until"]) == pytest.approx(begun + 3, abs=2.5)
    assert "limit" in found["reason"]
    assert task(site, "limited")["state"] == "queued"
    assert "waits until" in task(site, "limited")["status_text"]
    until(lambda: "🟡 held" in row(site, "agent claude"), "the Dashboard's row")
    until(lambda: ended(site, "limited"), "the run to end")
    (ran,) = history(site, "limited")
    assert (ran["run_id"], ran["outcome"], ran["attempts"]) == (limited, "success", 1)
    assert seconds(ran["started_at"]) + ran["duration_seconds"] >= begun + 2
    meanwhile = [each for each in history(site, "other") if begun < seconds(each["slot"]) < begun + 3]
    assert len(meanwhile) >= 8
    assert {each["outcome"] for each in meanwhile} == {"success"}
    assert agent(site)["state"] == "ready"


def test_who_waits_for_a_run_is_told_that_it_waits(site: Site, tmp_path: Path) -> None:
    site.start(text=CLAUDE + prompt("limited", f"behave: limit-once {tmp_path}/marker 2"))
    answer = site.ctl("run", "limited")
    assert (json.loads(answer.stdout)["outcome"], answer.returncode) == ("success", 0)
    assert answer.stderr.count("aiempctl: limited waits until ") == 1
    assert "aiempctl cancel limited" in answer.stderr


def test_a_held_run_outlives_the_daemon(site: Site, tmp_path: Path) -> None:
    site.start(text=CLAUDE + prompt("limited", f"behave: limit-once {tmp_path}/marker 4"))
    site.ctl("run", "limited", "--no-wait")
    until(lambda: agent(site)["state"] == "held", "the agent to be held")
    site.kill()
    site.start()
    assert agent(site)["state"] == "held"
    assert task(site, "limited")["state"] == "queued"
    until(lambda: ended(site, "limited"), "the run to end")
    assert outcomes(site, "limited") == [("manual", "success")]


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("not-logged-in", "log in"),
        ("no-credit", "credit"),
        ("network", "network|reach|connect"),
        ("overloaded", "overloaded"),
    ],
)
def test_trouble_is_told_apart_and_a_person_hears_at_once(site: Site, behaviour: str, said: str) -> None:
    site.start(text=CLAUDE + prompt("ask", f"behave: {behaviour}") + prompt("other", "behave: json"))
    found, code = run(site, "ask")
    assert (found["outcome"], found["attempts"], code) == ("failure", 1, 1)
    assert re.search(said, found["error"], re.IGNORECASE), found["error"]
    assert agent(site)["state"] == "held"
    assert agent(site)["reason"] == found["error"]
    found, _ = run(site, "other")  # lets itself through, to see whether it works again
    assert found["outcome"] == "success"
    assert agent(site)["state"] == "ready"


def test_the_queue_is_not_burnt_while_nobody_is_logged_in(site: Site) -> None:
    tasks = "".join(prompt(f"t{number}", "behave: not-logged-in", EVERY + '"300ms"') for number in range(3))
    site.start(text=CLAUDE + tasks)
    until(lambda: agent(site)["state"] == "held", "the agent to be held")
    until(lambda: len([each for each in history(site) if each["outcome"] == "skipped"]) >= 6, "slots to pass")
    assert {each["outcome"] for each in history(site)} == {"skipped"}
    started = [fact for fact in site.facts() if fact["kind"] == "run.started"]
    assert len(started) == 1
    assert any("log in" in line for line in site.status()["supervisor"]["problems"])


def test_a_file_called_pause_stops_everything_that_would_start(site: Site) -> None:
    site.start(text=CLAUDE + prompt("ask", "behave: json", EVERY + '"200ms"'))
    until(lambda: outcomes(site, "ask"), "a run")
    (site.vault / "PAUSE.md").touch()
    time_of_pause = time.time()
    until(lambda: site.status()["supervisor"]["scheduler"] == "paused", "the pause")
    assert "PAUSE.md" in site.problems()
    until(lambda: "PAUSE.md" in row(site, "supervisor"), "the Dashboard")
    assert "PAUSE" in site.ctl("scheduler", "resume").stdout
    found, _ = run(site, "ask")
    assert found["outcome"] == "success"  # by hand it runs
    before = len(history(site, "ask"))
    until(lambda: time.time() > time_of_pause + 2, "some slots to pass")
    assert len(history(site, "ask")) == before
    (site.vault / "PAUSE.md").unlink()
    until(lambda: len(history(site, "ask")) > before + 1, "runs to go on")
    assert site.status()["supervisor"]["scheduler"] != "paused"


def test_without_claude_it_says_so_everywhere_and_goes_on(site: Site) -> None:
    text = '[tasks.other]\ncommand = ["true"]\n' + prompt("ask", "hi", EVERY + '"1h"')
    site.start(text=text, PATH=os.defpath)
    assert agent(site)["state"] == "missing"
    assert "claude" in task(site, "ask")["blocked"]
    assert "it is needed by ask" in site.problems()
    until(lambda: "🔴 missing" in row(site, "agent claude"), "the Dashboard")
    found, code = run(site, "ask")
    assert (found["outcome"], found["attempts"], code) == ("failure", 1, 1)
    assert "install" in found["error"]
    assert run(site, "other")[0]["outcome"] == "success"


def test_a_hung_one_is_timed_out_and_leaves_nobody(site: Site) -> None:
    site.start(text=CLAUDE + prompt("ask", "behave: hang", 'timeout = "1s"'))
    found, code = run(site, "ask")
    assert (found["outcome"], code) == ("timeout", 1)
    assert others(site) == []


def test_a_killed_daemons_prompt_is_interrupted_and_its_processes_end(site: Site) -> None:
    site.start(text=CLAUDE + prompt("ask", "behave: hang", "retry = { max = 0 }"))
    site.ctl("run", "ask", "--no-wait")
    until(lambda: task(site, "ask")["state"] == "running", "the run")
    claude = until(lambda: others(site), "its process")
    site.kill()
    assert alive(claude[0])
    site.start()
    until(lambda: not any(alive(pid) for pid in claude), "the end of what it left")
    assert outcomes(site, "ask") == [("manual", "interrupted")]


@pytest.mark.parametrize(("behaviour", "outcome"), [("hang-after-result", "success"), ("hang-half", "interrupted")])
def test_an_answer_outlives_a_killed_daemon(site: Site, behaviour: str, outcome: str) -> None:
    """Done again, it would be paid for twice; what has not answered in full is tried again under `retry` alone."""
    follower = '[tasks.then]\ncommand = ["true"]\nafter = ["ask"]\n'
    site.start(text=CLAUDE + prompt("ask", f"behave: {behaviour}", "retry = { max = 0 }\nmax_runs = 1") + follower)
    run_id = json.loads(site.ctl("run", "ask", "--no-wait").stdout)["run_id"]
    answer = site.vault / ".aiemp/answers" / run_id
    until(lambda: answer.exists() and b"{" in answer.read_bytes(), "what it prints")
    site.kill()
    site.start()
    found = until(lambda: ended(site, "ask"), "what became of it")[0]
    assert (found["run_id"], found["outcome"], found["attempts"]) == (run_id, outcome, 1)
    assert found["cost_usd"] == (0.0123 if outcome == "success" else None)
    assert agent(site)["cost_today_usd"] == (0.0123 if outcome == "success" else 0.0)
    assert not answer.exists()
    assert others(site) == []
    assert len(history(site, "ask")) == 1
    if outcome == "success":
        until(lambda: outcomes(site, "then") == [("after", "success")], "what follows it")
        assert not task(site, "ask")["enabled"]


def test_a_budget_is_each_days_own(site: Site) -> None:
    now = datetime.now(UTC)
    budget = CLAUDE + "daily_budget_usd = 1\n"
    site.start(text=budget + prompt("ask", "behave: cost 1.5"))
    assert run(site, "ask")[0]["outcome"] == "success"
    assert run(site, "ask")[0]["outcome"] == "skipped"
    assert site.stop() == 0
    # What was spent becomes yesterday's.
    with sqlite3.connect(site.vault / ".aiemp/aiemp.db") as connection:
        a_day = int(timedelta(days=1) / timedelta(microseconds=1))
        connection.execute("UPDATE costs SET at = at - ?", (a_day,))
    site.start()
    found = agent(site)
    assert (found["state"], found["cost_today_usd"]) == ("ready", 0.0)
    assert found["cost_month_usd"] == (1.5 if (now - timedelta(days=1)).month == now.month else 0.0)
    assert run(site, "ask")[0]["outcome"] == "success"


def test_once_leaves_a_held_run_to_the_next_cycle(site: Site, tmp_path: Path) -> None:
    site.configure(CLAUDE + prompt("ask", f"behave: limit-once {tmp_path}/marker 2", 'frequency = "daily"'))
    site.vault.mkdir()
    first = site.aiemp("run", "--once", "-c", str(site.config))
    (ran,) = json.loads(first.stdout)["runs"]
    assert (ran["outcome"], first.returncode) == (None, 1)

    def again() -> str | None:
        ran = json.loads(site.aiemp("run", "--once", "-c", str(site.config)).stdout)["runs"]
        outcome: str | None = ran[0]["outcome"] if ran else None
        return outcome

    assert until(again, "the next cycle to run it") == "success"


def test_an_agent_that_was_given_up_for_dead_is_stopped_with_the_daemon(site: Site) -> None:
    site.start(text=CLAUDE + prompt("ask", "behave: hang"))
    site.ctl("run", "ask", "--no-wait")
    until(lambda: task(site, "ask")["state"] == "running", "the run")
    assert site.daemon is not None
    site.daemon.send_signal(signal.SIGTERM)
    assert site.daemon.wait(20) == 0
    assert not list(site.ours())
