"""A ground for jobs, of every topology in turn."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.topologies import TOPOLOGIES, Ground


@pytest.fixture(params=sorted(TOPOLOGIES))
def new_ground(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Ground]:
    """Makes grounds of one topology."""
    return lambda: TOPOLOGIES[request.param](tmp_path, request)


@pytest.fixture
def ground(new_ground: Callable[[], Ground]) -> Ground:
    """One ground."""
    return new_ground()
