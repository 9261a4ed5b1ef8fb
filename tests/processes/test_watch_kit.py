"""The kit, through small watchers that run for real: readiness, heartbeat, errors, options, one instance."""

import itertools
import signal
import time
from pathlib import Path

import pytest
from watching import Ear, run, running, wait_for

CHILD = """
import sys, time
import anyio
from watchers import kit

class Child(kit.Watcher):
    name = "child"
    summary = "A watcher for tests."
    looks = 0

    async def cycle(self):
        self.looks += 1
        self.status(f"look {self.looks}")
        return await BODY(self)

async def rests(self):
    return kit.Outcome()

async def hurries(self):
    return kit.Outcome(again_in=0.1)

async def hangs_waiting(self):
    if self.looks > 3:
        await anyio.sleep_forever()
    return kit.Outcome(again_in=0.1)

async def hangs_busy(self):
    while self.looks > 3:
        time.sleep(1)
    return kit.Outcome(again_in=0.1)

async def works_long(self):
    while not self.stopped.is_set():
        self.progress()
        await anyio.sleep(0.01)
    print("item finished")
    return kit.Outcome()

async def is_wrong(self):
    raise ZeroDivisionError("a mistake")

async def has_trouble(self):
    return kit.Outcome(trouble="the disk is full")

async def shows_options(self):
    print(self.options.dry_run, self.options.rehearsal, self.options.interval, self.options.once, self.options.vault)
    return kit.Outcome()

BODY = {body}
if __name__ == "__main__":
    sys.exit(kit.main(Child))
"""


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    (tmp_path / "vault").mkdir()
    return tmp_path / "vault"


def child(vault: Path, body: str) -> dict[str, str]:
    """The environment in which `-m child` is a watcher whose cycle does `body`."""
    (vault.parent / "child.py").write_text(CHILD.replace("{body}", body))
    return {"module": "child", "PYTHONPATH": str(vault.parent), "PYTHONDONTWRITEBYTECODE": "1"}


def test_ready_comes_once_with_a_first_beat_and_the_end_is_announced(vault: Path) -> None:
    with Ear(str(vault.parent / "notify")) as ear:
        with running(vault, **child(vault, "rests"), NOTIFY_SOCKET=ear.address, WATCHDOG_USEC="300000") as it:
            heard = ear.until("READY=1")
            heard += [line for _ in range(8) for line in ear.next() or []]
            it.process.send_signal(signal.SIGTERM)
            heard += ear.until("STOPPING=1")
            assert it.wait() == 0
        assert heard.count("READY=1") == 1
        assert "STATUS=look 1" in heard
        assert heard.count("WATCHDOG=1") >= 6


def test_the_heartbeat_is_faster_than_half_the_watchdog_time(vault: Path) -> None:
    with Ear(str(vault.parent / "notify")) as ear:
        with running(vault, **child(vault, "rests"), NOTIFY_SOCKET=ear.address, WATCHDOG_USEC="1000000"):
            ear.until("READY=1")
            times = []
            for _ in range(5):
                ear.until("WATCHDOG=1")
                times.append(time.monotonic())
        assert max(later - earlier for earlier, later in itertools.pairwise(times)) < 0.5


@pytest.mark.parametrize("body", ["hangs_waiting", "hangs_busy"])
def test_a_hung_watcher_falls_silent(vault: Path, body: str) -> None:
    address = str(vault.parent / "notify")
    environment = child(vault, body)
    with Ear(address) as ear, running(vault, **environment, NOTIFY_SOCKET=address, WATCHDOG_USEC="150000") as it:
        assert "WATCHDOG=1" in ear.until("STATUS=look 4")
        while ear.next(0.01) is not None:
            pass
        assert ear.next(0.6) is None  # four times the watchdog's time
        assert it.process.poll() is None


def test_long_work_that_goes_on_keeps_beating_and_is_finished_on_term(vault: Path) -> None:
    address = str(vault.parent / "notify")
    environment = child(vault, "works_long")
    with Ear(address) as ear, running(vault, **environment, NOTIFY_SOCKET=address, WATCHDOG_USEC="300000") as it:
        ear.until("READY=1")
        for _ in range(6):
            ear.until("WATCHDOG=1")
        it.process.send_signal(signal.SIGINT)
        ear.until("STOPPING=1")
        assert it.wait() == 0


def test_a_supervisor_that_comes_later_still_hears_of_readiness(vault: Path) -> None:
    address = str(vault.parent / "notify")
    with running(vault, **child(vault, "rests"), NOTIFY_SOCKET=address) as it:
        wait_for((vault / ".aiemp" / "child.lock").exists, "the lock")
        with Ear(address) as ear:
            assert "STATUS=look 1" in ear.until("READY=1") + (ear.next(0.5) or [])
            assert it.process.poll() is None


