"""Packages in the database, in pieces of a MiB: no other server is needed for several daemons to share them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.model.errors import ServiceError
from lambent.store.blobs import on_disk
from lambent.store.postgresql import queries
from lambent.store.postgresql.connection import ANY_FAILURE, service_error

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    import asyncpg

    from lambent.store.postgresql.connection import Database

_CHUNK_BYTES = 1 << 20


class PostgresqlBlobs:
    """The contract of `Blobs`. Scope: cluster. After a crash: whole packages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, sha256: str, path: Path, *, is_replacing: bool = False) -> None:
        """See Blobs.put."""
        try:
            async with self._database.connection() as connection:
                if await connection.fetchval(queries.KEEP_BLOB, sha256) is None or is_replacing:
                    async with connection.transaction():
                        if is_replacing:
                            await connection.execute(queries.DELETE_BLOB, sha256)
                        await _write(connection, sha256, path)
        except ANY_FAILURE as error:
            raise service_error(error) from error

    async def fetch(self, sha256: str, path: Path) -> None:
        """See Blobs.fetch."""
        try:
            # One moment for all pieces: meanwhile the sealed form may take the place of the open one.
            async with (
                self._database.connection() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                await _read(connection, sha256, path)
        except ANY_FAILURE as error:
            raise service_error(error) from error

    async def sweep(self, in_use: Collection[str]) -> int:
        """See Blobs.sweep."""
        try:
            async with self._database.connection() as connection:
                return len(await connection.fetch(queries.SWEEP_BLOBS, list(in_use)))
        except ANY_FAILURE as error:
            raise service_error(error) from error


async def _write(connection: asyncpg.Connection, sha256: str, path: Path) -> None:
    size_bytes = (await on_disk(path.stat)).st_size
    if await connection.fetchval(queries.PUT_BLOB, sha256, size_bytes) is None:
        return
    with await on_disk(path.open, "rb") as file:
        number = 0
        while chunk := await on_disk(file.read, _CHUNK_BYTES):
            await connection.execute(queries.PUT_BLOB_CHUNK, sha256, number, chunk)
            number += 1


async def _read(connection: asyncpg.Connection, sha256: str, path: Path) -> None:
    left_bytes = await connection.fetchval(queries.BLOB_SIZE, sha256)
    if left_bytes is None:
        raise ServiceError(f"The package {sha256} is not in the store.")
    number = 0
    with await on_disk(path.open, "xb") as file:
        while left_bytes > 0:
            chunk = await connection.fetchval(queries.BLOB_CHUNK, sha256, number)
            if chunk is None:
                raise ServiceError(f"The package {sha256} is not whole in the store.")
            await on_disk(file.write, chunk)
            left_bytes -= len(chunk)
            number += 1
