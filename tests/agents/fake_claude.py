"""Plays Claude Code's command line, lies included: `python fake_claude.py [its flags] -- PROMPT`.

The prompt's first line says what to play, `behave: NAME [ARGUMENT...]`; anything else is answered with success. The
flags are checked as version 2.1.331 checks them, and the answers look like that version's, or like what reports of
older ones show.
"""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

VERSION = "2.1.331"
MODES = ("acceptEdits", "auto", "bypassPermissions", "manual", "dontAsk", "plan")
FORMATS = ("text", "json", "stream-json")
SWITCHES = {"-p", "--print", "--verbose", "--no-session-persistence", "--strict-mcp-config", "--bare"}
WITH_VALUE = {
    "--output-format": "format",
    "--permission-mode": "mode",
    "--max-turns": "turns",
    "--max-budget-usd": "amount",
    "--model": "model",
    "--session-id": "uuid",
    "--settings": "file-or-json",
    "--append-system-prompt": "prompt",
}
WITH_VALUES = {"--allowedTools", "--allowed-tools", "--disallowedTools", "--tools", "--mcp-config", "--add-dir"}
EXPIRED = "Failed to authenticate: OAuth session expired and could not be refreshed"
NO_CONNECTION = "API Error: Connection refused — a firewall or proxy may be blocking it (ECONNREFUSED)"
OVERLOADED = (
    "API Error: 529 Overloaded. This is a server-side issue, usually temporary — try again in a moment. "
    "If it persists, check https://status.claude.com"
)


def refuse(text: str) -> NoReturn:
    print(text, file=sys.stderr)
    sys.exit(1)


class Call:
    """The flags, and the prompt."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.flags: dict[str, Any] = {}
        words = self._read(list(argv))
        self._check()
        # It waits for the end of its stdin, as versions did that hang while that is an open pipe.
        more = sys.stdin.buffer.read().decode(errors="surrogateescape")
        self.prompt = "\n".join([*words[:1], *([more] if more else [])])
        if not self.prompt:
            refuse("Error: Input must be provided either through stdin or as a prompt argument when using --print")
        if not self.prompt.strip():
            refuse("Error: Input contained only whitespace. Provide a prompt.")

    def _read(self, left: list[str]) -> list[str]:
        words = list[str]()
        while left:
            word = left.pop(0)
            if word == "--":
                return words + left
            name, equals, value = word.partition("=")
            if name in SWITCHES:
                self.flags[name] = True
            elif name in WITH_VALUE:
                if not equals and not left:
                    refuse(f"error: option '{name} <{WITH_VALUE[name]}>' argument missing")
                self.flags[name] = value if equals else left.pop(0)
            elif name in WITH_VALUES:
                values = self.flags.setdefault(name.replace("allowed-tools", "allowedTools"), [])
                if equals:
                    values.append(value)
                while not equals and left and not left[0].startswith("-"):  # a prompt would be swallowed too
                    values.append(left.pop(0))
            elif word.startswith("-"):
                refuse(f"error: unknown option '{word}'")
            else:
                words.append(word)
        return words

    def _check(self) -> None:
        for name, allowed in (("--permission-mode", MODES), ("--output-format", FORMATS)):
            said = self.flags.get(name, allowed[0])
            if said not in allowed:
                refuse(
                    f"error: option '{name} <{WITH_VALUE[name]}>' argument '{said}' is invalid. "
                    f"Allowed choices are {', '.join(allowed)}."
                )
        budget = self.flags.get("--max-budget-usd", "1")
        if not float(budget) > 0:
            refuse(
                f"error: option '--max-budget-usd <amount>' argument '{budget}' is invalid. "
                "--max-budget-usd must be a number greater than 0"
            )
        if self.flags.get("--output-format") == "stream-json" and "--verbose" not in self.flags:
            refuse("Error: When using --print, --output-format=stream-json requires --verbose")

    @property
    def form(self) -> str:
        form: str = self.flags.get("--output-format", "text")
        return "array" if form == "json" and "--verbose" in self.flags else form


# --- what it prints ---


def answer(text: str | None = "Done.", **more: Any) -> dict[str, Any]:
    """A result, its keys in that version's order; None: a failure that has `errors` in place of a result."""
    made: dict[str, Any] = {
        "duration_api_ms": 62,
        "stop_reason": "end_turn",
        "session_id": "fb5aeb1f-2092-4ac9-9cc4-5419361aaff7",
        "total_cost_usd": 0.0123,
        "usage": {
            "input_tokens": 20,
            "cache_creation_input_tokens": 7,
            "cache_read_input_tokens": 1000,
            "output_tokens": 40,
            "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0},
            "service_tier": "standard",
        },
        "modelUsage": {"claude-sonnet-5-5": {"inputTokens": 20, "outputTokens": 40, "costUSD": 0.0123}},
        "permission_denials": [],
        "terminal_reason": "completed",
        "is_error": False,
        "num_turns": 2,
        "subtype": "success",
        "api_error_status": None,
        "result": text,
        "type": "result",
        "duration_ms": 284,
        "uuid": str(uuid.uuid4()),
    }
    if text is None:
        del made["result"]
    return made | more