def test_a_mistake_in_the_program_crashes_loudly(vault: Path) -> None:
    ended = run("--vault", str(vault), **child(vault, "is_wrong"))
    assert ended.returncode == 1
    assert "ZeroDivisionError: a mistake" in ended.stderr
    assert "Traceback" in ended.stderr


def test_trouble_is_told_once_and_the_watcher_stays(vault: Path) -> None:
    with Ear(str(vault.parent / "notify")) as ear:
        environment = child(vault, "has_trouble")
        with running(vault, "--interval", "0.05", **environment, NOTIFY_SOCKET=ear.address) as it:
            ear.until("STATUS=the disk is full")
            ear.until("STATUS=look 3")
            assert it.log().count("the disk is full") == 1
            it.process.send_signal(signal.SIGTERM)
            assert it.wait() == 0


def test_trouble_fails_a_single_run(vault: Path) -> None:
    ended = run("--vault", str(vault), "--once", **child(vault, "has_trouble"))
    assert (ended.returncode, "the disk is full" in ended.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "env", "dry_run", "rehearsal"),
    [
        ((), {}, False, False),
        ((), {"DRY_RUN": "true"}, True, False),
        ((), {"DRY_RUN": "false"}, False, False),
        (("--dry-run",), {"DRY_RUN": "false"}, True, True),
        (("--no-dry-run",), {"DRY_RUN": "true"}, False, False),
    ],
)
def test_dry_run(
    vault: Path,
    arguments: tuple[str, ...],
    env: dict[str, str],
    dry_run: bool,  # noqa: FBT001  a table's column
    rehearsal: bool,  # noqa: FBT001  a table's column
) -> None:
    ended = run("--vault", str(vault), "--once", *arguments, **child(vault, "shows_options"), **env)
    assert ended.stdout.split() == [str(dry_run), str(rehearsal), "30.0", "True", str(vault)]
    assert (vault / ".aiemp").exists() is not rehearsal


def test_the_argument_beats_the_environment(vault: Path, tmp_path: Path) -> None:
    ended = run("--once", "--vault", str(vault), **child(vault, "shows_options"), AIEMP_VAULT=str(tmp_path / "other"))
    assert ended.stdout.split()[-1] == str(vault)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--vault or in $AIEMP_VAULT"),
        (("--interval", "0"), "no number of seconds above 0"),
        (("--interval", "soon"), "invalid seconds value"),
        (("--log-level", "loud"), "invalid choice"),
    ],
)
def test_wrong_usage(vault: Path, arguments: tuple[str, ...], says: str) -> None:
    ended = run(*arguments, **child(vault, "rests"))
    assert ended.returncode == 2
    assert says in ended.stderr


def test_no_vault_is_one_line_that_says_what_to_do(vault: Path) -> None:
    missing = vault / "no\nthing"
    ended = run("--vault", str(missing), **child(vault, "rests"))
    assert ended.returncode == 1
    assert ended.stderr == (
        f"child: no vault at {str(missing)!r}: create it with `aiemp init`, or name another one with --vault\n"
    )


def test_only_one_of_a_kind_serves_a_vault(vault: Path) -> None:
    with Ear(str(vault.parent / "notify")) as ear:
        environment = child(vault, "rests")
        with running(vault, **environment, NOTIFY_SOCKET=ear.address) as first:
            ear.until("READY=1")
            second = run("--vault", str(vault), "--once", **environment)
            assert second.returncode == 75
            assert f"PID {first.process.pid}" in second.stderr
            first.process.kill()
            first.wait()
            assert run("--vault", str(vault), "--once", **environment).returncode == 0


def test_term_at_any_moment_of_the_start_ends_with_0_once_the_program_listens(vault: Path) -> None:
    environment = child(vault, "rests")
    with running(vault, **environment) as it:
        wait_for((vault / ".aiemp" / "child.lock").exists, "the lock")  # before the loop runs
        it.process.send_signal(signal.SIGTERM)
        assert it.wait() == 0


def test_a_watcher_loads_nothing_of_the_orchestrator() -> None:
    loaded = run(AIEMP_VAULT="/nonexistent", PYTHONPROFILEIMPORTTIME="1").stderr
    assert "watchers.kit" in loaded
    assert not [line for line in loaded.splitlines() if line.rpartition("|")[2].strip().startswith("orchestrator")]
