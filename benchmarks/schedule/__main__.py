"""python -m benchmarks.schedule: aiemp's schedule beside APScheduler 3, in one run. See benchmarks/README.md."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.environments import Program, SetupFailed, clean_environment, default_cache, prepare
from benchmarks.machine import describe
from benchmarks.progress import say
from benchmarks.table import markdown, number, plain

HERE: Final = Path(__file__).resolve().parent
SCRIPTS: Final = {"aiemp": HERE / "ours.py", "apscheduler": HERE / "theirs.py"}
TASKS: Final = 10_000
COUNTS: Final = {"beat": 60, "spread": 500, "burst": 500, "load": TASKS}
SLOTS: Final = {
    "beat": "a slot every second",
    "spread": "500 slots within a second",
    "burst": "500 slots at one instant",
}


def measure(program: Program, scenario: str, count: int) -> list[float]:
    command = [str(program.bin / "python"), str(SCRIPTS[program.name]), scenario, str(count)]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SetupFailed(f"{program.name}: {scenario} failed: {done.stderr[-500:]}")
    values: list[float] = json.loads(done.stdout)
    return values


def percentile(values: Sequence[float], part: float) -> float:
    """The nearest rank."""
    ranked = sorted(values)
    return ranked[max(0, -(-len(ranked) * int(part * 100) // 100) - 1)]


Found = dict[str, dict[str, list[list[float]]]]  # program → scenario → the values of each round


def rows(found: Found) -> list[list[str]]:
    """A line for each figure: its title, aiemp's, APScheduler's, the ratio."""

    def values(name: str, scenario: str) -> list[float]:
        return [value for round_ in found[name][scenario] for value in round_]

    def of_load(name: str, place: int) -> float:
        return median(round_[place] for round_ in found[name]["load"])

    figures: list[tuple[str, Callable[[str], float]]] = []
    for scenario, title in SLOTS.items():
        of = partial(values, scenario=scenario)
        figures += [
            (f"{title} → run's start, median, ms", lambda name, of=of: 1e3 * median(of(name))),  # type: ignore[misc]
            ("– p99, ms", lambda name, of=of: 1e3 * percentile(of(name), 0.99)),  # type: ignore[misc]
        ]
    figures += [
        (f"taking up {TASKS:,} tasks, ms", lambda name: 1e3 * of_load(name, 0)),
        ("memory for each, bytes", lambda name: of_load(name, 1)),
        (f"a look at {TASKS:,} tasks of which none is due, µs", lambda name: 1e6 * of_load(name, 2)),
    ]
    names = list(SCRIPTS)
    lines = [["", *names, "aiemp / apscheduler"]]
    for title, figure in figures:
        ours, theirs = (figure(name) for name in names)
        lines.append([title, number(ours), number(theirs), f"{number(ours / theirs)} ×"])
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.schedule", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table as Markdown")
    options = parser.parse_args()
    try:
        programs = [prepare(name, default_cache(), None) for name in SCRIPTS]
        found: Found = {name: {scenario: [] for scenario in COUNTS} for name in SCRIPTS}
        for turn in range(options.rounds):
            for scenario, count in COUNTS.items():
                for program in programs:
                    say(f"round {turn + 1} of {options.rounds}: {scenario}, {program.name}")
                    found[program.name][scenario].append(measure(program, scenario, count))
    except SetupFailed as problem:
        say(str(problem))
        return 1
    lines, machine = rows(found), describe(programs, options.rounds)
    print(f"{machine}\n\n{plain(lines)}")
    if options.markdown is not None:
        options.markdown.write_text(f"{machine}\n\n{markdown(lines)}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
