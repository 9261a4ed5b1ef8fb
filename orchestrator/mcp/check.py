"""The process that one MCP server is checked in: the server as JSON on stdin, what was found as the last line printed.

It leads a process group, and whatever it starts is in that too.
"""

import json
import os
import signal
import sys
from contextlib import ExitStack
from typing import Final

from orchestrator.mcp.deadline import Deadline, now
from orchestrator.mcp.finding import State, line
from orchestrator.mcp.link import Link, have
from orchestrator.mcp.pipes import Pipes
from orchestrator.mcp.protocol import Era, Talk
from orchestrator.mcp.server import Server, Transport, from_json
from orchestrator.mcp.trouble import Late, Trouble
from orchestrator.reach import CLIENT, GET_CLIENT
from orchestrator.readable import visible
from orchestrator.redaction import Redactor

TO_STOP: Final = 6.5  # seconds beyond the server's timeout, at most: then this process ends, whatever holds it up
ERROR_MAX: Final = 500  # characters
NO_CLIENT: Final = f"MCP over HTTP takes a client that is not installed: {GET_CLIENT}"
# Programs that may have to download the server first.
FETCHERS: Final = frozenset(
    {"npx", "npm", "pnpm", "yarn", "bunx", "bun", "deno", "uvx", "uv", "pipx", "docker", "podman"}
)


def main() -> None:
    call = json.load(sys.stdin.buffer)
    check = Check(from_json(call["server"]), call["vault"])
    _end_at_last(check)
    _print(check.outcome())


class Check:
    """One check of one server."""

    def __init__(self, server: Server, vault: str) -> None:
        self.server = server
        self._vault = vault
        self._environ = _environ(server, vault)
        self._redact = Redactor({**self._environ, **_secrets(server)})
        self._deadline = Deadline(server.timeout)
        self._talk = Talk()

    def outcome(self) -> bytes:
        """Check it, and give what is to be printed of that."""
        try:
            self._have_talk()
            if self._talk.wants_modern:  # the first message settles which way one talks, so begin anew
                self._talk = Talk(Era.MODERN)
                self._have_talk()
        except Trouble as trouble:
            return self._said(trouble.state, str(trouble))
        if self._talk.error is not None:
            return self._said(State.FAILED, self._talk.error)
        return self._said(State.OK)

    def out_of_time(self) -> bytes:
        """Give what is to be printed when it is not to go on."""
        return self._said(State.TIMEOUT, self._no_answer())

    def _have_talk(self) -> None:
        """Have one talk with the server, and let it go. Raises Trouble."""
        with ExitStack() as at_end:
            words = ""
            try:
                link = self._link()
                at_end.callback(link.close)
                try:
                    have(self._talk, link, now)
                finally:
                    words = link.last_words()
            except Trouble as trouble:
                if not self._talk.wants_modern:
                    why = self._no_answer() if isinstance(trouble, Late) else str(trouble)
                    raise Trouble(": ".join(filter(None, [why, words])), trouble.state) from None

    def _link(self) -> Link:
        """Raises Trouble."""
        if self.server.transport is Transport.STDIO:
            return Pipes(self.server, self._vault, self._environ, self._deadline, self._talk, self._redact)
        try:
            from orchestrator.mcp.remote import Remote  # noqa: PLC0415  what it needs may not be there
        except ModuleNotFoundError as error:
            if error.name != CLIENT:
                raise
            raise Trouble(NO_CLIENT) from None
        return Remote(self.server, self._deadline, self._talk, self._redact)

    def _no_answer(self) -> str:
        to = f" to {self._talk.waits_for}" if self._talk.waits_for else ""
        why = f"no answer{to} within {self.server.timeout:g} s"
        name = os.path.basename(self.server.command[0]) if self.server.command else ""  # noqa: PTH119
        if name in FETCHERS and self._talk.spoken is None:
            why += f"; {name} may have been downloading it still: start it once by hand, or give it more time"
        return why

    def _said(self, state: State, error: str | None = None) -> bytes:
        talk, ok = self._talk, state is State.OK
        return line(
            state,
            version=None if talk.version is None else visible(talk.version),
            tools=talk.tools if ok else None,
            latency_ms=None if talk.latency is None else round(talk.latency * 1000, 1),
            error=None if error is None else visible(" ".join(self._redact(error).split()))[:ERROR_MAX],
        )


def _environ(server: Server, vault: str) -> dict[str, str]:
    """What the server finds: as from Claude Code, and what says whose it is, so that it can be found and ended."""
    ours = {name: value for name, value in os.environ.items() if name.startswith("AIEMP_")}
    return {**os.environ, "CLAUDE_PROJECT_DIR": vault, **dict(server.env), **ours}


def _secrets(server: Server) -> dict[str, str]:
    """What is never to be told: headers, and the URL, which may have a key in it. Named as the Redactor has it."""
    words = [word for _, value in server.headers for word in (value, value.rpartition(" ")[2])]
    return {f"SECRET {number}": word for number, word in enumerate([*words, server.url])}


def _end_at_last(check: Check) -> None:
    """See to it that this process ends, even where nobody is left who would end it."""

    def end(*_: object) -> None:
        _print(check.out_of_time())
        os._exit(0)

    signal.signal(signal.SIGALRM, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.setitimer(signal.ITIMER_REAL, min(check.server.timeout + TO_STOP, 1e8))  # no more than the kernel takes


def _print(told: bytes) -> None:
    os.write(1, told)


if __name__ == "__main__":
    main()
