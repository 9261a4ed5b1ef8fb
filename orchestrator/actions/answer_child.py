"""The process that reads much of what Claude Code has printed: that file is its stdout, of which it only reads.

Its stdin is a file with the question, where it leaves the answer. `null` asks whether a complete result stands there;
an `answers.End` as JSON asks for the result.
"""

import json
import os
from dataclasses import asdict
from datetime import datetime

from orchestrator.actions import answers
from orchestrator.processes import nameless
from orchestrator.redaction import Redactor


def main() -> None:
    file = os.dup(1)
    os.dup2(2, 1)  # nothing of ours gets between what an agent may still be printing
    question = json.loads(nameless.read(0, nameless.size(0)))
    printed = nameless.read(file, answers.PRINTED_MAX)
    if question is None:
        answer = json.dumps(answers.is_whole(printed))
    else:
        result = answers.read(printed, answers.end_of(question), Redactor(os.environ))
        answer = json.dumps(asdict(result), default=datetime.isoformat)
    nameless.empty(0)
    nameless.write(0, answer.encode())


if __name__ == "__main__":
    main()