def trouble(text: str, status: int | None = None, **more: Any) -> dict[str, Any]:
    """What goes wrong with the API comes as a success with `is_error`."""
    told = {"is_error": True, "stop_reason": "stop_sequence", "terminal_reason": "api_error", "total_cost_usd": 0}
    return answer(text, **told | {"api_error_status": status, "num_turns": 1} | more)


def gave_up(subtype: str, error: str, **more: Any) -> dict[str, Any]:
    return answer(None, subtype=subtype, is_error=True, errors=[error], **more)


def events(result: dict[str, Any], *between: dict[str, Any]) -> list[dict[str, Any]]:
    session = result["session_id"]
    start = {"type": "system", "subtype": "init", "cwd": str(Path.cwd()), "session_id": session, "tools": ["Read"]}
    text = result.get("result") or "…"
    message = {"role": "assistant", "model": "claude-sonnet-5-5", "content": [{"type": "text", "text": text}]}
    return [start, {"type": "assistant", "message": message, "session_id": session}, *between, result]


def printed(form: str, result: dict[str, Any], *between: dict[str, Any]) -> str:
    match form:
        case "json":
            return json.dumps(result, ensure_ascii=False) + "\n"
        case "pretty":
            return json.dumps(result, indent=2) + "\n"
        case "array":
            return json.dumps(events(result, *between), ensure_ascii=False) + "\n"
        case "stream-json":
            return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in events(result, *between))
        case _:
            return result.get("result") or f"Error: {' '.join(result['errors'])}"


def say(text: str, fd: int = 1) -> None:
    left = text.encode(errors="surrogateescape")
    while left:
        left = left[os.write(fd, left) :]


def rate_limit(resets: int) -> dict[str, Any]:
    info = {"status": "rejected", "resetsAt": resets, "rateLimitType": "five_hour", "utilization": 1.0}
    return {"type": "rate_limit_event", "rate_limit_info": info, "uuid": str(uuid.uuid4())}


# --- what it plays: steps, one after the other ---

Step = Callable[[Call, list[str]], None]
PARTS: dict[str, tuple[int, tuple[Step, ...]]] = {}  # with the exit code


def plays(name: str, *steps: Step, code: int = 0) -> None:
    PARTS[name] = code, steps


def gives(make: Callable[[], dict[str, Any]], form: str | None = None) -> Step:
    def step(call: Call, _: list[str]) -> None:
        say(printed(form or call.form, make()))

    return step


def prints(text: str | bytes, fd: int = 1) -> Step:
    def step(_: Call, __: list[str]) -> None:
        os.write(fd, text.encode() if isinstance(text, str) else text)

    return step


def hang(_: Call, __: list[str]) -> None:
    while True:
        time.sleep(1000)


def wait(_: Call, words: list[str]) -> None:
    time.sleep(float(words[0]))


