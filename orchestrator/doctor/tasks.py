"""Is there what the enabled tasks need: their handlers, their commands, the texts of their prompts?"""

from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from orchestrator.actions.chores import prompts
from orchestrator.config.model import BuiltinPrompt, Command, Handler, TaskConfig
from orchestrator.doctor.commands import Missing, locate, surroundings
from orchestrator.doctor.finding import Finding, ok, problem
from orchestrator.doctor.patient import Patient
from orchestrator.errors import UserError
from orchestrator.processes import programs


def look(patient: Patient) -> Iterator[Finding]:
    """One finding for every task that lacks something, else a single one that says that none does."""
    found = [finding for task in patient.tasks if (finding := _task(task, patient)) is not None]
    if patient.tasks and not found:
        yield ok("tasks", f"there is what the {len(patient.tasks)} enabled tasks need, apart from their agents")
    yield from found


def _task(task: TaskConfig, patient: Patient) -> Finding | None:
    check, give_up = f"task {task.name}", f"or: aiempctl disable {task.name}"
    match task.action:
        case Handler(module, _, folder) if not _importable(module, folder):
            where = "is not installed" if folder is None else f"does not exist in {folder}"
            do = "install it where aiemp is installed" if folder is None else "put it there"
            return problem(check, f"its handler's module {module} {where}", f"{do}; {give_up}")
        case Command(argv):
            environ = programs.inherited(surroundings(patient))
            try:
                locate(argv, patient, patient.places.vault, environ)
            except Missing as missing:
                remedy = missing.remedy or "install it, or correct `command`"
                return problem(check, str(missing), f"{remedy}; {give_up}")
            return None
        case BuiltinPrompt(name):
            return _prompt(check, name, patient, give_up)
        case _:
            return None


def _importable(module: str, folder: Path | None) -> bool:
    """Whether the module is there; nothing of it is executed."""
    found, places = "", None if folder is None else [str(folder)]
    for part in module.split("."):
        found = f"{found}.{part}" if found else part
        spec = PathFinder.find_spec(found, places)
        if spec is None:
            return False
        try:
            places = list(spec.submodule_search_locations or [])
        except KeyError:  # a package without __init__.py in another: only an import tells what is in it
            return True
    return True


def _prompt(check: str, name: str, patient: Patient, give_up: str) -> Finding | None:
    try:
        prompts.text_of(Path(patient.places.vault), name)
    except UserError as error:
        message, _, remedy = str(error).partition("; ")
        again = f"aiemp init {patient.folder} --vault {patient.vault} (it overwrites nothing)"
        return problem(check, f"the text of its prompt can't be used: {message}", f"{remedy}: {again}; {give_up}")
    return None
