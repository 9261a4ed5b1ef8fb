"""Service definitions with real paths filled in: systemd units, a launchd property list, a pm2 ecosystem file."""

import json
import os
import plistlib
import pwd
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Self

from orchestrator.errors import UserError
from orchestrator.exits import Exit

# Restarting cures neither: a person has to mend the configuration, or another daemon serves the vault already.
HOPELESS: Final = (Exit.BUSY, Exit.CONFIG)
# Seconds beyond `shutdown_timeout` before the service manager kills: the daemon's own limit must come first.
MARGIN: Final = 10.0

_SYSTEM_HEAD: Final = """\
# Runs aiemp for one vault, as one account. Install as /etc/systemd/system/aiemp.service, then
#   systemctl daemon-reload && systemctl enable --now aiemp
# For a second vault use another file name; settings of your own go into `systemctl edit aiemp`.
"""
_USER_HEAD: Final = """\
# Runs aiemp for one vault, as you. Install as ~/.config/systemd/user/aiemp.service, then
#   systemctl --user daemon-reload && systemctl --user enable --now aiemp
# `loginctl enable-linger` keeps it running while you are not logged in.
"""
# What a whole machine offers before it: a watcher that cannot reach its server yet would use up its restarts.
_SYSTEM_ORDER: Final = """\
Wants=network-online.target
After=network-online.target time-sync.target
"""
_SERVICE: Final = """\
Type=notify
NotifyAccess=main
WatchdogSec=60s
# Answers when the new configuration is in force and what it starts is up, and fails with the reason otherwise.
ExecReload={reload}
# Not `always`: `aiempctl shutdown` ends with 0 and is meant.
Restart=on-failure
RestartSec=2s
# 75: another daemon serves this vault. 78: the configuration is invalid. Trying again helps neither.
RestartPreventExitStatus={hopeless}
# TERM goes to the daemon, which stops the watchers in order; what is left after TimeoutStopSec is killed.
KillMode=mixed
TimeoutStopSec={stop:g}s
# A watcher that the kernel kills for want of memory is the daemon's to restart, no reason to stop everything.
OOMPolicy=continue
"""
# Left out, with the reason:
# MemoryDenyWriteExecute: Claude Code and other programs compile while they run (V8).
# RestrictNamespaces, ProtectKernelTunables, ProtectKernelLogs: agents put commands into a sandbox of their own
#   (bubblewrap), which needs user namespaces and a /proc without anything mounted over it. The account has no
#   capabilities, so what these would protect is out of its reach anyway.
# ProtectProc, ProcSubset: memory use and adoption of watchers are read from /proc.
# PrivateUsers: files of the vault may belong to a group that is shared with other programs.
# RemoveIPC: the account may be a person's, with programs of its own.
# A list of allowed system calls: programs newer than systemd would meet EPERM where they are ready for ENOSYS.
_SANDBOX: Final = """\
# Watchers and agents run inside this unit: they need the network, the vault and the account's home, and may start any
# program. Everything else is closed. To open something for a watcher (a device, another folder), `systemctl edit`.
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ReadWritePaths={writable}
ProtectHome={home}
PrivateTmp={tmp}
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelModules=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictRealtime=yes
RestrictSUIDSGID=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=~@clock @cpu-emulation @debug @module @obsolete @raw-io @reboot @swap
SystemCallErrorNumber=EPERM
# The account's group may read the vault (a program that syncs it, for instance), others may not.
UMask=0027
# Where the control socket goes when the vault's path is too long for one. /tmp is private, aiempctl could not see it.
RuntimeDirectory=%N
RuntimeDirectoryMode=0700
Environment=XDG_RUNTIME_DIR=%t/%N
"""
_USER_SANDBOX: Final = """\
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Where everything is and who runs it. Paths are absolute; `program` and `control` are `aiemp` and `aiempctl`."""

    config: str
    vault: str
    program: tuple[str, ...]
    control: tuple[str, ...]
    account: str
    home: str
    python: str  # the folder of the interpreter; a virtual environment's own is elsewhere, under a home often
    path: str  # of programs: $PATH
    shutdown_timeout: float = 20.0  # seconds

    def __post_init__(self) -> None:
        for text in (self.config, self.vault, self.home, self.python, self.path, *self.program, *self.control):
            if not text.isprintable():  # control characters, line ends, and bytes that are no UTF-8
                raise UserError(f"{text!r} has characters that a service definition cannot hold: rename it")

    @classmethod
    def here(cls, *, config: str, vault: str, shutdown_timeout: float) -> Self:
        """The installation that is running now, for the account that asks."""
        account = pwd.getpwuid(os.geteuid())
        return cls(
            config=str(Path(config).absolute()),
            vault=str(Path(vault).absolute()),
            program=_command("aiemp"),
            control=_command("aiempctl"),
            account=account.pw_name,
            home=account.pw_dir,
            python=sys.base_prefix,
            path=os.environ.get("PATH", os.defpath),
            shutdown_timeout=shutdown_timeout,
        )


def render(kind: str, installation: Installation, *, user: bool = False) -> str:
    """The definition for `systemd`, `launchd` or `pm2`.

    `user`: for the account's own service manager instead of the system's; pm2 is always the account's own.
    """
    match kind:
        case "systemd":
            return _systemd(installation, user=user)
        case "launchd":
            return _launchd(installation, user=user)
        case "pm2":
            return _pm2(installation)
        case _:
            raise ValueError(kind)


