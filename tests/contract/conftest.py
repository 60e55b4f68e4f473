"""Doors with fakes behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.door import Door, LazyWorkers, options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor


@pytest.fixture(scope="session")
def workers() -> Iterator[Executor]:
    """The process pool that decodes large bodies."""
    pool = LazyWorkers()
    yield pool
    pool.shutdown()


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, workers: Executor) -> Iterator[Door]:
    """A door in verify mode, for the module; its fakes' faults are taken back by `clean_fakes`."""
    with Door(options(tmp_path_factory.mktemp("spool")), workers) as served:
        yield served


@pytest.fixture(autouse=True)
def _clean_fakes(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "door" in request.fixturenames:
        served = request.getfixturevalue("door")
        served.invoker.error = served.invoker.result = served.control_plane.error = None
        served.clock.offset_ms = 0
        assert list(served.options.spool_directory.iterdir()) == []
