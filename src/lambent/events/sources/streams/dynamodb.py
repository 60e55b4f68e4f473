"""Amazon DynamoDB streams as an event source, by their public API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lambent.events.sources.answers import named_item
from lambent.events.sources.source import SourceError, SourceRecord
from lambent.events.sources.streams.contracts import IteratorExpiredError, Page, Position, Shard, batch_info
from lambent.wire.client import CallError, Principal
from lambent.wire.error_forms import NeighbourError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lambent.model.configs.event_source import EventSourceMapping
    from lambent.wire.client import OutwardClient

# GetRecords gives no more at a time. Source: DynamoDB streams API reference.
_PAGE_MAX = 1_000


class DynamoDbStream:
    """One table's stream. Scope: mapping; keeps nothing."""

    filtered_member = None

    def __init__(self, mapping: EventSourceMapping, client: OutwardClient) -> None:
        self._arn = mapping.event_source_arn or ""
        parts = self._arn.split(":")
        self._region = parts[3]
        self._principal = Principal(parts[4], parts[3])
        self._client = client

    async def shards(self) -> Sequence[Shard]:
        """See StreamSource."""
        found: list[Shard] = []
        last: str | None = None
        while True:
            asked = {"StreamArn": self._arn} | ({} if last is None else {"ExclusiveStartShardId": last})
            described = (await self._call("DescribeStream", asked)).get("StreamDescription") or {}
            for one in described.get("Shards") or ():
                parents = (one["ParentShardId"],) if one.get("ParentShardId") else ()
                is_closed = (one.get("SequenceNumberRange") or {}).get("EndingSequenceNumber") is not None
                found.append(Shard(one["ShardId"], parents, is_closed))
            last = described.get("LastEvaluatedShardId")
            if not last:
                return found

    async def iterator(self, shard_id: str, position: Position) -> str:
        """See StreamSource."""
        asked: dict[str, object] = {
            "StreamArn": self._arn,
            "ShardId": shard_id,
            "ShardIteratorType": position.start.value,
        }
        if position.sequence_number is not None:
            asked["SequenceNumber"] = position.sequence_number
        return str((await self._call("GetShardIterator", asked))["ShardIterator"])

    async def read(self, shard_id: str, iterator: str, count_max: int) -> Page:
        """See StreamSource."""
        answer = await self._call("GetRecords", {"ShardIterator": iterator, "Limit": min(count_max, _PAGE_MAX)})
        return Page([self._record(one) for one in answer.get("Records") or ()], answer.get("NextShardIterator") or None)

    def event(self, records: Sequence[SourceRecord]) -> Mapping[str, Any]:
        """See StreamSource."""
        return {"Records": [record.document for record in records]}

    def lost_info(self, shard_id: str, records: Sequence[SourceRecord]) -> Mapping[str, Any]:
        """See OrderedSource."""
        return batch_info("DDBStreamBatchInfo", self._arn, shard_id, records)

    def item_of(self, identifier: object) -> str | None:
        """See OrderedSource."""
        return named_item(identifier)

    def _record(self, record: Mapping[str, Any]) -> SourceRecord:
        # Source: recorded (test_dynamodb_event_source_mapping).
        change = dict(record.get("dynamodb") or {})
        moment = float(change.get("ApproximateCreationDateTime") or 0)
        if moment:
            # Source: recorded: a number with a fraction, though it is of whole seconds.
            change["ApproximateCreationDateTime"] = moment
        document = {
            "eventID": record.get("eventID"),
            "eventName": record.get("eventName"),
            "eventVersion": record.get("eventVersion", "1.1"),
            "eventSource": "aws:dynamodb",
            "awsRegion": record.get("awsRegion") or self._region,
            "dynamodb": change,
            **({"userIdentity": record["userIdentity"]} if record.get("userIdentity") else {}),
            "eventSourceARN": self._arn,
        }
        text = json.dumps(document, ensure_ascii=False)
        return SourceRecord(
            document,
            document,
            str(change.get("SequenceNumber")),
            len(text.encode()),
            group=json.dumps(change.get("Keys"), sort_keys=True),
            arrived_ms=int(moment * 1000),
        )

    async def _call(self, action: str, body: Mapping[str, object]) -> dict[str, Any]:
        try:
            return await self._client.call("dynamodbstreams", action, body, self._principal)
        except CallError as error:
            if error.code in ("ExpiredIteratorException", "TrimmedDataAccessException"):
                raise IteratorExpiredError(is_trimmed=error.code.startswith("Trimmed")) from error
            raise SourceError(f"{self._arn}: {error}", is_lasting=error.code == "ResourceNotFoundException") from error
        except NeighbourError as error:
            raise SourceError(f"{self._arn}: {error.message}") from error
