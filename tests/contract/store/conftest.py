"""Every driver of the RecordStore contract, one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from lambent.model.function import CodeReference, FunctionVersion
from lambent.store import FunctionStore, InstallationKey, Resources, open_records
from tests.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from lambent.store.contracts import RecordStore

ACCOUNT = "000000000000"
REGION = "us-east-1"


class Opened:
    """One daemon's view of a store: the driver and what is built on it. It runs until it is closed."""

    def __init__(self, records: RecordStore, key: InstallationKey) -> None:
        self.records = records
        self.resources = Resources(records, key)
        self.functions = FunctionStore(self.resources)
        self._running = asyncio.get_running_loop().create_task(records.run())

    async def close(self) -> None:
        """Close the driver, as a daemon that ends in order."""
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running
        await self.records.close()


@dataclass(frozen=True)
class Place:
    """Where a store lies: a data directory, and the database's URL when it is not in there."""

    directory: Path
    url: str = ""
    postgres: Postgres | None = None

    async def open(self) -> Opened:
        """Open it as a starting daemon does."""
        key = InstallationKey.open(self.directory / "keys")
        return Opened(open_records(self.directory, url=self.url, key=key), key)

    async def execute(self, statement: str) -> None:
        """Change the database behind the store's back."""
        if self.postgres is not None:
            await asyncio.to_thread(self.postgres.query, statement, self.url.rpartition("/")[2])
        else:
            await asyncio.to_thread(self._execute_sqlite, statement)

    def files(self) -> list[Path]:
        """Return every file in which the store could have left something."""
        directories = [self.directory]
        if self.postgres is not None:
            # What is on disk of the tables is what was there at the last checkpoint; the log has the rest.
            self.postgres.query("CHECKPOINT")
            directories += [self.postgres.data / "base", self.postgres.data / "pg_wal", self.postgres.directory / "log"]
        found = [path for directory in directories for path in (directory, *directory.rglob("*"))]
        return [path for path in found if path.is_file()]

    def _execute_sqlite(self, statement: str) -> None:
        with closing(sqlite3.connect(self.directory / "lambent.db")) as connection, connection:
            connection.execute(statement)


def a_function(name: str = "f", **members: Any) -> FunctionVersion:
    """Return a function with what it must have."""
    defaults: dict[str, Any] = {
        "account_id": ACCOUNT,
        "region": REGION,
        "name": name,
        "role": f"arn:aws:iam::{ACCOUNT}:role/r",
        "code": CodeReference("0" * 64, 100, 200),
        "configuration_id": "c1",
        "revision_id": "r1",
        "last_modified_ms": 1,
    }
    return FunctionVersion(**{**defaults, **members})


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for the whole run; every test has a database of its own in it."""
    server = Postgres()
    try:
        yield server
    finally:
        server.remove()


def postgres_place(server: Postgres, directory: Path) -> Place:
    """Return a place in a database of its own."""
    return Place(directory, server.make_database(f"lambent-{secrets.token_hex(6)}"), server)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(tmp_path)
    return postgres_place(request.getfixturevalue("postgres"), tmp_path)


@pytest.fixture
async def opened(place: Place) -> AsyncIterator[Opened]:
    made = await place.open()
    yield made
    await made.close()


@pytest.fixture
def store(opened: Opened) -> FunctionStore:
    return opened.functions
