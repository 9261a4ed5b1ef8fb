"""PURE. A finished run as a line of Logs/task_execution.jsonl."""

import json
from datetime import datetime
from typing import Final

from orchestrator.schedule.runs import Run, precise

LIMIT: Final = 4096  # bytes of a text; all that is kept of it stands in the history

# JSON allows them unescaped, but many a reader takes them for the end of a line.
_LINE_ENDS: Final = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029)}


def line(run: Run, ended_at: datetime) -> bytes:
    """`run`, which ended at `ended_at`, as JSON in UTF-8: one line, whatever is in its texts, with its newline."""
    entry = {
        "timestamp": precise(ended_at),
        "task_id": run.task,
        "run_id": run.run_id,
        "slot": precise(run.slot),
        "status": None if run.outcome is None else run.outcome.value,
        "duration_ms": None if run.duration is None else round(run.duration * 1000),
        "attempts": run.attempts,
        "output": _cut(run.output),
        "error": None if run.error is None else _cut(run.error),
        "cost_usd": run.cost_usd,
    }
    text = json.dumps(entry, ensure_ascii=False).translate(_LINE_ENDS)
    # Lone surrogates, of undecodable output, become \udc80 and the like: what JSON writes for them too.
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _cut(text: str) -> str:
    """The beginning of `text`: at most LIMIT bytes, the mark of what is missing included."""
    if len(text) <= LIMIT and len(text.encode("utf-8", "surrogatepass")) <= LIMIT:
        return text
    mark = "…"
    room = LIMIT - len(mark.encode())
    return text[:room].encode("utf-8", "replace")[:room].decode("utf-8", "ignore") + mark
