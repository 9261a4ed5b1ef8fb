"""PURE. The last lines of a watcher's output, for a reason in a line."""

from orchestrator.readable import visible


def lines_of(tail: bytes, count: int, *, cut: bool) -> list[str]:
    """The last `count` lines of `tail`, empty ones left out. `cut` says that the first one's beginning is missing."""
    lines = tail.split(b"\n")
    texts = [visible(line.rstrip(b"\r").decode("utf-8", "replace"), keep="\t") for line in lines]
    if cut and texts[0]:
        texts[0] = "…" + texts[0]
    kept = [text for text in texts if text.strip()]
    return kept[-count:] if count > 0 else []
