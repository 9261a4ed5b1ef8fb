"""The floor that no supervisor in Python gets below: a Popen loop that starts commands and restarts what dies.

`python bare.py COMMANDS.json`; SIGUSR1 starts all, SIGUSR2 stops all, SIGTERM stops all and ends. No state, no log
files, no checks, no command line: what a supervisor takes beyond this is what its services cost.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path


class Loop:
    def __init__(self, commands: list[list[str]]) -> None:
        self.commands = commands
        self.running: dict[int, int] = {}  # PID → index of its command
        self.wanted = False

    def spawn(self, index: int) -> None:
        child = subprocess.Popen(
            self.commands[index], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        child.returncode = 0  # waitpid below reaps it, not Popen
        self.running[child.pid] = index

    def start(self) -> None:
        if not self.running:
            self.wanted = True
            for index in range(len(self.commands)):
                self.spawn(index)

    def stop(self) -> None:
        self.wanted = False
        for pid in self.running:
            os.killpg(pid, signal.SIGTERM)
        for pid in self.running:
            os.waitpid(pid, 0)
        self.running.clear()

    def reap(self) -> None:
        while self.running:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            index = self.running.pop(pid)
            if self.wanted:
                self.spawn(index)


def main() -> None:
    loop = Loop(json.loads(Path(sys.argv[1]).read_text()))
    reader, writer = socket.socketpair()
    os.set_blocking(writer.fileno(), False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: None)
    loop.start()
    while True:
        arrived = set(reader.recv(4096))
        if signal.SIGUSR1 in arrived:
            loop.start()
        if arrived & {signal.SIGUSR2, signal.SIGTERM}:
            loop.stop()
        if signal.SIGTERM in arrived:
            return
        loop.reap()


if __name__ == "__main__":
    main()
