"""What scenarios of several daemons share: one PostgreSQL a module, and pairs of daemons on it."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.conftest import ServerFactory
    from tests.running import LambentServer


class PairFactory(Protocol):
    """Starts two servers with the same key on one new database, half of everything each."""

    def __call__(
        self, database: str, settings: Mapping[str, str] | None = None
    ) -> tuple[LambentServer, LambentServer]: ...


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="module", autouse=True)
def directories() -> Iterator[list[Path]]:
    """Data directories that go when their daemons have ended; asked for first, it is torn down last."""
    made: list[Path] = []
    yield made
    for directory in made:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def start_pair(postgres: Postgres, directories: list[Path], lambent_server_factory: ServerFactory) -> PairFactory:
    def start(database: str, settings: Mapping[str, str] | None = None) -> tuple[LambentServer, LambentServer]:
        shared = {"store.url": postgres.make_database(database), "cluster.slice": "0.5", **(settings or {})}
        first = lambent_server_factory(shared)
        # Started as an operator would: with the first one's keys.
        directory = first.data_dir.with_name(first.data_dir.name + "-second")
        directory.mkdir(mode=0o755)
        directories.append(directory)
        subprocess.run(["cp", "-a", str(first.data_dir / "keys"), str(directory)], check=True)
        return first, lambent_server_factory(shared, directory)

    return start
