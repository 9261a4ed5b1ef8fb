"""The one fixture of the end-to-end tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An empty folder to configure and serve, left clean."""
    site = Site(tmp_path)
    yield site
    site.clean_up()
