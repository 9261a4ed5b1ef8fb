"""The process that reads much of what Claude Code has printed: its stdin is the file, its argument the question.

`null` asks whether a complete result stands there; an `answers.End` as JSON asks for the result.
"""

import json
import os
import sys
from dataclasses import asdict
from datetime import datetime

from orchestrator.actions import nameless
from orchestrator.actions.answers import PRINTED_MAX, End, read
from orchestrator.agents import claude_answer
from orchestrator.processes.death import Death
from orchestrator.redaction import Redactor


def main() -> None:
    printed, question = nameless.read(0, PRINTED_MAX), json.loads(sys.argv[1])
    if question is None:
        print(json.dumps(claude_answer.is_whole(printed)))
        return
    death = None if question["death"] is None else Death(**question["death"])
    end = End(death, question["stderr"], datetime.fromisoformat(question["now"]), question["zone"])
    result = read(printed, end, Redactor(os.environ))
    print(json.dumps(asdict(result), default=datetime.isoformat))


if __name__ == "__main__":
    main()
