"""PURE. Is the environment that the daemon has one that programs can work in, and may we look at it with its rights?"""

from collections.abc import Iterator
from typing import Final

from orchestrator.doctor.finding import Finding, ok, problem, warning
from orchestrator.doctor.patient import Source, World

CHECK: Final = "environment"


def judge(world: World, *, us: int, vault_owner: tuple[int, str] | None) -> Iterator[Finding]:
    """`us` is the user that looks, `vault_owner` the one that the vault belongs to; None: there is no vault."""
    yield ok(CHECK, f"this is judged as {world.who} has it: user {world.account}, directory {world.directory}")
    if world.hidden:
        remedy = "call `aiemp doctor` as the daemon's user or as root"
        yield warning(CHECK, f"{world.hidden} environment can't be looked at from here", remedy)
    if us not in {0, world.uid}:
        text = f"the daemon belongs to {world.account}: what follows is seen with your rights, not with its own"
        yield warning(CHECK, text, f"sudo -u {world.account} aiemp doctor")
    if world.uid == 0 and vault_owner is not None and vault_owner[0] != 0:
        name = vault_owner[1]
        text = f"the daemon runs as root, but the vault belongs to {name}, who won't be able to change what it writes"
        yield warning(CHECK, text, f"run it as {name}: {_how_to_run_as(world, name)}")
    for variable, why in (
        ("PATH", "no program is found without it"),
        ("HOME", "agents and watchers keep their settings and logins there"),
    ):
        if not world.environ.get(variable):
            yield problem(CHECK, f"{variable} is not set for {world.who}: {why}", where_to_set(world, variable))
    if not world.environ.get("USER"):
        text = f"USER is not set for {world.who}; some programs ask for it"
        yield warning(CHECK, text, where_to_set(world, "USER"))


def where_to_set(world: World, variable: str, value: str = "…") -> str:
    """What to type so that the daemon gets `variable`."""
    if world.unit is not None:
        unit = world.unit
        return (
            f"`{unit.systemctl} edit {unit.name}`, write there [Service] and Environment={variable}={value}, "
            f"then `{unit.systemctl} restart {unit.name}`"
        )
    if world.source is Source.DAEMON:
        return (
            f"set {variable}={value} where the daemon is started, then stop it (`aiempctl shutdown`) and start it again"
        )
    return f"export {variable}={value} before `aiemp run`"


def _how_to_run_as(world: World, name: str) -> str:
    if world.unit is not None:
        return f"User={name} under [Service] in `{world.unit.systemctl} edit {world.unit.name}`"
    return f"sudo -u {name} aiemp run"
