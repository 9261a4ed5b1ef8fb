"""What tests share: hypothesis without deadlines, and the site of the end-to-end tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Site
from hypothesis import settings

# No deadline for an example: on a busy machine it would make every property a timed test.
settings.register_profile("aiemp", deadline=None)
settings.load_profile("aiemp")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An empty folder to configure and serve, left clean."""
    site = Site(tmp_path)
    yield site
    site.clean_up()
