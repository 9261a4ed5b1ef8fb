"""Tasks added at run time: one file each, `.aiemp/tasks.d/NAME.toml`, which may be edited by hand.

Each holds a table [tasks.NAME] and is checked like supervisor.toml. All functions block, except `parse`.
"""
# Paths are strings, as in places.py:
# ruff: noqa: PTH108, PTH118, PTH119, PTH120

import errno
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from typing import Any, Final

from orchestrator import files
from orchestrator.config import schema, tasks
from orchestrator.config.check import Problem, check
from orchestrator.config.find import LARGEST
from orchestrator.config.load import lines
from orchestrator.config.model import Config, TaskConfig
from orchestrator.config.syntax import parse as parse_toml
from orchestrator.config.values import WrongValue, task_name
from orchestrator.config.wording import dotted, printable, problem, quoted
from orchestrator.errors import ConfigInvalid, UserError
from orchestrator.places import private_folder

FOLDER: Final = "tasks.d"

_SUFFIX: Final = ".toml"
_FILE: Final = schema.Table({"tasks": schema.TASKS})
_HEADING: Final = """\
# A task that was added by `aiempctl add` or through orchestrator.client. It may be edited here: the keys are those of
# [tasks.NAME] in supervisor.toml, `aiempctl reload` has them take effect, `aiempctl remove` takes this file away.
"""

After = Mapping[str, Sequence[str]]  # task → the tasks that it fires after


@dataclass(frozen=True, slots=True)
class Added:
    """What lies in the folder. Of what is `broken` a name is known, its file's, and a line that says what is wrong."""

    tasks: list[TaskConfig] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    folder: str | None = None  # why the folder itself can't be read; then nobody knows what there is

    @property
    def problems(self) -> list[str]:
        """A line about each thing that is wrong."""
        return [*([] if self.folder is None else [self.folder]), *self.broken.values()]


def path_of(state: str, name: str) -> str:
    """Where the task lies; `state` is the vault's `.aiemp`."""
    return os.path.join(state, FOLDER, f"{name}{_SUFFIX}")


def write(state: str, name: str, settings: Mapping[str, object], config: Config, others: After) -> TaskConfig:
    """Add a task, or put another in place of an added one, and give it as it will be read.

    `settings` have the form of a [tasks.NAME] table; `others` are the other added tasks. Raises ConfigInvalid with
    lines `tasks.NAME.KEY: what is wrong; what is allowed` when the settings make no task, UserError when it can't be
    written; then nothing has changed.
    """
    path = path_of(state, name)
    key = dotted(("tasks", name))
    try:
        task_name(name)
    except WrongValue as wrong:
        raise ConfigInvalid((f"{key}: {wrong}",)) from None
    if name in config.tasks:
        raise ConfigInvalid((f"{key}: is a task of {printable(str(config.file))} already; choose another name",))
    data = _as_toml(name, settings)
    if len(data) > LARGEST:
        raise ConfigInvalid((f"{key}: would be larger than 1 MiB; what is long belongs into a file of its own",))
    document = parse_toml(path, data.decode())  # what will be read, not what was given
    try:
        found, problems = _check({name: document}, config, _and_the_broken(state, others))
        if problems[name]:
            raise ConfigInvalid(tuple(f"{dotted(each.path)}: {each.text}" for each in problems[name]))
        private_folder(os.path.join(state, FOLDER))
        files.replace(path, data, mode=0o600, keep=False)
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror or error}; mend that and add it again") from error
    return found[name]


def remove(state: str, name: str, others: After) -> None:
    """Take an added task away; `others` are the other added tasks.

    Raises UserError, also when one of those fires after it and would be left broken.
    """
    path = path_of(state, name)
    try:
        after_it = sorted(other for other, after in others.items() if name in after and other != name)
        if after_it:
            listed = ", ".join(after_it)
            raise UserError(f"{listed} would fire after {name} no more; remove that first, or change its `after`")
        os.unlink(path)
        files.sync_folder(os.path.dirname(path))
    except FileNotFoundError:
        raise UserError(f"there is no added task {name}: {path} does not exist; see `aiempctl tasks`") from None
    except OSError as error:
        raise UserError(f"{path} can't be removed: {error.strerror or error}; mend that and try again") from error


def settings(state: str, name: str) -> dict[str, Any]:
    """The task's table as it is written, dates and times as text. Raises ConfigInvalid when it can't be read."""
    path = path_of(state, name)
    table = _tables(parse_toml(path, _text(path))).get(name)
    return {key: _plain(value) for key, value in table.items()} if isinstance(table, dict) else {}


def parse(file: str, text: str, config: Config, others: After) -> TaskConfig:
    """The task in the `text` of a file; `others` are the other added tasks.

    Raises ConfigInvalid with a line `FILE:LINE: KEY: what is wrong; what is allowed` for each problem.
    """
    name = os.path.basename(file).removesuffix(_SUFFIX)
    found, problems = _check({name: parse_toml(file, text)}, config, others)
    if problems[name]:
        raise ConfigInvalid(lines(file, text, problems[name]))
    return found[name]


