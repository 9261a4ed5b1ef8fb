"""What tests share: hypothesis without deadlines, and the site of the end-to-end tests."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Site
from hypothesis import settings

# No deadline for an example: on a busy machine it would make every property a timed test.
settings.register_profile("aiemp", deadline=None)
settings.load_profile("aiemp")

# A shell starts what it puts into the background with SIGINT ignored, which every program below would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An empty folder to configure and serve, left clean."""
    site = Site(tmp_path)
    yield site
    site.clean_up()
