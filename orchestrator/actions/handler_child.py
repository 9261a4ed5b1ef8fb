"""The process that a handler runs in: calls it once and hands back what came of it, whatever it prints or raises.

It imports little, for every run of a handler pays for it.
"""

import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Mapping
from contextlib import ExitStack, suppress
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from types import TracebackType
from typing import Any, Final

from orchestrator.processes.printed import cut
from orchestrator.redaction import Redactor

LINGER: Final = 5.0  # seconds that the process may go on for after the handler has returned
ERROR_MAX: Final = 2000  # characters
SHOWN_MAX: Final = 200  # characters of a value that is shown in a sentence
STATUSES: Final = ("success", "failure")

afterwards: Final = ExitStack()  # what may take as long as it likes, once the answer is there
redact: Final = Redactor(os.environ)  # before anything is cut: half a secret would not be known again


class Wrong(Exception):
    """The handler is not what a handler has to be; the message says how."""


def main() -> None:
    channel = os.dup(0)  # not inherited by what the handler may start
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    call = json.loads(os.pread(channel, os.fstat(channel).st_size, 0))
    answer = json.dumps(_attempt(**call), ensure_ascii=False).encode(errors="replace")
    os.ftruncate(channel, 0)
    os.pwrite(channel, answer, 0)
    _end_soon()
    afterwards.close()


def _end_soon() -> None:
    """See to it that the process ends, whatever threads the handler has left running: it is killed otherwise.

    By the kernel, which needs neither a thread of ours nor the interpreter's lock.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.setitimer(signal.ITIMER_REAL, LINGER)


def _attempt(module: str, function: str, folder: str | None, context: dict[str, Any]) -> dict[str, Any]:
    try:
        return _meant(_call(_find(module, function, folder), context))
    except Wrong as error:
        return _failed(str(error))
    except SystemExit as error:
        return _failed(f"it called sys.exit({_shown(error.code)}) instead of returning a result")
    except BaseException as error:  # noqa: BLE001  a boundary: whatever it raises is a failed attempt
        _print_traceback(error)
        return _failed(_in_words(error, _home(module)))


def _find(module: str, function: str, folder: str | None) -> Any:
    if folder is not None:
        _put_on_path(module.partition(".")[0], folder)
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # something that the handler itself wants to import
        where = "is not installed" if folder is None else f"does not exist in {folder}"
        raise Wrong(f"the module {error.name} {where}; correct `handler` or put it there") from None
    called = getattr(found, function, None)
    if called is None:
        raise Wrong(f"the module {module} has no function {function}; correct `handler` or write it")
    if not callable(called):
        raise Wrong(f"{module}:{function} is no function, but {_shown(called)}")
    return called


def _put_on_path(package: str, folder: str) -> None:
    """Have `package` be the one in `folder`, even where one of the same name is installed and this has no __init__."""
    sys.path.insert(0, folder)
    spec = PathFinder.find_spec(package, [folder])
    if spec is None:
        raise Wrong(f"there is no {package}/ in {folder}, where `handler` is looked for")
    made = module_from_spec(spec)
    sys.modules[package] = made
    if spec.loader is not None:
        spec.loader.exec_module(made)


def _call(function: Any, context: dict[str, Any]) -> Any:
    returned = function(context)
    if not isinstance(returned, Awaitable):
        return returned
    import asyncio  # noqa: PLC0415  only for those who need it

    async def finish(awaited: Awaitable[Any]) -> Any:
        return await awaited

    # Not run(), which waits for whatever the handler has left in the loop's threads.
    return afterwards.enter_context(asyncio.Runner()).run(finish(returned))


def _meant(returned: Any) -> dict[str, Any]:
    """Check what a handler returned, and say it as the daemon reads it."""
    if not isinstance(returned, Mapping):
        raise Wrong(f'a handler returns a dict with "status", "output", "error"; this one returned {_shown(returned)}')
    status, output, error = (returned.get(key) for key in ("status", "output", "error"))
    if status not in STATUSES:
        raise Wrong(f'the "status" that a handler returns is "success" or "failure"; this one\'s is {_shown(status)}')
    if status == "failure" and not error:
        error = "the handler returned a failure without an error"
    return _answer(
        status,
        None if output is None else cut(redact(_text(output, "output"))),
        None if error is None else _text(error, "error"),
    )


def _text(value: Any, key: str) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise Wrong(f'the "{key}" that the handler returned cannot be written as JSON: {error}') from None


def _failed(why: str) -> dict[str, Any]:
    return _answer("failure", None, why)


def _answer(outcome: str, output: str | None, error: str | None) -> dict[str, Any]:
    return {"outcome": outcome, "output": output, "error": None if error is None else redact(error)[:ERROR_MAX]}


def _shown(value: Any) -> str:
    text = redact(repr(value))
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"


def _in_words(error: BaseException, home: str | None) -> str:
    """`ValueError: text (file.py:12)`, where the line is the last one of the handler's own, if one was reached."""
    text = " ⏎ ".join(line.strip() for line in _message(error).splitlines() if line.strip())
    words = f"{type(error).__name__}: {text}" if text else type(error).__name__
    frames = traceback.extract_tb(_without_ours(error.__traceback__))
    own = [frame for frame in frames if home is not None and frame.filename.startswith(home)]
    if isinstance(error, SyntaxError) or not frames:
        return words  # that one names the place itself
    frame = (own or frames)[-1]
    return f"{words} ({os.path.basename(frame.filename)}:{frame.lineno})"  # noqa: PTH119  pathlib takes time to import


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  a boundary: its __str__ is the handler's too
        return ""


def _home(module: str) -> str | None:
    """Find the folder of the handler's package, or its file, if the import came that far."""
    package = sys.modules.get(module.partition(".")[0])
    folders = list(getattr(package, "__path__", []))
    return os.path.join(folders[0], "") if folders else getattr(package, "__file__", None)  # noqa: PTH118


def _print_traceback(error: BaseException) -> None:
    """Print it to stdout, among what the handler printed: that is what is kept."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or replaced by the handler
            stream.flush()
    lines = traceback.format_exception(type(error), error, _without_ours(error.__traceback__))
    left = "".join(lines).encode(errors="replace")
    while left:
        left = left[os.write(1, left) :]


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the frames before the handler's own: this file's, the import system's and the event loop's."""
    loop = getattr(sys.modules.get("asyncio"), "__file__", None) or "?"
    ours = (__file__, "<frozen importlib", os.path.dirname(importlib.__file__), os.path.dirname(loop))  # noqa: PTH120
    at = trace
    while at is not None and at.tb_frame.f_code.co_filename.startswith(ours):
        at = at.tb_next
    return at or trace


if __name__ == "__main__":
    main()
