"""An MCP server as a process that is spoken to over its pipes: one message a line (transport stdio)."""

import json
import os
import selectors
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from orchestrator.mcp.deadline import Deadline
from orchestrator.mcp.protocol import ENDLESS, Message, Talk
from orchestrator.mcp.server import Server
from orchestrator.mcp.trouble import Late, Trouble
from orchestrator.processes import programs
from orchestrator.processes.children import signal_name
from orchestrator.processes.death import Death
from orchestrator.processes.printed import Tail
from orchestrator.redaction import Redactor

LINE_MAX: Final = 8 * 1024 * 1024  # bytes
STDERR_MAX: Final = 2 * 1024  # bytes
PATIENCE: Final = 2.0  # seconds after its input is closed, and again after SIGTERM, as MCP's own clients have it
OBITUARY: Final = 1.0  # seconds between the end of its output and its own
AT_ONCE: Final = 64 * 1024
LOOK: Final = 0.1  # seconds between two looks at whether it lives: its descendants may hold its pipes open


class Pipes:
    """One running server. It is in our process group, so that whoever ends that ends it too."""

    def __init__(
        self,
        server: Server,
        vault: str,
        environ: Mapping[str, str],
        deadline: Deadline,
        talk: Talk,
        redact: Redactor,
    ) -> None:
        """Start it. Raises Trouble."""
        self._deadline = deadline
        self._talk = talk
        self._process = _start(server, vault, environ)
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin is not None  # noqa: S101  all three are pipes
        assert stdout is not None  # noqa: S101
        assert stderr is not None  # noqa: S101
        self._stdin, self._stdout, self._stderr = stdin, stdout, stderr
        self._to_say = bytearray()
        self._heard = bytearray()
        self._searched = 0  # bytes of that in which no line ends
        self._said_last = Tail(STDERR_MAX, redact)
        self._selector = selectors.DefaultSelector()
        for pipe in (self._stdin, self._stdout, self._stderr):
            os.set_blocking(pipe.fileno(), False)
        for pipe in (self._stdout, self._stderr):
            self._selector.register(pipe, selectors.EVENT_READ)

    def say(self, message: Message) -> None:
        self._to_say += json.dumps(message, separators=(",", ":")).encode() + b"\n"
        self._write()

    def hear(self) -> bytes:
        while True:
            end = self._heard.find(b"\n", self._searched)
            if end >= 0:
                line = bytes(self._heard[:end])
                del self._heard[: end + 1]
                self._searched = 0
                return line
            self._searched = len(self._heard)
            if self._searched > LINE_MAX:
                raise Trouble(ENDLESS)
            if self._deadline.left() <= 0:
                raise Late
            dead = self._process.poll() is not None
            if not self._turn(0 if dead else min(LOOK, self._deadline.left())) and (dead or self._is_silent()):
                raise Trouble(self._how_it_ended())

    def last_words(self) -> str:
        """The last line of its stderr, or nothing."""
        return "".join(self._said_last.last_lines(1))

    def close(self) -> None:
        """Have it end: by the end of its input, else by signals."""
        self._close_stdin()
        if not self._ends_within(PATIENCE):
            self._process.terminate()
            if not self._ends_within(PATIENCE):
                self._process.kill()
                self._ends_within(PATIENCE)
        self._selector.close()
        for pipe in (self._stdout, self._stderr):
            pipe.close()

    # --- below ---

    def _turn(self, wait: float) -> bool:
        """Read what is there, for at most `wait` seconds; whether something was."""
        found = False
        for key, events in self._selector.select(wait):
            if events & selectors.EVENT_WRITE:
                self._write()
                continue
            with suppress(BlockingIOError):
                data = os.read(key.fd, AT_ONCE)
                if not data:
                    self._selector.unregister(key.fileobj)
                elif key.fileobj is self._stdout:
                    self._heard += data
                else:
                    self._said_last.add(data)
                found |= bool(data)
        return found

    def _is_silent(self) -> bool:
        """Whether its output has come to an end."""
        return self._stdout not in self._selector.get_map()

    def _write(self) -> None:
        """Write what it takes now. That nobody reads it any more shows elsewhere."""
        if self._stdin.closed:
            return
        try:
            del self._to_say[: os.write(self._stdin.fileno(), self._to_say)]
        except BlockingIOError:
            pass
        except OSError:
            self._to_say.clear()
        waits = self._stdin in self._selector.get_map()
        if self._to_say and not waits:
            self._selector.register(self._stdin, selectors.EVENT_WRITE)
        elif waits and not self._to_say:
            self._selector.unregister(self._stdin)

    def _close_stdin(self) -> None:
        if self._stdin in self._selector.get_map():
            self._selector.unregister(self._stdin)
        self._stdin.close()

    def _ends_within(self, seconds: float) -> bool:
        """Whether it ends by itself. What it says meanwhile is read, for otherwise it might wait for that."""
        deadline = Deadline(seconds)
        while self._process.poll() is None and deadline.left() > 0:
            self._turn(min(0.02, deadline.left()))
            self._heard.clear()
        return self._process.poll() is not None

    def _how_it_ended(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(OBITUARY)
        code = self._process.returncode
        if code is None:
            how = "it closed its output"
        else:
            death = Death(code=code) if code >= 0 else Death(signal=signal_name(-code))
            how = f"it ended ({death})"
        while self._turn(0):
            pass
        return f"{how} before it answered {self._talk.waits_for}"


def _start(server: Server, vault: str, environ: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start it in our own process group. Raises Trouble."""
    try:
        executable, argv = _find(server, vault, environ)
        return subprocess.Popen(
            argv,
            executable=executable,
            cwd=vault,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
    except programs.Unlaunchable as error:
        raise Trouble(str(error)) from error
    except OSError as error:
        raise Trouble(f"command {server.command[0]!r} cannot be started: {error.strerror}") from error
    except ValueError as error:  # a NUL, or what this locale cannot encode
        raise Trouble(f"its command or environment cannot be passed on: {error}") from error


def _find(server: Server, vault: str, environ: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Give the executable and argv. Raises Unlaunchable.

    `python` is ours only where our own configuration says it: Claude Code would take that of the PATH.
    """
    environ = programs.absolute_path(environ)  # what a relative folder names would be whatever lies in the vault
    if server.config_folder is not None:
        return programs.find(server.command, server.config_folder, vault, environ)
    name = server.command[0]
    if os.sep in name:
        return os.path.join(vault, name), server.command  # noqa: PTH118  places are strings
    found = shutil.which(name, path=environ["PATH"])
    if found is None:
        raise programs.Unlaunchable(f"command {name!r} is not on the PATH; install it or write its full path")
    return found, server.command
