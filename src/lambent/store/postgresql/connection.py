"""Connections to the database, what they are told when they are opened, and its failures in our words."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Any

import asyncpg

from lambent.model.errors import ServiceError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_CONNECTIONS_MAX = 8
# A database that is gone refuses at once; these bound one that hangs.
_CONNECT_SECONDS = 5.0
_STATEMENT_SECONDS = 10.0
_SESSION = {
    "application_name": "lambent",
    # A daemon that is stopped amid a commit holds up all others for so long, and no longer.
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "10s",
    # Where the planner has no statistics yet, compiling a query of a millisecond took seventy.
    "jit": "off",
}

# What a connection raises when the other end is not there, or goes away.
UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.LockNotAvailableError,
)
ANY_FAILURE = (*UNREACHABLE, asyncpg.PostgresError)


class Database:
    """A pool of connections, made at the first use. Scope: node; keeps no state but its connections.

    A connection that the database closed is replaced at its next use, so a restart of the database needs none of ours.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._opening = asyncio.Lock()
        self._pool: asyncpg.Pool | None = None

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection for a block. What fails in the block, a cancellation too, ends the connection.

        Raises: what asyncpg raises (ANY_FAILURE).
        """
        pool = await self._opened()
        connection = await pool.acquire(timeout=_CONNECT_SECONDS)
        try:
            yield connection
        except BaseException:
            # It may be amid a transaction: the server rolls back what has lost its client.
            connection.terminate()
            raise
        finally:
            await pool.release(connection)

    async def connect(self) -> asyncpg.Connection:
        """Return a connection of its own, for listening."""
        return await connect(self._url)

    async def close(self) -> None:
        """Close every connection."""
        async with self._opening:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    async def _opened(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._url, min_size=0, max_size=_CONNECTIONS_MAX, reset=_leave_as_it_is, **_options()
                )
            return self._pool


async def connect(url: str) -> asyncpg.Connection:
    """Return a connection. Raises: what asyncpg raises (ANY_FAILURE)."""
    return await asyncpg.connect(url, **_options())


def place_of(url: str) -> str:
    """Return host, port and name of the database for a person: never user and password, however badly they are quoted.

    An unquoted `/`, `?` or `#` in a password would make a parser take its rest for the place: the last `@` decides.
    """
    rest = url.partition("://")[2].rpartition("@")[2]
    return re.split("[?&#]", rest, maxsplit=1)[0]


def service_error(error: BaseException, *, is_outcome_known: bool = True) -> ServiceError:
    """Return what a caller is told when the database failed, and what is known of the change."""
    outcome = "nothing was changed" if is_outcome_known else "whether the change was made is not known"
    if isinstance(error, asyncpg.DiskFullError):
        return ServiceError(f"The disk that holds the store is full; {outcome}.")
    if isinstance(error, UNREACHABLE):
        return UnavailableError(f"The store cannot be reached; {outcome}. Try again.")
    return ServiceError(f"The store failed; {outcome}.")


def _options() -> dict[str, Any]:
    return {"timeout": _CONNECT_SECONDS, "command_timeout": _STATEMENT_SECONDS, "server_settings": _SESSION}


async def _leave_as_it_is(connection: asyncpg.Connection) -> None:
    """Spare the round trip after every use: nothing here changes a session."""
