"""What both programs have in common: `PROGRAM [-c FILE] VERB …` to an exit code, and every error as one message.

A verb's module is imported only when its verb is asked for; that keeps `aiempctl status` fast.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from importlib import import_module

from orchestrator import __version__
from orchestrator.errors import ConfigInvalid, UserError
from orchestrator.exits import Exit
from orchestrator.readable import visible

TYPE_CHECKING = False  # type checkers take this name for true; importing typing for it would cost some 3 ms
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    class Arguments(Protocol):
        """What a verb declares its arguments on: argparse's parser, or the completion's recorder."""

        def add_argument(self, *name_or_flags: str, **kwargs: Any) -> object: ...

    Declare = Callable[[Arguments], None]
    Perform = Callable[[Namespace], int]
    Verbs = dict[str, tuple[str, str]]  # verb: (the module that has it in its VERBS, one line of help)

# A verb that declares an argument of this name with a default gets what stands after `--` untouched, in `after_dashes`:
# argparse would look for options in it, and does different things with the dashes from one Python to the next.
COMMAND = "command"
INTERRUPTED = 128 + 2  # as a shell reports SIGINT
BROKEN_PIPE = 128 + 13  # as a shell reports SIGPIPE


class Program:
    """`aiemp` or `aiempctl`: a name, verbs, and the options that may stand before a verb."""

    def __init__(self, name: str, about: str, verbs: Verbs) -> None:
        self.name = name
        self.about = about
        self.verbs = verbs

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Do what `argv` says and return the exit code."""
        _complete_standard_streams()
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a name in a locale without its letters is no crash
        try:
            code = self._perform(argv)
            sys.stdout.flush()
        except ConfigInvalid as problem:
            code = self._complain(problem.exit_code, [visible(line) for line in problem.problems])
        except UserError as problem:
            first, *rest = str(problem).splitlines() or [""]
            code = self._complain(problem.exit_code, [f"{self.name}: {visible(first)}", *map(visible, rest)])
        except KeyboardInterrupt:
            code = INTERRUPTED
        except BrokenPipeError:
            _discard_output()
            code = BROKEN_PIPE
        except OSError as problem:
            _discard_output()
            code = self._complain(Exit.FAILED, [f"{self.name}: {visible(problem)}"])
        except SystemExit as end:  # argparse: --help, --version, wrong usage
            code = end.code if isinstance(end.code, int) else Exit.OK
        try:
            sys.stderr.flush()
        except OSError:
            _discard_output(2)
        return int(code)

    def _perform(self, argv: Sequence[str] | None) -> int:
        words = sys.argv[1:] if argv is None else list(argv)
        if words and words[0] in self.verbs:
            verb, words = words[0], words[1:]
        else:
            verb, words = self._early(words)
        declare, perform = load(self.verbs, verb)
        parser = argparse.ArgumentParser(
            prog=f"{self.name} {verb}",
            description=self.verbs[verb][1].capitalize() + ".",
            formatter_class=_help_formatter,
            allow_abbrev=False,
        )
        declare(parser)
        command = parser.get_default(COMMAND)
        if command is not None and "--" in words:
            at = words.index("--")
            words, command = words[:at], words[at + 1 :]
        args = parser.parse_args(words)
        args.after_dashes = command
        args.verb = verb
        args.usage_error = parser.error
        return perform(args)

    def _early(self, words: list[str]) -> tuple[str, list[str]]:
        """The verb and its words, to which the options that stood before the verb now belong."""
        top = argparse.ArgumentParser(
            prog=self.name,
            usage=f"{self.name} [-c FILE] VERB ...",
            description=self.about,
            epilog=self._overview(),
            formatter_class=_help_formatter,
            allow_abbrev=False,
        )
        top.add_argument("-c", dest="config", metavar="FILE", help="the configuration; may stand after the verb too")
        top.add_argument("--vault", metavar="DIR", help="the vault; may stand after the verb too")
        top.add_argument("--version", action="version", version=f"{self.name} {__version__}")
        top.add_argument("verb", nargs="?", metavar="VERB", help=argparse.SUPPRESS)
        top.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
        found = top.parse_args(words)
        if found.verb is None:
            top.error(f"which verb? `{self.name} --help` lists them")
        if found.verb not in self.verbs:
            top.error(f"there is no verb {visible(found.verb)!r}{self._nearest(found.verb)}")
        early = [] if found.config is None else ["-c", found.config]
        early += [] if found.vault is None else ["--vault", found.vault]
        return found.verb, [*early, *found.rest]

    def _overview(self) -> str:
        shown = {verb: text for verb, (_, text) in self.verbs.items() if not verb.startswith("_")}
        width = max(map(len, shown))
        lines = [f"  {verb.ljust(width)}  {text}" for verb, text in shown.items()]
        return "\n".join(["verbs:", *lines, "", f"`{self.name} VERB --help` says what a verb takes."])

    def _nearest(self, wrong: str) -> str:
        from difflib import get_close_matches  # noqa: PLC0415  only for a mistyped verb

        near = get_close_matches(wrong, [verb for verb in self.verbs if not verb.startswith("_")], n=1)
        return f"; did you mean {near[0]!r}?" if near else ""

    def _complain(self, code: Exit, lines: list[str]) -> Exit:
        try:
            print("\n".join(lines), file=sys.stderr, flush=True)
            sys.stdout.flush()
        except OSError:
            _discard_output()
        return code


def _help_formatter(prog: str) -> argparse.HelpFormatter:
    """Argparse makes one for every argument; without a width each would ask shutil, whose import takes 2.5 ms."""
    return argparse.RawDescriptionHelpFormatter(prog, width=_help_width())


def _help_width() -> int:
    try:
        return min(100, int(os.environ.get("COLUMNS") or os.get_terminal_size(1).columns)) or 80
    except (OSError, ValueError):
        return 80


def load(verbs: Verbs, verb: str) -> tuple[Declare, Perform]:
    """A verb's two halves: what declares its arguments, and what does it."""
    halves: tuple[Declare, Perform] = import_module(verbs[verb][0]).VERBS[verb]
    return halves


def _complete_standard_streams() -> None:
    """Put /dev/null where a standard stream was closed (`>&-`).

    Python has None there, which cannot be flushed and which print() takes for stdout; and the next file or socket that
    is opened would get the number of the closed one.
    """
    if sys.stdin is not None and sys.stdout is not None and sys.stderr is not None:
        return
    while (nowhere := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(nowhere, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  for the whole life


def _discard_output(descriptor: int = 1) -> None:
    """Let what is still buffered go nowhere, or Python would fail over it once more at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
