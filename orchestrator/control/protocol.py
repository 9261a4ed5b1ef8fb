"""The control socket's language: JSON-RPC 2.0, one object a line, in UTF-8. Pure: bytes in, values out, and back.

Server and client share it. Only json is imported, because `aiempctl status` has 45 ms for everything.
Source: https://www.jsonrpc.org/specification. Parameters are named (an object), batches are not spoken.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False  # type checkers take this name for true; importing typing for it would cost some 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Never

MAX_LINE = 1024 * 1024  # bytes of one request, its newline included; more is refused
MAX_ANSWER = 64 * 1024 * 1024  # bytes of one line that a client accepts: a status of many watchers, a long tail

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
UNKNOWN_NAME = -32001  # data: {"unknown": [...], "known": [...]}; exit 2
CONFIG_INVALID = -32002  # data: {"problems": [lines]}; exit 78
FAILED = -32003  # exit 1
SHUTTING_DOWN = -32004  # exit 1
INVALID_TASK = -32005  # data: {"problems": [lines]}; exit 2


class RpcError(Exception):
    """An error as JSON-RPC knows it. `message` is a sentence for a person; `data` is None or a JSON value."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


def encode(message: dict[str, Any]) -> bytes:
    """One line, newline included. Everything beyond ASCII is escaped, so no string can break the line."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def request(ident: int, method: str, params: dict[str, Any]) -> bytes:
    return encode({"jsonrpc": "2.0", "id": ident, "method": method, "params": params})


def notification(method: str, params: dict[str, Any]) -> bytes:
    return encode({"jsonrpc": "2.0", "method": method, "params": params})


def result(ident: str | int | None, value: Any) -> bytes:
    return encode({"jsonrpc": "2.0", "id": ident, "result": value})


def error(ident: str | int | None, problem: RpcError) -> bytes:
    """The answer to a request that failed; `ident` is None when the request's own could not be read."""
    body: dict[str, Any] = {"code": problem.code, "message": problem.message}
    if problem.data is not None:
        body["data"] = problem.data
    return encode({"jsonrpc": "2.0", "id": ident, "error": body})


def decode(line: bytes) -> dict[str, Any]:
    """The JSON object in `line`.

    Raises RpcError: PARSE_ERROR for what is not JSON, INVALID_REQUEST for JSON that is not one JSON-RPC 2.0 object.
    """
    try:
        message = json.loads(line.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError):  # wrong UTF-8, endless digits and bottomless nesting too
        raise RpcError(PARSE_ERROR, "this line is not JSON") from None
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, 'a message is one JSON object with "jsonrpc": "2.0"')
    return message


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")  # Python's reader takes NaN and Infinity unless told otherwise


def ident_of(message: dict[str, Any]) -> str | int | None:
    """The request's id, None when it has no usable one."""
    ident = message.get("id")
    return ident if isinstance(ident, (str, int)) and not isinstance(ident, bool) else None


def called(message: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The method that a request names, and its parameters: checked, and complete with their defaults.

    Raises RpcError: INVALID_REQUEST, METHOD_NOT_FOUND or INVALID_PARAMS.
    """
    method = message.get("method")
    if not isinstance(method, str):
        raise RpcError(INVALID_REQUEST, 'a request names its "method", a string')
    if message.get("id") is not None and ident_of(message) is None:
        raise RpcError(INVALID_REQUEST, '"id" is a string or a whole number')
    known = METHODS.get(method)
    if known is None:
        raise RpcError(METHOD_NOT_FOUND, f"there is no method {method!r}; there are {', '.join(METHODS)}")
    return method, _checked(method, known, message.get("params", {}))


def _checked(method: str, known: dict[str, Parameter], params: Any) -> dict[str, Any]:
    if not isinstance(params, dict):
        raise RpcError(INVALID_PARAMS, f'"params" of {method} is an object of named parameters')
    for name in params:
        if name not in known:
            listed = f"it takes {', '.join(known)}" if known else "it takes none"
            raise RpcError(INVALID_PARAMS, f"{method} has no parameter {name!r}; {listed}")
    complete = {}
    for name, (what, fits, default) in known.items():
        value = params.get(name, default)
        if value is REQUIRED or not fits(value):
            raise RpcError(INVALID_PARAMS, f"parameter {name!r} of {method} is {what}")
        complete[name] = value
    return complete


MAX_NAMES = 1000  # in one request: each glob is compiled
MAX_NAME = 256  # characters


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and 0 < len(value) <= MAX_NAMES and all(_is_name(item) for item in value)


def _is_name_or_null(value: Any) -> bool:
    return value is None or _is_name(value)


def _is_names_or_null(value: Any) -> bool:
    return value is None or _is_names(value)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1_000_000


def _is_seconds(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 365 * 86_400


if TYPE_CHECKING:
    Parameter = tuple[str, Callable[[Any], bool], Any]  # what it is in words, the test for that, its default

REQUIRED = object()  # the default of a parameter that has none

OUTCOMES = ("success", "failure", "timeout", "cancelled", "interrupted", "skipped", "missed")
ACTIONS_ON_THE_SCHEDULER = ("pause", "resume")

_NAMES: Parameter = ("a list of 1 to 1000 names or globs of at most 256 characters", _is_names, REQUIRED)
_NAMES_OR_NULL: Parameter = (_NAMES[0] + ", or null", _is_names_or_null, None)
_SECONDS: Parameter = ("a number of seconds, or null", lambda value: value is None or _is_seconds(value), None)
_ACT: dict[str, Parameter] = {"names": _NAMES, "timeout": _SECONDS}
_TASK: Parameter = ("a task's name", _is_name, REQUIRED)
_YES: Parameter = ("true or false", _is_bool, True)
_NO: Parameter = ("true or false", _is_bool, False)

METHODS: dict[str, dict[str, Parameter]] = {
    "status": {"names": _NAMES_OR_NULL},
    "start": _ACT,
    "stop": _ACT,
    "restart": _ACT,
    "resume": _ACT,
    "signal": {"signal": ("a signal's name", _is_name, REQUIRED), "names": _NAMES},
    "tail": {
        "name": ("a watcher's name", _is_name, REQUIRED),
        "lines": ("a number of lines, 0 to 1000000", _is_count, 10),
    },
    "reload": {"plan": _NO},
    "tasks": {"names": _NAMES_OR_NULL, "due": _NO},
    "task_get": {"name": _TASK},
    "run": {"task": _TASK, "dry_run": _NO, "wait": _YES},
    "cancel": {"target": ("a run's id or a task's name", _is_name, REQUIRED)},
    "enable": {"names": _NAMES},
    "disable": {"names": _NAMES},
    "add": {
        "name": _TASK,
        "settings": ("an object with the keys of a task's table", lambda value: isinstance(value, dict), REQUIRED),
        "replace": _NO,
    },
    "remove": {"names": _NAMES},
    "history": {
        "task": (_TASK[0] + ", or null", _is_name_or_null, None),
        "limit": ("a number of runs, 0 to 1000000", _is_count, 20),
        "outcome": (f"one of {', '.join(OUTCOMES)}, or null", lambda value: value in (None, *OUTCOMES), None),
    },
    "stats": {},
    "scheduler": {
        "action": (" or ".join(ACTIONS_ON_THE_SCHEDULER), lambda value: value in ACTIONS_ON_THE_SCHEDULER, REQUIRED)
    },
    "events": {
        "limit": ("a number of events, 0 to 1000000", _is_count, 50),
        "follow": _NO,
    },
    "shutdown": {},
}
