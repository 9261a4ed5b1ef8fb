"""Agents through the whole daemon: what a reload changes about them, and what goes on while one of them is held."""

import json
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from harness import PATIENT, SLEEPER, Site, until
from scheduled import history, run, task

pytestmark = PATIENT

FAKE = Path(__file__).parents[1] / "agents" / "fake_claude.py"
CLAUDE = f'[agents.claude]\ncommand = ["python", "{FAKE}"]\n'


def says(name: str, text: str) -> str:
    return f'[agents.{name}]\nkind = "command"\ncommand = ["echo", {json.dumps(text)}]\n'


def prompt(name: str, agent: str, text: str = "hi") -> str:
    return f"[tasks.{name}]\nprompt = {json.dumps(text)}\nagent = {json.dumps(agent)}\n"


def reload(site: Site, text: str) -> None:
    site.configure(text)
    answer = site.ctl("reload")
    assert answer.returncode == 0, answer.stderr


def test_an_agent_is_as_the_configuration_has_it_after_a_reload(site: Site) -> None:
    site.start(text=says("mine", "one") + prompt("ask", "mine"))
    assert run(site, "ask")[0]["output"].split() == ["one", "hi"]
    reload(site, says("mine", "two") + says("other", "three") + prompt("ask", "mine") + prompt("tell", "other"))
    assert run(site, "ask")[0]["output"].split() == ["two", "hi"]
    assert run(site, "tell")[0]["output"].split() == ["three", "hi"]
    assert {each["name"] for each in site.status()["agents"]} == {"mine", "other"}


def test_a_budget_is_as_the_configuration_has_it_after_a_reload(site: Site) -> None:
    tasks = prompt("ask", "claude", "behave: cost 0.40")
    site.start(text=CLAUDE + "daily_budget_usd = 0.3\n" + tasks)
    assert [run(site, "ask")[0]["outcome"] for _ in range(2)] == ["success", "skipped"]
    reload(site, CLAUDE + "daily_budget_usd = 1\n" + tasks)
    found, _ = run(site, "ask")
    assert found["outcome"] == "success"
    words = found["details"]["argv"]
    assert float(words[words.index("--max-budget-usd") + 1]) == 0.6  # what is left of today's


def test_a_limit_that_names_no_zone_is_told_in_the_configured_one_after_a_reload_too(site: Site) -> None:
    command = site.python("limited", "print('You have hit your limit · resets 1pm')\nraise SystemExit(1)\n")
    agent = f"[agents.claude]\ncommand = {command}\n" + prompt("ask", "claude")
    for zone in ("Asia/Tokyo", "America/New_York"):
        text = f'timezone = "{zone}"\n{agent}'
        if site.daemon is None:
            site.start(text=text)
        else:
            reload(site, text)

        def named(zone: str = zone) -> bool:
            until = site.status()["agents"][0]["until"]
            local = datetime.fromisoformat(until).astimezone(ZoneInfo(zone)) if until else None
            return local is not None and (local.hour, local.minute) == (13, 0)

        site.ctl("run", "ask", "--no-wait")
        until(named, f"the end of the limit in {zone}")
        assert site.ctl("cancel", "ask").returncode == 0


def test_watchers_are_looked_after_while_an_agent_is_held(site: Site, tmp_path: Path) -> None:
    site.start(text=SLEEPER + CLAUDE + prompt("ask", "claude", f"behave: limit-once {tmp_path}/marker 4"))
    pid = site.wait_for("sleeper", "running")["pid"]
    site.ctl("run", "ask", "--no-wait")
    until(lambda: site.status()["agents"][0]["state"] == "held", "the agent to be held")
    site.ctl("signal", "KILL", "sleeper")
    site.wait_for_successor("sleeper", pid)
    assert task(site, "ask")["state"] == "queued"
    assert site.ctl("restart", "sleeper").returncode == 0
    until(lambda: history(site, "ask"), "the run to end")
    (ran,) = history(site, "ask")
    assert (ran["outcome"], ran["attempts"]) == ("success", 1)
