"""What a killed daemon has left: its watchers' processes, which the next one takes over or ends, but never doubles."""

import logging
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.config import values
from orchestrator.config.model import Config, Launch, WatcherConfig
from orchestrator.processes import procfs
from orchestrator.processes.identity import Identity, boot_id
from orchestrator.store.database import KnownProcess
from orchestrator.supervise.launch import fingerprint
from orchestrator.supervise.machine import Launched, RealMachine
from orchestrator.supervise.supervisor import Supervisor

log = logging.getLogger(__name__)

WATCHER = b"AIEMP_WATCHER="
WATCHDOG = b"WATCHDOG_USEC="


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What became of an earlier daemon's watchers."""

    adopted: tuple[str, ...]
    outdated: tuple[str, ...]  # adopted, but they would be started differently now, or nobody knows how they were
    unwanted: tuple[str, ...]  # adopted, but they are disabled, or were being stopped


def take_over(
    known: Iterable[KnownProcess],
    config: Config,
    state: str,
    machine: RealMachine,
    supervisor: Supervisor,
    *,
    search: bool,
    last_known: Collection[Mapping[str, Any]] = (),
) -> Inheritance:
    """Adopt what still runs, and begin to end what is left of the groups of those that died meanwhile.

    `search`: the last daemon died, so there may be processes that it had no time to write down. After an orderly stop
    there are none, and who has left a watcher's session in order to live on is let live. `last_known`: what the dead
    daemon has written down of the watchers, as `status` gives them.
    """
    adopted, outdated, unwanted, strangers = list[str](), list[str](), list[str](), list[str]()
    written = {each.name: each for each in known}
    strays = _strays(written, state, machine) if search else {}
    to_run = _to_run(config, written.values(), last_known)
    for each in (written | strays).values():
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
        # A stray of a watcher that was not running is no reason to have it run.
        kept = each.name not in strays or each.name in to_run
        if lives and kept and machine.adopt(each.name, launched):
            log.info("%s: adopted pid %d, which an earlier daemon started", each.name, each.pid)
            restarts, watched = int(each.spec.get("restarts", 0)), bool(each.spec.get("watched", True))
            supervisor.adopt(each.name, each.pid, identity.age(), restarts, watched=watched)
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
    found = [tuple(name for name in names if name not in strangers) for names in (adopted, outdated, unwanted)]
    return Inheritance(*found)


def _to_run(config: Config, written: Collection[KnownProcess], last_known: Collection[Mapping[str, Any]]) -> set[str]:
    """Name the watchers that were to run when the daemon died, for those of which it wrote down nothing true."""
    found = {each.name for each in config.watchers.values() if each.enabled and each.autostart}
    found |= {str(status.get("name")) for status in last_known if status.get("wanted")}
    found -= {
        str(status.get("name"))
        for status in last_known
        if status.get("stopped_by_person") or status.get("state") == "paused"
    }
    found |= {each.name for each in written if each.wanted}
    return found - {each.name for each in written if not each.wanted}


def _strays(written: Mapping[str, KnownProcess], state: str, machine: RealMachine) -> dict[str, KnownProcess]:
    """Find the processes that the daemon had no time to write down before it was killed, by their watchers' names.

    They show by their environment and their pipe whose they are; of some only descendants are left. A watcher comes
    before what it may have put into sessions of their own, so the oldest is the one. Not ourselves, should we have been
    started by a watcher, nor whoever has.
    """
    alive = {each.name for each in written.values() if Identity(each.pid, each.start_time, each.boot_id).lives()}
    ours = b"AIEMP_STATE_DIR=" + os.fsencode(state)
    above = {os.getsid(0), *procfs.with_ancestors(os.getpid())}
    strays: list[KnownProcess] = []
    for pid in procfs.pids():
        process_ = procfs.stat(pid)
        if process_ is None or process_.dead or process_.session in above or not procfs.is_ours(pid):
            continue
        if process_.session != pid and ((leader := procfs.stat(process_.session)) is not None and not leader.dead):
            continue  # its leader will be found
        environ = procfs.environ(pid)
        # Whose it is first: what strangers call their variables is no concern of ours.
        name = _watcher_of(environ) if ours in environ else None
        if name is not None and name not in alive and machine.may_be_ours(name, pid):
            strays.append(
                KnownProcess(
                    name=name,
                    pid=process_.session,
                    start_time=process_.start_time,
                    boot_id=boot_id(),
                    command="",
                    spec={"watched": any(each.startswith(WATCHDOG) for each in environ)},
                    wanted=True,
                )
            )
    return {each.name: each for each in sorted(strays, key=lambda each: each.start_time, reverse=True)}


def _watcher_of(environ: Iterable[bytes]) -> str | None:
    """The watcher that a process says to belong to; None when that can be no watcher's name."""
    try:
        (name,) = [each.removeprefix(WATCHER).decode() for each in environ if each.startswith(WATCHER)]
        return values.watcher_name(name)
    except (ValueError, values.WrongValue):  # ValueError: none, more than one, or no UTF-8
        return None


def respect(last_known: Iterable[Mapping[str, Any]], supervisor: Supervisor) -> set[str]:
    """Leave alone what a person had stopped, or a crash loop paused, when the daemon died; give their names.

    That it died is no reason to undo either. After an orderly stop, or a boot, everything begins anew instead.
    """
    left = set()
    for status in last_known:
        keeper = supervisor.keepers.get(str(status.get("name")))
        if keeper is None or (keeper.pid is not None and not keeper.leaderless):
            continue  # it runs
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
    return bool(members) and all(procfs.is_ours(pid) and ours <= procfs.environ(pid) for pid in members)
