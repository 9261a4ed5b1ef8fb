"""python -m benchmarks: measure, and print one table. Run it from the project's folder."""

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from types import FrameType

from benchmarks.adapters import SUPERVISORS
from benchmarks.environments import Program, SetupFailed, build_child, default_cache, prepare
from benchmarks.machine import describe
from benchmarks.progress import say
from benchmarks.reports import TimedOut
from benchmarks.results import Results
from benchmarks.scenarios import FULL, QUICK, SCENARIOS, Scenario
from benchmarks.session import Lab, sweep
from benchmarks.table import number, report


def several(known: Sequence[str]) -> Callable[[str], list[str]]:
    """A comma-separated choice of `known`."""

    def parse(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return [name for name in known if name in names]

    return parse


def options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="aiemp beside other supervisors, in one run."
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="a smoke run of two minutes; its numbers mean nothing")
    add("--rounds", type=int, metavar="N", help=f"rounds, every program once in each (default {FULL.rounds})")
    add("--only", type=several([*SCENARIOS]), metavar="A,B", default=[*SCENARIOS], help=f"of {', '.join(SCENARIOS)}")
    add(
        "--programs",
        type=several([*SUPERVISORS]),
        metavar="A,B",
        default=[*SUPERVISORS],
        help=f"of {', '.join(SUPERVISORS)}",
    )
    add("--markdown", type=Path, metavar="FILE", help="also write the report as Markdown")
    add("--json", type=Path, metavar="FILE", help="also write every single value")
    add("--aiemp", type=Path, metavar="DIR", help="an environment that has aiemp, instead of installing this checkout")
    add(
        "--cache",
        type=Path,
        metavar="DIR",
        default=default_cache(),
        help="where the environments are kept (%(default)s)",
    )
    return parser.parse_args(arguments)


def prepare_all(names: Sequence[str], cache: Path, aiemp: Path | None) -> list[Program]:
    programs = []
    for name in names:
        try:
            programs.append(prepare(name, cache.absolute(), aiemp.absolute() if aiemp and name == "aiemp" else None))
        except SetupFailed as error:
            say(f"{name} is left out: {error}")
    return programs


def measure(lab: Lab, scenarios: Sequence[Scenario], programs: Sequence[Program], rounds: int) -> Results:
    """Every scenario in rounds, in each round every program, so that what disturbs the machine disturbs all alike."""
    results = Results()
    for scenario in scenarios:
        fit = [program for program in programs if scenario.suits(program.name)]
        for turn in range(1, rounds + 1):
            for program in list(fit):
                began = time.monotonic()
                try:
                    series = scenario.measure(lab, program)
                except (TimedOut, OSError, RuntimeError, StopIteration) as error:
                    fit.remove(program)  # it would fail, and wait in vain, in every round
                    results.failures.append(f"{scenario.name}, {program.name}: {error}")
                    say(f"{scenario.name} {turn}/{rounds} {program.name}: {error}")
                    continue
                results.add(program.name, series)
                shown = "  ".join(
                    f"{key} {number(sorted(values)[len(values) // 2])}" for key, values in series.items() if values
                )
                say(f"{scenario.name} {turn}/{rounds} {program.name} ({time.monotonic() - began:.0f} s): {shown}")
    return results


def stop_here(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    asked = options(sys.argv[1:])
    if not sys.platform.startswith("linux"):
        say("the benchmarks read /proc and use pidfds: they run on Linux only")
        return 1
    signal.signal(signal.SIGTERM, stop_here)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # for 500 pidfds here, and 500 pipes in each supervisor
    effort = QUICK if asked.quick else FULL
    effort = replace(effort, rounds=asked.rounds or effort.rounds)
    scenarios = [SCENARIOS[name](effort) for name in asked.only]
    programs = prepare_all(asked.programs, asked.cache, asked.aiemp)
    folder = Path(mkdtemp(prefix="aiemp-bench-"))
    try:
        lab = Lab(folder, build_child(folder))
        results = measure(lab, scenarios, programs, effort.rounds)
    except SetupFailed as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        sweep(folder)
        shutil.rmtree(folder, ignore_errors=True)
    rows = [row for scenario in scenarios for row in scenario.rows]
    names = [program.name for program in programs]
    machine = describe(programs, effort.rounds)
    print(report(results, rows, names, machine, as_markdown=False), end="")
    if asked.markdown:
        asked.markdown.write_text(report(results, rows, names, machine, as_markdown=True))
    if asked.json:
        asked.json.write_text(json.dumps(results.values, indent=1) + "\n")
    return 1 if results.failures or len(programs) < len(asked.programs) else os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