def load_all(state: str, config: Config) -> Added:
    """All added tasks, by name. Never raises for what lies there."""
    try:
        names = _names(state)
    except OSError as error:
        folder = os.path.join(state, FOLDER)
        why = f"can't be read ({error.strerror}); make it a folder of yours again"
        return Added(folder=problem(folder, 1, "folder", why))
    texts, documents, broken = dict[str, str](), dict[str, dict[str, Any]](), dict[str, str]()
    for name in names:
        path = path_of(state, name)
        try:
            texts[name] = _text(path)
            document = parse_toml(path, texts[name])
        except ConfigInvalid as invalid:
            broken[name] = _first(invalid.problems)
            continue
        if name in config.tasks:
            broken[name] = _configured_too(path, name, config)
        else:
            documents[name] = document
    # What is broken can be referred to all the same: one mistake must not spread.
    found, problems = _check(documents, config, dict.fromkeys(broken, ()))
    for name, wrong in problems.items():
        if wrong:
            broken[name] = _first(lines(path_of(state, name), texts[name], wrong))
    good = [task for name, task in found.items() if name not in broken]
    return Added(good, dict(sorted(broken.items())))


def _check(
    documents: Mapping[str, Mapping[str, Any]], config: Config, others: After
) -> tuple[dict[str, TaskConfig], dict[str, list[Problem]]]:
    """The tasks in these documents, and what is wrong in each, by the names that their files give them."""
    problems = dict[str, list[Problem]]()
    said, written = dict[str, Mapping[str, Any]](), dict[str, object]()
    for name, document in documents.items():
        given, problems[name] = check(_FILE, document)
        tables = _tables(document)
        if name in given.get("tasks", {}):
            said[name], written[name] = given["tasks"][name], tables[name]
        elif name not in tables:
            problems[name].append(Problem(("tasks", name), "is missing; the table has the name of its file"))
        for other in tables:
            if other != name:
                text = f"is another task; a file has one, which has its name: {quoted(name)}"
                problems[name].append(Problem(("tasks", other), text))
    configured: After = {name: task.after for name, task in config.tasks.items()}
    elsewhere = {**configured, **{name: after for name, after in others.items() if name not in documents}}
    around = tasks.Around(config.file.parent, config.agents, config.scheduler.handler_packages, elsewhere)
    found, wrong = tasks.read(said, written, around)
    for each in wrong:
        problems[str(each.path[1])].append(each)
    return {name: replace(task, added=True) for name, task in found.items()}, problems


def _configured_too(path: str, name: str, config: Config) -> str:
    text = f"is a task of {printable(str(config.file))} too, which counts; rename this one and its file"
    return problem(path, 1, dotted(("tasks", name)), text)


def _names(state: str) -> list[str]:
    """The names of the files that are there. Raises OSError, but not when there is no folder."""
    with suppress(FileNotFoundError), os.scandir(os.path.join(state, FOLDER)) as entries:
        return sorted(
            entry.name.removesuffix(_SUFFIX)
            for entry in entries
            if entry.name.endswith(_SUFFIX) and not entry.name.startswith(".")
        )
    return []


def _and_the_broken(state: str, others: After) -> After:
    """What is broken can be referred to all the same: one mistake must not spread. Raises OSError."""
    return dict.fromkeys(_names(state), ()) | dict(others)


def _text(path: str) -> str:
    """The text of a file. Raises ConfigInvalid."""
    try:
        data, _ = files.read(path, limit=LARGEST)
    except FileNotFoundError:
        why = "does not exist; see `aiempctl tasks`"
    except (OSError, ValueError) as error:
        known = {
            errno.ELOOP: "is a symbolic link; put the file itself there",
            errno.EINVAL: "is no regular file; remove it, or put one there",
            errno.EFBIG: "is larger than 1 MiB; is it the right file?",
        }
        number = error.errno if isinstance(error, OSError) else None
        why = known.get(number or 0, f"cannot be read ({os.strerror(number) if number else error}); mend or remove it")
    else:
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            why = "is not UTF-8; save it as UTF-8, which TOML demands"
    raise ConfigInvalid((problem(path, 1, "file", why),))


def _tables(document: Mapping[str, Any]) -> Mapping[str, Any]:
    found = document.get("tasks")
    return found if isinstance(found, dict) else {}


def _first(problems: Sequence[str]) -> str:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{problems[0]}{more}"


def _as_toml(name: str, settings: Mapping[str, object]) -> bytes:
    """The file's content. Raises ConfigInvalid, naming the key, for what TOML can't hold."""
    wrong = [str(key) for key, value in settings.items() if not _can_hold(key, value)]
    if wrong:
        text = "can't be written as TOML; text, numbers, true, false, dates, lists and tables can"
        raise ConfigInvalid(tuple(f"{dotted(('tasks', name, key))}: {text}" for key in wrong))
    import tomli_w  # noqa: PLC0415  only when one is added

    document = {"tasks": {name: settings}}
    text = tomli_w.dumps(document)
    if "\\r" not in text:  # a long prompt is best read in lines of its own; but that form knows one kind of line end
        text = tomli_w.dumps(document, multiline_strings=True)
    return f"{_HEADING}\n{text}".encode()


def _can_hold(key: Any, value: object) -> bool:
    import tomli_w  # noqa: PLC0415  as above

    try:
        tomli_w.dumps({key: value}).encode()
    except (TypeError, ValueError, AttributeError, RecursionError):
        return False
    return True


def _plain(value: object) -> object:
    match value:
        case datetime() | date() | time():
            return value.isoformat()
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list():
            return [_plain(item) for item in value]
        case _:
            return value
