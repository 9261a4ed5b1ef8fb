"""The supervisors that are compared, one module each."""

from benchmarks.adapters.aiemp import Aiemp
from benchmarks.adapters.bare import Bare
from benchmarks.adapters.base import Supervisor, Watcher
from benchmarks.adapters.circus import Circus
from benchmarks.adapters.supervisord import Supervisord

SUPERVISORS: dict[str, type[Supervisor]] = {
    "aiemp": Aiemp,
    "supervisord": Supervisord,
    "circus": Circus,
    "bare": Bare,
}

__all__ = ["SUPERVISORS", "Supervisor", "Watcher"]
