"""What a killed daemon has left: its watchers' processes, which the next one takes over or ends, but never doubles."""

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.config.model import Config, Launch, WatcherConfig
from orchestrator.processes import procfs
from orchestrator.processes.identity import Identity, boot_id
from orchestrator.store.database import KnownProcess
from orchestrator.supervise.launch import fingerprint
from orchestrator.supervise.machine import Launched, RealMachine
from orchestrator.supervise.supervisor import Supervisor

log = logging.getLogger(__name__)

WATCHER = b"AIEMP_WATCHER="


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What became of an earlier daemon's watchers."""

    adopted: tuple[str, ...]
    outdated: tuple[str, ...]  # adopted, but they would be started differently now, or nobody knows how they were
    unwanted: tuple[str, ...]  # adopted, but they are disabled, or were being stopped


def take_over(
    known: Iterable[KnownProcess], config: Config, state: str, machine: RealMachine, supervisor: Supervisor
) -> Inheritance:
    """Adopt what still runs, and begin to end what is left of the groups of those that died meanwhile."""
    adopted, outdated, unwanted, strangers = list[str](), list[str](), list[str](), list[str]()
    for each in _living(known, state):
        identity = Identity(each.pid, each.start_time, each.boot_id)
        launched = Launched(identity, each.command, bool(each.spec.get("dry_run")))
        watcher = config.watchers.get(each.name)
        lives = identity.lives()
        if not lives and not _left_anyone(each, state):
            continue
        if watcher is None:  # kept all the same until it is gone, so that nothing can be started beside it
            log.info("%s: no longer configured, but an earlier daemon has left it; it is ended", each.name)
            watcher = WatcherConfig(each.name, Launch(("",), config.vault), enabled=False)
            supervisor.add(watcher)
            strangers.append(each.name)
        if lives and machine.adopt(each.name, launched):
            log.info("%s: adopted pid %d, which an earlier daemon started", each.name, each.pid)
            supervisor.adopt(each.name, each.pid, identity.age(), int(each.spec.get("restarts", 0)))
            adopted.append(each.name)
            if not watcher.enabled or not each.wanted:
                unwanted.append(each.name)
            elif machine.unheard(each.name, each.pid):
                log.warning("%s: its pipe was removed, so its output is heard by nobody; it is restarted", each.name)
                outdated.append(each.name)
            elif fingerprint(watcher.launch) != each.command:
                outdated.append(each.name)
        else:
            log.info("%s: ending what is left of pid %d of an earlier daemon", each.name, each.pid)
            supervisor.see_off(each.name, each.pid)
    supervisor.remove(strangers)
    kept = [tuple(name for name in names if name not in strangers) for names in (adopted, outdated, unwanted)]
    return Inheritance(*kept)


def _living(known: Iterable[KnownProcess], state: str) -> list[KnownProcess]:
    """Give the processes written down, and those that the daemon had no time to write down before it was killed.

    The latter show by their environment whose they are; of some only descendants are left. A watcher comes before what
    it may have put into sessions of their own, so the oldest is the one.
    """
    found = {each.name: each for each in known}
    alive = {name for name, each in found.items() if Identity(each.pid, each.start_time, each.boot_id).lives()}
    ours = b"AIEMP_STATE_DIR=" + os.fsencode(state)
    strays: list[KnownProcess] = []
    for pid in procfs.pids():
        process_ = procfs.stat(pid)
        if process_ is None or process_.dead:
            continue
        if process_.session != pid and ((leader := procfs.stat(process_.session)) is not None and not leader.dead):
            continue  # its leader will be found
        environ = procfs.environ(pid)
        names = [each.removeprefix(WATCHER).decode() for each in environ if each.startswith(WATCHER)]
        if ours in environ and len(names) == 1 and names[0] not in alive:
            strays.append(
                KnownProcess(
                    name=names[0],
                    pid=process_.session,
                    start_time=process_.start_time,
                    boot_id=boot_id(),
                    command="",
                    spec={},
                    wanted=True,
                )
            )
    for stray in sorted(strays, key=lambda each: each.start_time, reverse=True):
        found[stray.name] = stray
    return list(found.values())


def respect(last_known: Iterable[Mapping[str, Any]], supervisor: Supervisor) -> set[str]:
    """Leave alone what a person had stopped, or a crash loop paused, when the daemon died; give their names.

    That it died is no reason to undo either. After an orderly stop, or a boot, everything begins anew instead.
    """
    left = set()
    for status in last_known:
        keeper = supervisor.keepers.get(str(status.get("name")))
        if keeper is None or keeper.pid is not None:
            continue
        if status.get("state") == "paused":
            keeper.stay_paused(str(status.get("reason")))
            left.add(keeper.name)
        elif status.get("stopped_by_person"):
            keeper.stopped_by_person = True
            left.add(keeper.name)
    for name in sorted(left):
        log.info("%s: stays as it was when the last daemon died", name)
    return left


def _left_anyone(known: KnownProcess, state: str) -> bool:
    """Whether of a process that died while no daemon was there others of its group live on.

    The number may be a stranger's group by now, so each member must show by its environment that it is ours.
    """
    if known.boot_id != boot_id():
        return False
    members = procfs.group_members(known.pid)
    ours = {WATCHER + known.name.encode(), b"AIEMP_STATE_DIR=" + os.fsencode(state)}
    return bool(members) and all(ours <= procfs.environ(pid) for pid in members)
