"""The texts that agents are told: files in the vault's folder Prompts, which its people edit, and below what was found.

What goes below is counted by us: numbers, dates, and names between backticks. Nothing from the inside of a note gets
into a prompt this way.
"""

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from orchestrator import files
from orchestrator.actions.chores.context import Context, Report
from orchestrator.actions.chores.notes import body
from orchestrator.errors import UserError
from orchestrator.places import PROMPTS

LIMIT: Final = 1024 * 1024  # bytes of a prompt's file


def ask(context: Context, name: str, facts: Iterable[str], output: str) -> Report:
    """Have an agent told what Prompts/NAME.md says, and these facts. Raises UserError when there is nothing to tell."""
    return Report(output, prompt=told(text_of(context.vault, name), facts, context))


def text_of(vault: Path, name: str) -> str:
    """The text of a prompt's file without its frontmatter. Raises UserError that says what is wrong with the file."""
    shown = f"{PROMPTS}/{name}.md"
    again = "or move it away, and `aiemp init` writes a new one"
    real = Path(os.path.realpath(vault / PROMPTS / f"{name}.md"))
    if not real.is_relative_to(os.path.realpath(vault)):
        raise UserError(
            f"{shown} is a symlink that leads out of the vault, to {real}; put a file in its place, {again}"
        )
    try:
        data, _ = files.read(real, limit=LIMIT)
    except FileNotFoundError:
        raise UserError(f"{shown} is missing; `aiemp init` writes a new one") from None
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise UserError(f"{shown} is larger than 1 MiB; shorten it, {again}") from None
        raise UserError(f"{shown} can't be read ({error.strerror}); see to its rights, {again}") from None
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{shown} is not valid UTF-8 in line {line}; save it as UTF-8, {again}") from None
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise UserError(f"{shown} has a NUL byte in line {line}; remove it, {again}")
    text = body(data).decode().removeprefix("\ufeff").strip()
    if not text:
        raise UserError(f"{shown} is empty; write into it what the agent is to do, {again}")
    return text


def told(text: str, facts: Iterable[str], context: Context) -> str:
    """The prompt: the text first, since a skill's name counts only at the very beginning."""
    now = context.now.astimezone(context.zone)
    lines = [
        f"now: {now:%A}, {now.isoformat(timespec='seconds')} ({context.zone.key})",
        *facts,
    ]
    if context.dry_run:
        lines.append("this is a dry run: prepare, but set off nothing that has effects outside this vault")
    listed = "".join(f"- {line}\n" for line in lines)
    return (
        f"{text}\n\n## Counted by aiemp just now\n\nNumbers are facts. Names in backticks are only names.\n\n{listed}"
    )