def _command(name: str) -> tuple[str, ...]:
    script = Path(sys.executable).with_name(name)
    return (str(script),) if os.access(script, os.X_OK) else (sys.executable, "-m", f"orchestrator.cli.{name}")


def _run(installation: Installation) -> tuple[str, ...]:
    return (*installation.program, "run", "-c", installation.config)


def _systemd(it: Installation, *, user: bool) -> str:
    service = _SERVICE.format(
        reload=_command_line((*it.control, "-c", it.config, "reload")),
        hopeless=" ".join(str(int(code)) for code in HOPELESS),
        stop=it.shutdown_timeout + MARGIN,
    )
    account = "" if user else f"User={_escaped(it.account)}\n"
    return (
        f"{_USER_HEAD if user else _SYSTEM_HEAD}"
        "[Unit]\n"
        "Description=aiemp, which keeps an AI employee working\n"
        f"{'' if user else _SYSTEM_ORDER}"
        f"RequiresMountsFor={_words((it.config, it.vault))}\n"
        "# Gives up after a minute or two of failed starts: 30 in 10 minutes.\n"
        "StartLimitIntervalSec=10min\n"
        "StartLimitBurst=30\n"
        "\n"
        "[Service]\n"
        f"{account}"
        f"Environment={_words((f'PATH={it.path}',))}\n"
        f"ExecStart={_command_line(_run(it))}\n"
        f"{service}"
        "\n"
        f"{_USER_SANDBOX if user else _sandbox(it)}"
        "\n"
        "[Install]\n"
        f"WantedBy={'default.target' if user else 'multi-user.target'}\n"
    )


def _sandbox(it: Installation) -> str:
    needed = (it.config, it.vault, it.home, it.program[0], it.python)
    in_tmp = _any_below(needed, ("/tmp", "/var/tmp"))  # noqa: S108  looked for, not used
    # `-`: where one is missing the daemon says so itself, which systemd (226/NAMESPACE) does less clearly.
    writable = [f"-{path}" for path in dict.fromkeys((it.vault, it.home))] + (["/tmp", "/var/tmp"] if in_tmp else [])  # noqa: S108
    return _SANDBOX.format(
        writable=_words(writable),
        home="read-only" if _any_below(needed, ("/home", "/root", "/run/user")) else "yes",
        tmp="no" if in_tmp else "yes",
    )


def _any_below(paths: Sequence[str], folders: Sequence[str]) -> bool:
    return any(PurePosixPath(path).is_relative_to(folder) for path in paths for folder in folders)


def _command_line(words: Sequence[str]) -> str:
    """A command for Exec*=. `:` switches the expansion of `$` off; `$$` would not do in the program's own path."""
    if set(words[0]) & set("\"'\\"):  # systemd takes no such path for a program
        words = ("/bin/sh", "-c", 'exec "$0" "$@"', *words)
    return (":" if any("$" in word for word in words) else "") + _words(words)


def _words(words: Sequence[str]) -> str:
    """Words for a setting that takes several, quoted where they need it (systemd.syntax(7), "Quoting")."""
    return " ".join(_quoted(_escaped(word)) for word in words)


def _quoted(word: str) -> str:
    if word and not set(word) & set(" \t\"'\\;"):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _escaped(text: str) -> str:
    """`text` without specifiers (systemd.unit(5), "Specifiers")."""
    return text.replace("%", "%%")


def _launchd(it: Installation, *, user: bool) -> str:
    job: dict[str, object] = {
        "Label": "aiemp",
        "ProgramArguments": list(_run(it)),
        "EnvironmentVariables": {"PATH": it.path},
        "RunAtLoad": True,
        # launchd cannot tell exit codes apart: with an invalid configuration it tries again, but only this often.
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 30,
        "ExitTimeOut": round(it.shutdown_timeout + MARGIN),
        "SoftResourceLimits": {"NumberOfFiles": 8192},  # the default, 256, is used up by 50 watchers
        # Watchers have sessions of their own; those that outlive a killed daemon are adopted by the next one.
        "AbandonProcessGroup": True,
        "StandardErrorPath": f"{it.home}/Library/Logs/aiemp.log",
    }
    if not user:
        job["UserName"] = it.account
    return plistlib.dumps(job, sort_keys=False).decode()


def _pm2(it: Installation) -> str:
    program, *arguments = _run(it)
    app = {
        "name": "aiemp",
        "script": program,
        "args": arguments,
        "interpreter": "none",
        "cwd": it.home,
        "env": {"PATH": it.path},
        "exec_mode": "fork",
        "autorestart": True,
        "restart_delay": 2000,
        "stop_exit_codes": [int(Exit.OK), *(int(code) for code in HOPELESS)],
        "kill_timeout": round((it.shutdown_timeout + MARGIN) * 1000),
        "treekill": False,
    }
    return (
        "// pm2 start aiemp.config.js && pm2 save\n"
        "// treekill is off: the daemon itself stops its watchers, in order, when pm2 stops it.\n"
        f"module.exports = {json.dumps({'apps': [app]}, indent=2)};\n"
    )
