"""How many files the daemon may have open: raised only where needed, since watchers and runs inherit the limit."""

import resource

from orchestrator.config.model import Config

PER_WATCHER = 3  # its pipe, its notify socket, its pidfd
PER_RUN = 5  # two pipes, its notify socket, its pidfd, a handler's answer
OWN = 256  # the daemon's own, with all control clients there can be


def make_room(config: Config) -> str | None:
    """Raise the soft limit of open files as far as `config` needs. Gives a line for a person where that is too low.

    Programs that use select(2) break with descriptors above 1024, which is why the limit is left alone otherwise.
    """
    watchers, runs = len(config.watchers), config.scheduler.max_concurrent
    wanted = OWN + PER_WATCHER * watchers + PER_RUN * runs
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return None
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        return (
            f"{watchers} watchers and {runs} runs at once need {wanted} open files, allowed are {allowed}; "
            "raise it (ulimit -Hn, LimitNOFILE)"
        )
    return None
