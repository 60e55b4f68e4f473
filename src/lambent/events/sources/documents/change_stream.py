"""The change stream of a database or collection: one shard, whose sequence numbers are resume tokens.

So the loop over streams reads it: its lease, its checkpoint, its line of batches.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

from lambent.events.sources.documents.history import is_history_lost, open_at_oldest
from lambent.events.sources.documents.places import connection_string, read_user
from lambent.events.sources.source import SourceError, SourceRecord, Trouble
from lambent.events.sources.streams.contracts import IteratorExpiredError, Page, Shard, Start
from lambent.model.configs.event_source import DocumentDbConfig
from lambent.model.quotas import PAYLOAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bson import Timestamp
    from pymongo import AsyncMongoClient
    from pymongo.asynchronous.change_stream import AsyncChangeStream

    from lambent.events.sources.streams.contracts import Position
    from lambent.model.configs.event_source import EventSourceMapping
    from lambent.wire.client import OutwardClient

    Client = AsyncMongoClient[dict[str, Any]]
    Changes = AsyncChangeStream[dict[str, Any]]

_SERVER_SECONDS = 10.0
# How long the server lets one read wait for something: a little, for it does so after the last change of a burst too.
_WAIT_MS = 100
_ENVELOPE_BYTES = 512
_TEXT_MAX = 300
_MISSING = "DocumentDB needs the package pymongo: pip install 'lambent[documentdb]'"
# Codes of MongoDB's protocol. Source: mongodb.com, "Error Codes": AuthenticationFailed, UserNotFound, Unauthorized.
_AUTHENTICATION = frozenset((11, 18))
_AUTHORIZATION = frozenset((13,))
_INVALIDATE = "invalidate"
_AT = "start_at_operation_time"


class ChangeStream:
    """One stream. Scope: mapping; keeps the client and the cursor that was opened last.

    `brokers` is the setting's. `opened` is told of every cursor, `trouble` says why there is none.
    """

    filtered_member = None

    def __init__(
        self,
        mapping: EventSourceMapping,
        client: OutwardClient,
        brokers: Mapping[str, str],
        opened: Callable[[], None] = lambda: None,
    ) -> None:
        self._mapping = mapping
        self._config = mapping.document_db_event_source_config or DocumentDbConfig()
        self._services = client
        self._brokers = brokers
        self._client: Client | None = None
        self._changes: Changes | None = None
        self._opened = 0
        self._tell_opened = opened
        self.trouble: Trouble | None = None
        self._log = logging.getLogger(__name__)

    async def shards(self) -> Sequence[Shard]:
        """See StreamSource."""
        return (Shard(f"{self._config.database_name}/{self._config.collection_name or ''}"),)

    async def iterator(self, shard_id: str, position: Position) -> str:
        """Open a cursor at a place; see StreamSource."""
        await self._close_changes()
        try:
            client = await self._connected()
            import pymongo.errors

            try:
                self._changes = await self._watch(client, position)
            except pymongo.errors.PyMongoError as error:
                raise await self._error(error) from error
        except SourceError as error:
            self.trouble = error.trouble
            raise
        self.trouble = None
        self._tell_opened()
        self._opened += 1
        return str(self._opened)

    async def read(self, shard_id: str, iterator: str, count_max: int) -> Page:
        """See StreamSource. What is too large for a function is passed over.

        Source: developer guide, "Monitoring your Amazon DocumentDB event source": events of more than 6 MB are dropped.
        """
        import pymongo.errors

        changes = self._changes
        if changes is None or iterator != str(self._opened):
            raise IteratorExpiredError(is_trimmed=False)
        records: list[SourceRecord] = []
        try:
            while len(records) < count_max:
                change = await changes.try_next()
                if change is None:
                    break
                record = change_record(change)
                if record.size_bytes > PAYLOAD_BYTES.value - _ENVELOPE_BYTES:
                    self._log.warning(
                        "event source mapping %s: a change of %d bytes is too large for a function",
                        self._mapping.uuid, record.size_bytes,
                    )  # fmt: skip
                    continue
                records.append(record)
        except pymongo.errors.PyMongoError as error:
            if not records:
                lost = await self._error(error)
                self.trouble = lost.trouble
                raise lost from error
            # What was read is handed out; the next read meets the error again.
            await self._close_changes()
        if not changes.alive:
            await self._close_changes()
        return Page(records, iterator)

    async def close(self) -> None:
        """Disconnect. Never raises."""
        await self._close_changes()
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def event(self, records: Sequence[SourceRecord]) -> Mapping[str, Any]:
        """See OrderedSource. Source: developer guide, "Example Amazon DocumentDB event"."""
        return {
            "eventSourceArn": self._mapping.event_source_arn,
            "events": [{"event": record.document} for record in records],
            "eventSource": "aws:docdb",
        }

    def lost_info(self, shard_id: str, records: Sequence[SourceRecord]) -> Mapping[str, Any]:
        """See OrderedSource. Such mappings have no on-failure destination, and never give up."""
        return {"DocumentDBBatchInfo": {"batchSize": len(records), "eventSourceArn": self._mapping.event_source_arn}}

    def item_of(self, identifier: object) -> str | None:
        """See OrderedSource. Such mappings have no partial answers."""
        return None

    async def _connected(self) -> Client:
        if self._client is None:
            user, password = await read_user(self._services, self._mapping)
            url = connection_string(self._mapping, self._brokers)
            try:
                # A second's work, the first time.
                pymongo = await asyncio.to_thread(__import__, "pymongo")
            except ImportError as error:
                raise SourceError(_MISSING, is_lasting=True) from error
            try:
                self._client = pymongo.AsyncMongoClient(
                    url,
                    username=user,
                    password=password,
                    appname="lambent",
                    serverSelectionTimeoutMS=int(_SERVER_SECONDS * 1_000),
                    connectTimeoutMS=int(_SERVER_SECONDS * 1_000),
                )
            except (pymongo.errors.PyMongoError, ValueError, TypeError, OSError) as error:
                raise SourceError(f"event_sources.brokers: {error}", is_lasting=True, trouble=Trouble.CONFIG) from error
        return self._client

    async def _watch(self, client: Client, position: Position) -> Changes:
        from bson import Timestamp

        if position.start is Start.AFTER_SEQUENCE_NUMBER and position.sequence_number is not None:
            token = json.loads(position.sequence_number)
            kind = token.pop("kind", None)
            # Behind the end of a collection only this member goes on; some servers do not know it.
            return await self._open(client, {"start_after" if kind == _INVALIDATE else "resume_after": token})
        if position.start is Start.AT_TIMESTAMP and position.timestamp is not None:
            return await self._open(client, {_AT: Timestamp(int(position.timestamp), 1)})
        if position.start is Start.TRIM_HORIZON:
            return await open_at_oldest(client, lambda moment: self._open(client, {_AT: moment}))
        return await self._open(client, {})

    async def _open(self, client: Client, place_in_time: Mapping[str, Any]) -> Changes:
        """Ask the server for a cursor that begins there, now if nothing is said."""
        database = client[self._config.database_name or ""]
        place = database if not self._config.collection_name else database[self._config.collection_name]
        full = "updateLookup" if self._config.full_document == "UpdateLookup" else None
        return await place.watch(full_document=full, max_await_time_ms=_WAIT_MS, **place_in_time)

    async def _close_changes(self) -> None:
        changes, self._changes = self._changes, None
        if changes is not None:
            import pymongo.errors

            try:
                await changes.close()
            except pymongo.errors.PyMongoError as error:
                self._log.debug("closing a change stream: %s", error)

    async def _error(self, error: Exception) -> SourceError:
        """Return a refusal or a loss in the poller's words, and begin anew with the next try."""
        await self.close()
        code = getattr(error, "code", None)
        # One that finds no server describes all of them.
        text = f"{self._mapping.event_source_arn}: {str(error)[:_TEXT_MAX]}"
        if is_history_lost(error):
            # Source: developer guide, "Using AWS Lambda with change streams": expired: the mapping is disabled.
            return SourceError(f"{text} (make a new mapping)", is_lasting=True, trouble=Trouble.CONFIG)
        if code in _AUTHENTICATION:
            return SourceError(f"{text}", is_lasting=True, trouble=Trouble.AUTHENTICATION)
        if code in _AUTHORIZATION:
            return SourceError(f"{text}", is_lasting=True, trouble=Trouble.AUTHORIZATION)
        return SourceError(text)


def change_record(change: Mapping[str, Any]) -> SourceRecord:
    """Return a change as a record: extended JSON, as MongoDB's drivers write it.

    Its id is the resume token, JSON text; of the last change of a collection with a mark.
    """
    from bson import json_util

    text = json_util.dumps(change, json_options=json_util.RELAXED_JSON_OPTIONS)
    document = json.loads(text)
    token = dict(document["_id"])
    if change.get("operationType") == _INVALIDATE:
        token["kind"] = _INVALIDATE
    moment: Timestamp | None = change.get("clusterTime")
    arrived_ms = moment.time * 1_000 if moment is not None else 0
    return SourceRecord(
        document, document, json.dumps(token, sort_keys=True), len(text.encode()), arrived_ms=arrived_ms
    )
