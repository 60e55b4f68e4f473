"""Every earlier form of the database becomes today's, with what is in it."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

import pytest

from lambent.store import InstallationKey, SqliteFunctionStore, StoreUnusableError
from lambent.store.sqlite import migrations, queries
from lambent.store.sqlite.connection import connect
from lambent.store.sqlite.migrations import MIGRATIONS, SchemaTooNewError, migrate
from lambent.store.sqlite.rows import row_of
from tests.unit.store.conftest import a_function

if TYPE_CHECKING:
    from pathlib import Path


def forms(connection: sqlite3.Connection) -> list[str]:
    return sorted(row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"))


@pytest.mark.parametrize("start", range(len(MIGRATIONS) + 1))
async def test_from_every_earlier_form(tmp_path: Path, key: InstallationKey, start: int) -> None:
    path = tmp_path / "lambent.db"
    function = a_function(environment={"A": "B"})
    connection = connect(str(path))
    migrate(connection, up_to=start)
    if start >= 1:
        connection.execute(queries.INSERT_FUNCTION, row_of(function, key))
    if start >= 2:
        identity = (function.account_id, function.region, function.name)
        connection.execute(queries.INSERT_TAGS, (*identity, json.dumps({"k": "v"})))
    connection.close()

    store = SqliteFunctionStore(path, key)
    assert await store.get(function.arn) == (function if start >= 1 else None)
    assert await store.get_tags(function.arn) == {0: None, 1: {}, 2: {"k": "v"}}[start]
    await store.close()

    fresh, migrated = connect(str(tmp_path / "fresh.db")), connect(str(path))
    migrate(fresh)
    assert forms(fresh) == forms(migrated)
    fresh.close()
    migrated.close()


def test_a_newer_form_is_refused(tmp_path: Path, key: InstallationKey) -> None:
    path = tmp_path / "lambent.db"
    connection = connect(str(path))
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(SchemaTooNewError, match="use a newer Lambent"):
        SqliteFunctionStore(path, key)


def test_what_is_no_database_is_refused(tmp_path: Path, key: InstallationKey) -> None:
    (tmp_path / "lambent.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreUnusableError, match="cannot be used: file is not a database"):
        SqliteFunctionStore(tmp_path / "lambent.db", key)


def test_a_step_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = connect(str(tmp_path / "lambent.db"))
    broken = (MIGRATIONS[0], "CREATE TABLE half (a); INSERT INTO nowhere VALUES (1);")
    monkeypatch.setattr(migrations, "MIGRATIONS", broken)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, up_to=2)
    assert not any("half" in form for form in forms(connection))
    assert connection.execute("PRAGMA user_version").fetchone()[0] == 1
    connection.close()
