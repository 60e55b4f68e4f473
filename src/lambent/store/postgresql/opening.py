"""Before the first commit: is the database there, does it keep what it acknowledges, is its form ours, and its key?"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from msgspec import Struct

from lambent.store.contracts import StoreUnusableError
from lambent.store.postgresql import queries
from lambent.store.postgresql.connection import ANY_FAILURE, connect, place_of
from lambent.store.postgresql.migrations import migrate

if TYPE_CHECKING:
    import asyncpg

_VERSION_MIN = 130_000


class Expectations(Struct, frozen=True):
    """What a daemon expects of the database it is given.

    `key_digest` tells the installation's key without betraying it; None is not compared. `has_others`: other daemons
    work on it too.
    """

    key_digest: str | None = None
    has_others: bool = False


def prepare_database(url: str, expectations: Expectations) -> None:
    """Check the database and bring it to today's form. Blocks, for the daemon has not begun to serve.

    Raises:
        StoreUnusableError: it cannot be reached or used; the text says why, and never a password.
    """
    # The caller's loop runs already and waits for this; a connection needs one that runs.
    with ThreadPoolExecutor(1, "store-opening") as thread:
        thread.submit(asyncio.run, _prepare(url, expectations)).result()


async def _prepare(url: str, expectations: Expectations) -> None:
    place = place_of(url)
    try:
        connection = await connect(url)
    except ANY_FAILURE as error:
        raise StoreUnusableError(f"The database {place} (store.url) cannot be reached: {_reason(error)}.") from None
    except ValueError:
        # The error would quote what it could not read, and that may be a part of the password.
        raise StoreUnusableError(
            f"The URL of the database {place} (store.url) cannot be read: write %XX for what is special in user and "
            "password."
        ) from None
    try:
        _check_durability(await connection.fetchrow(queries.DURABILITY), place, has_others=expectations.has_others)
        await migrate(connection)
        if expectations.key_digest is not None:
            await _check_key(connection, expectations.key_digest, place)
    except ANY_FAILURE as error:
        raise StoreUnusableError(f"The database {place} (store.url) cannot be used: {_reason(error)}.") from error
    finally:
        connection.terminate()


def _check_durability(found: asyncpg.Record, place: str, *, has_others: bool) -> None:
    complaint = None
    if found["version"] < _VERSION_MIN:
        complaint = f"it is PostgreSQL {found['version'] // 10_000}, and {_VERSION_MIN // 10_000} or newer is needed"
    elif found["is_standby"]:
        complaint = "it is a standby: name the primary"
    elif found["encoding"] != "UTF8":
        complaint = f"its encoding is {found['encoding']}, not UTF8: create it with ENCODING 'UTF8'"
    elif found["fsync"] == "off":
        complaint = "fsync is off, so a power cut could lose what was acknowledged: set fsync = on"
    elif found["synchronous_commit"] == "off":
        complaint = (
            "synchronous_commit is off, so a crash could lose what was acknowledged: set it to on, in the server, "
            "for the role and in store.url"
        )
    if complaint is not None:
        raise StoreUnusableError(f"The database {place} (store.url) cannot be used: {complaint}.")
    if has_others and not found["standbys"]:
        logging.getLogger(__name__).warning(
            "the database %s has no synchronous standby: what it acknowledged is lost with its disk", place
        )


async def _check_key(connection: asyncpg.Connection, digest: str, place: str) -> None:
    await connection.execute(queries.KEEP_KEY_DIGEST, digest)
    if await connection.fetchval(queries.KEY_DIGEST) != digest:
        raise StoreUnusableError(
            f"The database {place} (store.url) belongs to an installation with another key: copy the directory keys/ "
            "of a daemon that uses it into this data directory, or name another database."
        )


def _reason(error: BaseException) -> str:
    text = str(error).strip().rstrip(".")
    return text or type(error).__name__
