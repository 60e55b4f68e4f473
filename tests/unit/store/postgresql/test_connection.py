"""Failures of the database in our words, and its place without its password."""

from __future__ import annotations

import asyncpg
import pytest

from lambent.model.errors import ServiceError, UnavailableError
from lambent.store.postgresql.connection import place_of, service_error


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://user:se@cret@db.example:5432/lambent?sslmode=require", "db.example:5432/lambent"),
        ("postgresql://db.example/lambent", "db.example/lambent"),
        ("postgresql://u:p@one:1,two:2/lambent", "one:1,two:2/lambent"),
        ("postgres:///lambent?host=/run/postgresql&password=secret", "/lambent"),
        ("postgresql://u:se/cr?e#t@h:1/d?x=y#z", "h:1/d"),
        ("postgresql://u:1/secret@h/d", "h/d"),
        ("postgresql://h/d?user=a@b&password=secret", "b"),
    ],
)
def test_a_place_has_no_secret(url: str, place: str) -> None:
    assert place_of(url) == place


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ConnectionRefusedError(), UnavailableError, "cannot be reached; nothing was changed"),
        (TimeoutError(), UnavailableError, "cannot be reached; nothing was changed"),
        (asyncpg.AdminShutdownError("x"), UnavailableError, "cannot be reached"),
        (asyncpg.ConnectionDoesNotExistError("x"), UnavailableError, "cannot be reached"),
        (asyncpg.InterfaceError("x"), UnavailableError, "cannot be reached"),
        (asyncpg.TooManyConnectionsError("x"), UnavailableError, "cannot be reached"),
        (asyncpg.ReadOnlySQLTransactionError("x"), UnavailableError, "cannot be reached"),
        (asyncpg.DiskFullError("x"), ServiceError, "disk that holds the store is full; nothing was changed"),
        (asyncpg.UndefinedTableError("x"), ServiceError, "The store failed; nothing was changed"),
    ],
)
def test_failures_are_told_in_words(error: BaseException, kind: type[ServiceError], text: str) -> None:
    told = service_error(error)
    assert type(told) is kind
    assert text in told.message


def test_an_outcome_that_is_not_known_is_not_claimed() -> None:
    told = service_error(ConnectionResetError(), is_outcome_known=False)
    assert "whether the change was made is not known" in told.message
    assert "nothing was changed" not in told.message
