"""Every driver of the RecordStore contract, one after the other."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from lambent.model.function import CodeReference, FunctionVersion
from lambent.store import FunctionStore, InstallationKey, Resources, open_records

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lambent.store.contracts import RecordStore

ACCOUNT = "000000000000"
REGION = "us-east-1"


@dataclass(frozen=True)
class Opened:
    """One daemon's view of a store: the driver and what is built on it."""

    records: RecordStore
    resources: Resources
    functions: FunctionStore

    async def close(self) -> None:
        """Close the driver."""
        await self.records.close()


@dataclass(frozen=True)
class Place:
    """Where a store lies: a data directory, and the database's URL when it is not in there."""

    directory: Path
    url: str = ""

    def open(self) -> Opened:
        """Open it as a starting daemon does."""
        resources = Resources(records := open_records(self.directory), InstallationKey.open(self.directory / "keys"))
        return Opened(records, resources, FunctionStore(resources))

    async def execute(self, statement: str) -> None:
        """Change the database behind the store's back."""
        await asyncio.to_thread(self._execute_sqlite, statement)

    def files(self) -> list[Path]:
        """Return every file in which the store could have left something."""
        return [path for path in self.directory.rglob("*") if path.is_file()]

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


@pytest.fixture(params=["sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
async def opened(place: Place) -> AsyncIterator[Opened]:
    made = place.open()
    yield made
    await made.close()


@pytest.fixture
def store(opened: Opened) -> FunctionStore:
    return opened.functions
