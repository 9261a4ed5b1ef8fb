"""Runs through the two programs: what they are told, how they end, what sets them off and keeps them apart."""

import json

from harness import Site, until
from scheduled import NOTE, history, outcomes, run, task

# --- a run ---


def test_a_run_that_ignores_term_is_ended_by_its_timeout_with_all_it_started(site: Site) -> None:
    script = "trap '' TERM; (trap '' TERM; echo $$ > group; exec sleep 1000) & wait"
    site.start(text=f'[tasks.stuck]\ntimeout = "500ms"\ncommand = ["sh", "-c", {json.dumps(script)}]\n')
    found, code = run(site, "stuck")
    assert (found["outcome"], found["attempts"], code) == ("timeout", 1, 1)
    assert "0.5 s" in found["error"]
    assert list(site.ours()) == []


def test_what_a_run_prints_and_how_it_ends_is_told(site: Site) -> None:
    site.start(
        text='[tasks.good]\ncommand = ["sh", "-c", "echo the output; echo a note >&2"]\n'
        '[tasks.bad]\nretry = { max = 0 }\ncommand = ["sh", "-c", "echo partly; echo what went wrong >&2; exit 3"]\n'
        '[tasks.none]\nretry = { max = 0 }\ncommand = ["no-such-program"]\n'
        '[tasks.skip]\nonly_if_any = ["Needs_Action/**/*.md"]\ncommand = ["true"]\n'
    )
    good, code = run(site, "good")
    assert (good["outcome"], good["output"].strip(), good["error"], code) == ("success", "the output", None, 0)
    assert good.keys() == {
        "run_id", "task", "slot", "started_at", "duration_seconds", "outcome", "attempts", "trigger", "output", "error",
        "cost_usd",
        "details",
    }  # fmt: skip
    assert (good["task"], good["attempts"], good["trigger"]) == ("good", 1, "manual")
    assert good["slot"].endswith("Z")
    bad, code = run(site, "bad")
    assert (bad["outcome"], bad["output"].strip(), code) == ("failure", "partly", 1)
    assert "exit code 3" in bad["error"]
    assert "what went wrong" in bad["error"]
    none, code = run(site, "none")
    assert "'no-such-program' is not on the PATH" in none["error"]
    skipped, code = run(site, "skip")
    assert (skipped["outcome"], code) == ("skipped", 0)
    (site.vault / "Needs_Action/deep").mkdir(parents=True)
    (site.vault / "Needs_Action/deep/x.md").touch()
    assert run(site, "skip")[0]["outcome"] == "success"
    lines = [json.loads(line) for line in (site.vault / "Logs/task_execution.jsonl").read_text().splitlines()]
    assert [(line["task_id"], line["status"]) for line in lines] == [
        ("good", "success"), ("bad", "failure"), ("none", "failure"), ("skip", "skipped"), ("skip", "success"),
    ]  # fmt: skip
    assert lines[0].keys() == {
        "timestamp", "task_id", "run_id", "slot", "status", "duration_ms", "attempts", "output", "error", "cost_usd",
    }  # fmt: skip
    assert [each["task"] for each in history(site, "--outcome", "failure")] == ["none", "bad"]
    stats = {each["task"]: each for each in json.loads(site.ctl("stats", "--json").stdout)}
    assert stats["good"].keys() == {
        *("task", "runs", "success_rate", "p50_seconds", "p95_seconds"),
        *("cost_usd", "cost_today_usd", "cost_month_usd"),
    }
    assert (stats["good"]["runs"], stats["good"]["success_rate"], stats["bad"]["success_rate"]) == (1, 1, 0)


def test_a_failing_run_is_retried_under_its_policy(site: Site) -> None:
    site.start(
        text='[tasks.third]\nretry = { max = 3, initial = "50ms" }\n'
        'command = ["sh", "-c", "echo x >> tries; [ $(wc -l < tries) -ge 3 ]"]\n'
    )
    found, code = run(site, "third")
    assert (found["outcome"], found["attempts"], code) == ("success", 3, 0)


def test_a_run_knows_where_it_is(site: Site) -> None:
    site.start(
        text='dry_run = true\n[tasks.t]\ncommand = ["sh", "-c", "pwd; env; readlink /proc/self/fd/0; umask"]\n',
        WATCHDOG_USEC="1",
    )
    found = run(site, "t")[0]
    directory, *others = found["output"].splitlines()
    environ = dict(line.split("=", 1) for line in others if "=" in line)
    assert directory == str(site.vault)
    assert environ["AIEMP_TASK"] == "t"
    assert environ["AIEMP_RUN"] == found["run_id"]
    assert environ["AIEMP_VAULT"] == str(site.vault)
    assert environ["AIEMP_STATE_DIR"] == str(site.vault / ".aiemp")
    assert environ["DRY_RUN"] == "true"
    assert not {"AIEMP_WATCHER", "WATCHDOG_USEC"} & environ.keys()
    assert "/dev/null" in others


