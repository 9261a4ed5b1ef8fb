"""The history of runs, whole texts as far as they fit into memory."""

import sqlite3
from collections.abc import Mapping
from typing import Final

from orchestrator.schedule.runs import Run
from orchestrator.store.run_rows import RUN_COLUMNS, run_of

CUT: Final = 200  # characters that are left of an output beyond those that fit

# ruff: noqa: S608  what these are put together from are constants
_SHORT: Final = f"CASE WHEN length(output) > {CUT} THEN substr(output, 1, {CUT}) || ' …' ELSE output END"
_COLUMNS: Final = RUN_COLUMNS.removesuffix("details, output")


def history(connection: sqlite3.Connection, asked: Mapping[str, str], limit: int, outputs: int) -> list[Run]:
    """The newest `limit` runs with these values in these columns, newest first; none that was only written down.

    Their outputs and details have at most `outputs` characters in all; of the older ones only the beginning of the
    output is given.
    """
    conditions = " AND ".join(("(phase = 'finished' OR attempts > 0)", *(f"{column} = ?" for column in asked)))
    found, values, older = list[Run](), tuple(asked.values()), None
    query = f"SELECT id, {RUN_COLUMNS} FROM runs WHERE {conditions} ORDER BY id DESC LIMIT ?"
    for number, *row in connection.execute(query, (*values, limit)):
        outputs -= len(row[-1]) + len(row[-2] or "")
        if outputs < 0:
            older = number
            break
        found.append(run_of(row))
    if older is not None:
        query = f"SELECT {_COLUMNS} NULL, {_SHORT} FROM runs WHERE {conditions} AND id <= ? ORDER BY id DESC LIMIT ?"
        found += map(run_of, connection.execute(query, (*values, older, limit - len(found))))
    return found