def ignore_term(_: Call, __: list[str]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def die(_: Call, words: list[str]) -> None:
    number = signal.Signals[words[0]]
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def leaves_behind(*, session: bool) -> Step:
    """Start what lives on and ignores SIGTERM, as servers and shells in the background may."""

    def step(_: Call, __: list[str]) -> None:
        code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(1000)"
        argv = [sys.executable, "-S", "-c", code]
        child = subprocess.Popen(
            argv, start_new_session=session, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        assert child.stdout is not None
        child.stdout.readline()
        child.stdout.close()
        child.returncode = 0  # nobody waits for it

    return step


def chatter(_: Call, __: list[str]) -> None:
    while True:
        say('{"type": "system", "subtype": "status"}\n')
        time.sleep(0.02)


def print_endlessly(_: Call, __: list[str]) -> None:
    while True:
        say('{"type": "assistant", "message": "' + "z" * 1_000_000 + '"}\n')


def print_slowly(_: Call, __: list[str]) -> None:
    """Enough for a reader at once, and far too much while that reads."""
    say(json.dumps(answer()) + "\n" + "z" * 400_000)
    time.sleep(2.0)
    print_endlessly(_, __)


def print_much(call: Call, _: list[str]) -> None:
    say(printed(call.form, answer("x" * 9_000_000 + "END"), *steps_between(10_000)))


def print_half(call: Call, _: list[str]) -> None:
    say(printed(call.form, answer("It is done."))[:-20])


def print_what_a_pipe_holds(call: Call, _: list[str]) -> None:
    say(printed(call.form, answer("x" * 300_000))[:65_536])


def hit_limit(call: Call, words: list[str]) -> None:
    say(printed(call.form, trouble(f"Claude AI usage limit reached|{in_seconds(words)}", 429)))


def tell_limit(_: Call, words: list[str]) -> None:
    failed = trouble("You've hit your 5-hour limit", 429, api_error="usage_limit_reached")
    say(printed("array", failed, rate_limit(in_seconds(words))))


def hit_limit_after_much(_: Call, words: list[str]) -> None:
    resets = in_seconds(words)
    failed = trouble(f"Claude AI usage limit reached|{resets}", 429)
    say(printed("stream-json", failed, *steps_between(500), rate_limit(resets)))


def hit_limit_once(call: Call, words: list[str]) -> None:
    """`limit-once MARKER SECONDS`: a limit the first time, success once it is over; too early is a limit again."""
    marker, now = Path(words[0]), time.time()
    if not marker.exists():
        marker.write_text(str(int(now) + 1 + int(words[1])))
    until = int(marker.read_text())
    if now >= until:
        say(printed(call.form, answer("The limit is over.")))
        return
    failed = trouble(f"Claude AI usage limit reached|{until}", 429, api_error="usage_limit_reached")
    say(printed("array", failed, rate_limit(until)))
    sys.exit(1)


def cost(call: Call, words: list[str]) -> None:
    say(printed(call.form, answer(f"That was {words[0]} dollars.", total_cost_usd=float(words[0]))))


def tell_secret(call: Call, words: list[str]) -> None:
    """`secret NAME`: tell what that variable holds, everywhere."""
    value = os.environ[words[0]]
    say(f"its key is {value}\n", fd=2)
    denied = [{"tool_name": "Bash", "tool_use_id": "toolu_1", "tool_input": {"command": f"curl -H {value}"}}]
    say(printed(call.form, answer(f"My key is {value}.", permission_denials=denied)))


def echo(call: Call, _: list[str]) -> None:
    say(printed(call.form, answer(call.prompt)))


def save(call: Call, words: list[str]) -> None:
    """`save FILE`: put there what it was given: flags, prompt, environment, directory."""
    told = {"flags": call.flags, "prompt": call.prompt, "environ": dict(os.environ), "directory": str(Path.cwd())}
    ids = {"pid": os.getpid(), "group": os.getpgrp(), "session": os.getsid(0)}
    Path(words[0]).write_text(json.dumps(told | ids))


def steps_between(count: int) -> list[dict[str, Any]]:
    return [{"type": "user", "message": {"role": "user", "content": "y" * 1000}} for _ in range(count)]


def in_seconds(words: list[str]) -> int:
    """An hour from now, or as many seconds as the part is played with."""
    return int(time.time()) + (int(words[0]) if words else 3600)


def denials() -> dict[str, Any]:
    denied = [("Write", {"file_path": "new.md", "content": "x"}), ("Bash", {"command": "make"})]
    listed = [{"tool_name": tool, "tool_use_id": "toolu_1", "tool_input": said} for tool, said in denied]
    return answer("I could not write it.", permission_denials=listed)


well = gives(answer)
done = gives(lambda: answer("It is done."))
for each in ("json", "pretty", "array", "stream-json"):
    plays(each, gives(answer, each))
plays(
    "notices",
    prints("A new version is available: run `claude update`\n{not JSON}\n\n"),
    gives(lambda: answer("After the notices.")),
    prints("Debugger attached.\n", fd=2),
)
plays("empty-result", gives(lambda: answer("")))
plays("denials", gives(denials))
plays("huge", print_much)
plays("truncated", print_what_a_pipe_holds)
plays("endless", print_endlessly)
plays("slow-endless", print_slowly)
plays("garbage", prints(b"\xff\xfe{[ not JSON \x00 at all ]}\n\x1b[31mTypeError\x1b[0m: undefined\n"))
plays("garbage-1", prints("Execution error"), code=1)
plays("nothing")
plays("nothing-1", prints("npm error: it fell over\n", fd=2), code=1)

plays("exit-1-after-success", well, code=1)
plays("exit-0-with-error", gives(lambda: trouble("API Error: Rate limit reached", 429)))
plays("exit-0-with-failure", gives(lambda: trouble("Prompt is too long", 400, terminal_reason="prompt_too_long")))
plays("during-execution", gives(lambda: gave_up("error_during_execution", "[ede_diagnostic] the tool was aborted")))
for name, make in {
    "max-turns": lambda: gave_up("error_max_turns", "Reached maximum number of turns (2)"),
    "max-budget": lambda: gave_up("error_max_budget_usd", "Reached maximum budget ($0.5)"),
    "model-unknown": lambda: trouble("There's an issue with the selected model (claude-nope).", 404),
    "limit-weekly": lambda: trouble("You've hit your weekly limit · resets 1am (UTC)", 429),
    "not-logged-in": lambda: trouble("Not logged in · Please run /login"),
    "login-expired": lambda: trouble(EXPIRED, 401),
    "no-credit": lambda: trouble("Credit balance is too low", 400),
    "network": lambda: trouble(NO_CONNECTION, api_error="connection_failed"),
    "overloaded": lambda: trouble(OVERLOADED, 529),
}.items():
    plays(name, gives(make), code=1)
plays("limit-text", prints("You've hit your limit · resets 1pm (Europe/Lisbon)\n"), code=1)
plays("limit-epoch", hit_limit, code=1)
plays("limit-event", tell_limit, code=1)
plays("limit-after-much", hit_limit_after_much, code=1)
plays("limit-once", hit_limit_once)

plays("hang", hang)
plays("hang-half", print_half, hang)
plays("hang-after-result", done, hang)
plays("chatter-after-result", gives(lambda: answer("It is done."), "stream-json"), chatter)
plays("ignores-term", ignore_term, hang)
plays("ignores-term-after-result", ignore_term, done, hang)
plays("child-in-group", leaves_behind(session=False), done)
plays("child-in-session", leaves_behind(session=True), done)
plays("children-hold-it", leaves_behind(session=False), leaves_behind(session=True), done, hang)
plays("result-save-hang", done, save, hang)
plays("much-save-hang", print_much, save, hang)
plays("stray-save-hang", leaves_behind(session=True), save, hang)
plays("dies", die)
plays("dies-after-result", done, die)

plays("cost", cost)
plays("slow", wait, well)
plays("secret", tell_secret)
plays("save", save, well)
plays("echo", echo)


def main(argv: list[str]) -> int:
    if argv in (["--version"], ["-v"]):
        print(f"{VERSION} (Claude Code)")
        return 0
    if argv[:2] == ["auth", "status"]:
        logged_in = os.environ.get("FAKE_CLAUDE_LOGGED_IN", "yes") == "yes"
        print(json.dumps({"loggedIn": logged_in, "authMethod": "claude.ai" if logged_in else "none"}, indent=2))
        return 0 if logged_in else 1
    if os.environ.get("CLAUDECODE"):
        refuse(
            "Error: Claude Code cannot be launched inside another Claude Code session.\n"
            "Nested sessions share runtime resources and will crash all active sessions.\n"
            "To bypass this check, unset the CLAUDECODE environment variable."
        )
    call = Call(argv)
    first, _, _ = call.prompt.partition("\n")
    name, *words = first.removeprefix("behave:").split() if first.startswith("behave:") else ["echo"]
    if name not in PARTS:
        refuse(f"fake claude has no part {name!r}; it knows {', '.join(sorted(PARTS))}")
    code, steps = PARTS[name]
    for step in steps:
        step(call, words)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
