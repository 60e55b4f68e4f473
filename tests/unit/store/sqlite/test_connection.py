"""What durability rests on is really switched on, and a reader cannot write."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from lambent.store.sqlite.connection import connect

if TYPE_CHECKING:
    from pathlib import Path

_FULL = 2


def test_a_writer_waits_for_the_disk(tmp_path: Path) -> None:
    connection = connect(str(tmp_path / "a.db"))
    try:
        asked = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
        assert asked == {"journal_mode": "wal", "synchronous": _FULL}
        assert connection.execute("PRAGMA secure_delete").fetchone()[0] == 1
    finally:
        connection.close()


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    connect(str(tmp_path / "a.db")).close()
    connection = connect(str(tmp_path / "a.db"), is_read_only=True)
    try:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("CREATE TABLE t (a)")
    finally:
        connection.close()
