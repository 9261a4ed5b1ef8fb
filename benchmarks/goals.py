"""What aiemp is measured against: absolute limits, and limits relative to a supervisor in the same run."""

from dataclasses import dataclass

from benchmarks.results import Results
from benchmarks.scenarios import Row

AIEMP = "aiemp"


@dataclass(frozen=True, slots=True)
class Goal:
    row: str  # Row.key
    limit: float  # the worst that is good enough; relative to `peer` if there is one
    peer: str | None = None


GOALS = [
    Goal("respawn.median", 1.5),
    Goal("flooded.median", 5),
    Goal("boot.500.median", 500),
    Goal("stop.500.median", 120),
    Goal("status.median", 45),
    Goal("restart.median", 50),
    Goal("rss.median", 24.7),
    Goal("rss.each.median", 13),
    Goal("idle.wakeups.median", 0.3),
    Goal("idle.cpu.median", 15),
    Goal("capture.median", 1000),
    Goal("capture.lost.worst", 0),
    Goal("rotated.lost.worst", 0),
    Goal("rotated.split.worst", 0),
    *(Goal(f"{kind}.{size}.median", 0.5, "supervisord") for kind in ("boot", "start") for size in (100, 500)),
    *(
        Goal(f"{kind}.{size}.median", 1, "supervisord")
        for kind in ("stop", "stop.said", "shutdown")
        for size in (100, 500)
    ),
    Goal("status.median", 0.5, "supervisord"),
    Goal("rss.median", 1.15, "supervisord"),
    Goal("capture.median", 0.8, "supervisord"),
]


def judge(results: Results, rows: list[Row]) -> list[tuple[bool, str]]:
    """Each goal that was measured: whether it is met, and in words."""
    by_key = {row.key: row for row in rows}
    verdicts = []
    for goal in GOALS:
        row = by_key.get(goal.row)
        if row is None:
            continue
        found = results.ratio(row, AIEMP, goal.peer) if goal.peer else results.number(AIEMP, row)
        if found is None:
            continue
        met = found >= goal.limit if row.more_is_better else found <= goal.limit
        unit = f"× {goal.peer}" if goal.peer else row.unit
        sign = "≥" if row.more_is_better else "≤"
        verdicts.append((met, f"{row.title.strip('– ')}: {found:.3g} {unit} (goal {sign} {goal.limit:g})"))
    return verdicts