def test_one_run_can_be_a_dry_one(site: Site) -> None:
    site.start(text='[tasks.t]\ncommand = ["sh", "-c", "echo $DRY_RUN"]\n')
    assert run(site, "t")[0]["output"].strip() == "false"
    assert run(site, "t", "--dry-run")[0]["output"].strip() == "true"


def test_handlers_run_in_a_process_of_their_own(site: Site) -> None:
    folder = site.folder / "handlers"
    folder.mkdir()
    (folder / "daily.py").write_text(
        "import os\n"
        "def run(context):\n"
        "    print('printed')\n"
        "    return {'status': 'success', 'output': {'task': context['task_id'], 'pid': os.getpid(), **context}}\n"
        "async def later(context):\n"
        "    return {'status': 'failure', 'error': f\"attempt {context['attempt']} in {context['vault']}\"}\n"
        "def broken(context):\n"
        "    raise ValueError('no good')\n"
    )
    site.start(
        text="".join(
            f'[tasks.{name}]\nretry = {{ max = 0 }}\nhandler = "handlers.daily:{name}"\n'
            for name in ("run", "later", "broken", "missing")
        )
    )
    found, code = run(site, "run")
    told = json.loads(found["output"])
    assert (found["outcome"], code, told["task"], told["run_id"]) == ("success", 0, "run", found["run_id"])
    assert told["pid"] != site.status()["supervisor"]["pid"]
    assert (told["attempt"], told["vault"], told["dry_run"]) == (1, str(site.vault), False)
    assert told["scheduled_time"].endswith("Z")
    assert run(site, "later")[0]["error"] == f"attempt 1 in {site.vault}"
    assert "ValueError: no good" in run(site, "broken")[0]["error"]
    assert "missing" in run(site, "missing")[0]["error"]


# --- what sets runs off, and keeps them apart ---


def test_a_changed_file_sets_a_run_off_once_it_is_quiet(site: Site) -> None:
    (site.vault / "Needs_Action").mkdir(parents=True)
    site.start(text=f'[tasks.t]\non_change = ["Needs_Action/*.md"]\ndebounce = "200ms"\ncommand = {NOTE}\n')
    (site.vault / "Needs_Action/no.txt").write_text("x")
    for number in range(5):
        (site.vault / f"Needs_Action/{number}.md").write_text("x")
    until(lambda: outcomes(site, "t") == [("change", "success")], "the run")
    (site.vault / "Needs_Action/1.md").unlink()  # no change that counts
    (site.vault / "Needs_Action/2.md").write_text("y")
    until(lambda: outcomes(site, "t") == [("change", "success")] * 2, "the second run")


def test_a_chain_goes_on_after_success_only(site: Site) -> None:
    site.start(
        text='[tasks.a]\nretry = { max = 0 }\ncommand = ["test", "-e", "there"]\n'
        f'[tasks.b]\nafter = ["a"]\ncommand = {NOTE}\n[tasks.c]\nafter = ["b"]\ncommand = {NOTE}\n'
    )
    assert run(site, "a")[1] == 1
    (site.vault / "there").touch()
    assert run(site, "a")[1] == 0
    until(lambda: outcomes(site, "c") == [("after", "success")], "the end of the chain")
    assert outcomes(site, "b") == [("after", "success")]


def test_a_lane_and_the_limit_hold_runs_back_and_overlap_is_decided(site: Site) -> None:
    slow = '["sleep", "1000"]\nretry = { max = 0 }'
    site.start(
        text="[scheduler]\nmax_concurrent = 2\n"
        f'[tasks.one]\nlane = "l"\ncommand = {slow}\n[tasks.two]\nlane = "l"\ncommand = {slow}\n'
        f"[tasks.three]\ncommand = {slow}\n[tasks.four]\ncommand = {slow}\n"
    )
    for name in ("one", "two", "three", "four"):
        assert site.ctl("run", name, "--no-wait").returncode == 0
    until(lambda: {name: task(site, name)["state"] for name in ("one", "two", "three", "four")}
          == {"one": "running", "two": "queued", "three": "running", "four": "queued"}, "two to run")  # fmt: skip
    assert site.status()["supervisor"]["scheduler"] == "running"
    skipped, code = run(site, "one")
    assert (skipped["outcome"], code) == ("skipped", 0)
    assert site.ctl("cancel", "one").returncode == 0
    until(lambda: task(site, "two")["state"] == "running", "the lane's next")
    assert outcomes(site, "one") == [("manual", "cancelled"), ("manual", "skipped")]
    four = json.loads(site.ctl("tasks", "four", "--json").stdout)[0]
    assert four["state"] == "queued"
    assert site.stop() == 0
    site.start()  # what only waited still waits; what ran was interrupted
    until(lambda: task(site, "four")["state"] == "running", "the one that waited")
    assert outcomes(site, "two")[0] == ("manual", "interrupted")
