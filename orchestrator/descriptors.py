"""How many files the daemon may have open: raised only when its watchers need it, since they inherit the limit."""

import resource

PER_WATCHER = 3  # its pipe, its notify socket, its pidfd
OWN = 256  # the daemon's own, with all control clients there can be


def make_room(watchers: int) -> str | None:
    """Raise the soft limit of open files as far as `watchers` need. Gives a line for a person where that is too low.

    Programs that use select(2) break with descriptors above 1024, which is why the limit is left alone otherwise.
    """
    wanted = OWN + PER_WATCHER * watchers
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return None
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        return (
            f"{watchers} watchers need {wanted} open files, allowed are {allowed}; raise it (ulimit -Hn, LimitNOFILE)"
        )
    return None
