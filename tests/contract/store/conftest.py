"""Every driver of the FunctionStore contract, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lambent.model.function import CodeReference, FunctionVersion
from lambent.store import InstallationKey, SqliteFunctionStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from lambent.store import FunctionStore


def open_sqlite(data_directory: Path) -> SqliteFunctionStore:
    """Open the embedded driver's store in a data directory."""
    return SqliteFunctionStore(data_directory / "lambent.db", InstallationKey.open(data_directory / "keys"))


def a_function(name: str = "f", **members: Any) -> FunctionVersion:
    """Return a function with what it must have."""
    defaults: dict[str, Any] = {
        "account_id": "000000000000",
        "region": "us-east-1",
        "name": name,
        "role": "arn:aws:iam::000000000000:role/r",
        "code": CodeReference("0" * 64, 100, 200),
        "configuration_id": "c1",
        "revision_id": "r1",
        "last_modified_ms": 1,
    }
    return FunctionVersion(**{**defaults, **members})


@pytest.fixture(params=[open_sqlite], ids=["sqlite"])
def opener(request: pytest.FixtureRequest) -> Callable[[Path], SqliteFunctionStore]:
    made: Callable[[Path], SqliteFunctionStore] = request.param
    return made


@pytest.fixture
async def store(opener: Callable[[Path], SqliteFunctionStore], tmp_path: Path) -> AsyncIterator[FunctionStore]:
    opened = opener(tmp_path)
    yield opened
    await opened.close()
