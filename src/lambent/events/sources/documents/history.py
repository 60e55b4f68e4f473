"""The oldest change that a server still has: TRIM_HORIZON.

The protocol has no word for it. A server that keeps its log where MongoDB does tells when it begins; others (DocumentDB
keeps changes for three hours to seven days) are asked for ever younger moments until they know one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bson import Timestamp
    from pymongo import AsyncMongoClient

T = TypeVar("T")

# Source: mongodb.com, "Error Codes": CappedPositionLost, InvalidResumeToken, ChangeStreamFatalError,
# ChangeStreamHistoryLost.
_LOST = frozenset((136, 260, 280, 286))
_HOUR = 3_600
# Source: DocumentDB developer guide, change_stream_log_retention_duration: one hour to seven days, by default three.
_AGES = (7 * 24 * _HOUR, 3 * 24 * _HOUR, 24 * _HOUR, 12 * _HOUR, 6 * _HOUR, 3 * _HOUR, _HOUR, _HOUR // 6, 0)


def is_history_lost(error: Exception) -> bool:
    """Whether a server says that it does not have the changes any more that were asked for."""
    return getattr(error, "code", None) in _LOST


async def open_at_oldest(client: AsyncMongoClient[dict[str, Any]], open_at: Callable[[Timestamp], Awaitable[T]]) -> T:
    """Return what `open_at` returns for the oldest moment that the server knows. Raises PyMongoError."""
    import pymongo.errors
    from bson import Timestamp

    oldest = await _beginning_of_log(client)
    if oldest is not None:
        return await open_at(oldest)
    now = await _server_seconds(client)
    for age in _AGES[:-1]:
        try:
            return await open_at(Timestamp(now - age, 1))
        except pymongo.errors.OperationFailure as error:
            if not is_history_lost(error):
                raise
    return await open_at(Timestamp(now, 1))


async def _beginning_of_log(client: AsyncMongoClient[dict[str, Any]]) -> Timestamp | None:
    import pymongo.errors
    from bson import Timestamp

    try:
        first = await client["local"]["oplog.rs"].find_one({}, sort=[("$natural", 1)])
    except pymongo.errors.OperationFailure:
        # No such log, or it is not for this user.
        return None
    moment = None if first is None else first.get("ts")
    return moment if isinstance(moment, Timestamp) else None


async def _server_seconds(client: AsyncMongoClient[dict[str, Any]]) -> int:
    """Return the server's time: positions are by its clock."""
    answer = await client["admin"].command("isMaster")
    return int(answer["localTime"].timestamp())
