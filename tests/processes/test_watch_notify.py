"""sd_notify from the sender's side, over real sockets."""

import os
import time
from pathlib import Path

import pytest
from watching import Ear

from watchers.notify import Notify


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_states_arrive_in_one_message(kind: str, tmp_path: Path) -> None:
    with Ear(str(tmp_path / "notify") if kind == "path" else f"@aiemp-test-{os.getpid()}") as ear:
        Notify(ear.address).say(READY="1", STATUS="3 files moved,\nREADY=0 waiting")
        assert ear.next() == ["READY=1", "STATUS=3 files moved, READY=0 waiting"]


@pytest.mark.parametrize(
    "address", [None, "", "/nonexistent/notify", "/" + "long" * 50, "@nobody-listens", "vsock:2:1"]
)
def test_nobody_listening_is_no_error(address: str | None) -> None:
    notify = Notify(address, "1000000")
    notify.say(READY="1")
    notify.beat()


def test_what_could_not_be_said_is_said_to_the_next_supervisor_under_the_same_path(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    notify = Notify(address)
    with Ear(address):
        pass
    notify.say(READY="1", STATUS="one")  # the socket's owner is gone
    Path(address).unlink()
    notify.say(STATUS="two")  # there is none
    assert notify.unsaid
    with Ear(address) as ear:
        notify.say()
        assert ear.next() == ["READY=1", "STATUS=two"]
    assert not notify.unsaid


def test_a_full_socket_never_blocks(tmp_path: Path) -> None:
    with Ear(str(tmp_path / "notify")) as ear:
        notify = Notify(ear.address)
        start = time.monotonic()
        said = 0
        while not notify.unsaid:
            notify.say(STATUS=f"{said}")
            said += 1
            assert said < 100_000
        notify.say(READY="1")
        assert time.monotonic() - start < 5
        for number in range(said - 1):
            assert ear.next() == [f"STATUS={number}"]
        notify.say(STATUS="last")
        assert ear.next() == ["STATUS=last", "READY=1"]


def test_beats_are_sent_where_a_watchdog_waits_but_not_more_often_than_needed(tmp_path: Path) -> None:
    with Ear(str(tmp_path / "notify")) as ear:
        for usec in (None, "", "0", "soon"):
            Notify(ear.address, usec).beat()
        notify = Notify(ear.address, "60000000")
        for _ in range(100):
            notify.beat()
        assert ear.next() == ["WATCHDOG=1"]
        assert ear.next(0.05) is None
        assert notify.beat_every == pytest.approx(20)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    with Ear(str(tmp_path / "notify")) as ear:
        before = descriptors()
        notify = Notify(ear.address)
        for _ in range(5):
            notify.say(STATUS="x")
        assert descriptors() == before
