"""MCP servers through the whole daemon: what their checks find stands in status, on the Dashboard and in doctor."""

import json
import re
import sys
from pathlib import Path
from typing import Any

from harness import PATIENT, Site, until

pytestmark = PATIENT

PLAYED = str(Path(__file__).parents[1] / "processes" / "mcp_servers.py")


def declare(site: Site, *behaviours: str) -> None:
    servers = {each: {"command": sys.executable, "args": [PLAYED, each]} for each in behaviours}
    (site.vault / ".mcp.json").write_text(json.dumps({"mcpServers": servers}))


def known(site: Site) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in site.status()["mcp"]}


def state(site: Site, name: str) -> str | None:
    found: str | None = known(site).get(name, {}).get("state")
    return found


def row(site: Site, name: str) -> str:
    return next((line for line in site.dashboard().splitlines() if line.startswith(f"| MCP {name} |")), "")


def left(site: Site) -> list[int]:
    return [pid for pid in site.ours() if site.daemon is None or pid != site.daemon.pid]


def test_what_is_found_of_servers_is_told_everywhere(site: Site) -> None:
    site.vault.mkdir()
    declare(site, "good", "dies")
    command = json.dumps(["python", PLAYED, "good"])
    site.start(text=f"[mcp.ours]\ncommand = {command}\n")
    until(lambda: {state(site, name) for name in ("good", "ours")} == {"ok"}, "the checks of those that are well")
    until(lambda: state(site, "dies") == "failed", "the check of the one that is not")
    found = known(site)
    for name in ("good", "ours"):
        assert (found[name]["version"], found[name]["tools"], found[name]["error"]) == ("1.2.3", 2, None)
        assert found[name]["latency_ms"] > 0
    assert found["dies"]["error"]
    until(lambda: "2 tools" in row(site, "good") and "failed" in row(site, "dies"), "the Dashboard's rows")
    assert re.search(r"ok .* version 1.2.3 · 2 tools · \d+ ms", row(site, "ours"))
    text = site.ctl("status").stdout
    assert re.search(r"^good +ok +1\.2\.3 +2 +\d+ ms", text, re.MULTILINE)
    assert re.search(r"^dies +failed", text, re.MULTILINE)
    until(lambda: not left(site), "the end of all that the checks have started")
    doctor = json.loads(site.aiemp("doctor", "--json", "-c", str(site.config)).stdout)
    levels = {each["check"]: (each["level"], each["message"]) for each in doctor}
    for name in ("good", "ours"):
        assert levels[f"mcp {name}"][0] == "ok"
        assert levels[f"mcp {name}"][1].startswith("it works (1.2.3, 2 tools, ")
    assert levels["mcp dies"][0] == "warning"


def test_a_changed_file_is_heard_of_and_what_is_gone_is_told_no_more(site: Site) -> None:
    site.vault.mkdir()
    site.start(text="")
    assert site.status()["mcp"] == []
    declare(site, "good")
    site.ctl("reload")  # else it is noticed within half a minute
    until(lambda: state(site, "good") == "ok", "the new server's check")
    until(lambda: row(site, "good"), "the Dashboard's row")
    declare(site)
    site.ctl("reload")
    until(lambda: known(site) == {}, "the server to be gone")
    until(lambda: not row(site, "good"), "the Dashboard without it")
