"""Reads the configuration again and lets it take effect: on SIGHUP, and by command."""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.clock import Clock
from orchestrator.config.load import load
from orchestrator.config.model import Config
from orchestrator.descriptors import make_room
from orchestrator.errors import UserError
from orchestrator.events import Bus, ConfigReloaded
from orchestrator.problems import Problems
from orchestrator.supervise.changes import Change, Kind, compare, differing, foresee, newly_disabled
from orchestrator.supervise.launch import fingerprint
from orchestrator.supervise.machine import Launched
from orchestrator.supervise.supervisor import Supervisor
from orchestrator.supervise.verdict import Verb, View

log = logging.getLogger(__name__)

NOT_SETTINGS = frozenset({"file", "watchers", "tasks", "agents", "mcp"})


@dataclass(frozen=True, slots=True)
class Source:
    """Where the configuration comes from, with what the command line said on top of it."""

    file: Path
    vault: Path | None = None
    dry_run: bool | None = None

    def load(self) -> Config:
        return load(self.file, environ=os.environ, vault=self.vault, dry_run=self.dry_run)


class Reloader:
    """Holds the configuration in force."""

    def __init__(
        self,
        source: Source,
        config: Config,
        supervisor: Supervisor,
        launched: Mapping[str, Launched],
        *,
        bus: Bus,
        problems: Problems,
        clock: Clock,
        apply_settings: Callable[[Config], None],
    ) -> None:
        self.config = config
        self.seen = config  # what was read last, be it in force or not
        self._source = source
        self._supervisor = supervisor
        self._launched = launched
        self._bus = bus
        self._problems = problems
        self._clock = clock
        self._apply_settings = apply_settings

    def reload(self, *, plan: bool) -> tuple[list[Change], list[str]]:
        """Give the watchers' changes and the changed settings; unless it is only a plan, let them take effect.

        Raises ConfigInvalid, or UserError when the vault is another: then nothing was changed.
        """
        try:
            new = self._load()
        except UserError as error:
            if not plan:
                first = str(error).partition("\n")[0]
                self._problems.report("reload", f"reload refused, the old configuration stays: {first}")
            raise
        self.seen = new
        old = self.config
        views = {name: self._supervisor.view(name) for name in self._supervisor.keepers}
        found = compare(old.watchers, new.watchers, self._stale(new))
        changes = foresee(found, old.watchers, new.watchers, views)
        settings = [_setting(key) for key in differing(old, new) if key.split(".")[0] not in NOT_SETTINGS]
        if not plan:
            self._problems.clear("reload")
            self._take_effect(new, changes, views)
        return changes, settings

    def _load(self) -> Config:
        new = self._source.load()
        if new.vault != self.config.vault:
            raise UserError(
                f"{new.file}: supervisor.vault is another now ({new.vault}); a daemon serves one vault all its life: "
                "stop it and start it again"
            )
        return new

    def _stale(self, config: Config) -> set[str]:
        """Find the watchers whose env_file has other content than when their process was started, or could not be."""
        keepers = self._supervisor.keepers
        tried = {name: launched.fingerprint for name, launched in self._launched.items()}
        tried |= {name: keeper.refused for name, keeper in keepers.items() if keeper.refused is not None}
        return {
            name
            for name, before in tried.items()
            if name in config.watchers
            and name in self.config.watchers
            and config.watchers[name].launch.env_file is not None
            and fingerprint(self.config.watchers[name].launch) != before
        }

    def _take_effect(self, new: Config, changes: list[Change], views: Mapping[str, View]) -> None:
        old = self.config
        self.config = new
        self._apply_settings(new)
        by_kind = {kind: [change.name for change in changes if change.kind is kind] for kind in Kind}
        if (short := make_room(new)) is not None:
            log.warning("%s", short)
        for watcher in new.watchers.values():
            self._supervisor.add(watcher)  # first: who no longer depends on a removed one must not hold back its stop
        # Those not wanted any more before any start: what replaces them may need the same port or file.
        self._supervisor.remove(by_kind[Kind.REMOVED])
        if disabled := newly_disabled(changes, old.watchers, new.watchers, views):
            # Not a stop: what depends on them shall still run, as if it had never been started without them. So it
            # waits. They themselves cannot be started again.
            self._supervisor.ask(Verb.RESTART, disabled)
        if by_kind[Kind.RESTART]:
            self._supervisor.renew(by_kind[Kind.RESTART])
        start = [name for name in by_kind[Kind.ADDED] if new.watchers[name].autostart and new.watchers[name].enabled]
        start += [change.name for change in changes if change.kind is Kind.START and change.reason is None]
        if start:
            self._supervisor.ask(Verb.START, start)
        self._bus.publish(
            ConfigReloaded(
                at=self._clock.now(),
                added=tuple(by_kind[Kind.ADDED]),
                removed=tuple(by_kind[Kind.REMOVED]),
                stopped=tuple(by_kind[Kind.STOP]),
                started=tuple(by_kind[Kind.START]),
                restarted=tuple(by_kind[Kind.RESTART]),
                changed=tuple(by_kind[Kind.UPDATE]),
            )
        )


def _setting(key: str) -> str:
    """A key of `Config` as it stands in supervisor.toml."""
    return key if key.startswith("scheduler.") else f"supervisor.{key}"
