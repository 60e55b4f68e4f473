"""Amazon Kinesis data streams as an event source, by their public API."""

from __future__ import annotations

import base64
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

# What an event has around one record beside its data.
_AROUND_BYTES = 512


class KinesisStream:
    """One stream. Scope: mapping; keeps nothing. `role` is the function's, which events name."""

    filtered_member = "data"

    def __init__(self, mapping: EventSourceMapping, client: OutwardClient, role: str) -> None:
        self._arn = mapping.event_source_arn or ""
        parts = self._arn.split(":")
        self._region = parts[3]
        self._principal = Principal(parts[4], parts[3])
        # The ARN of a consumer names its stream too: stream/NAME/consumer/….
        self._stream = parts[5].split("/")[1]
        self._client = client
        self._role = role

    async def shards(self) -> Sequence[Shard]:
        """See StreamSource."""
        found: list[Shard] = []
        token: str | None = None
        while True:
            answer = await self._call(
                "ListShards", {"StreamName": self._stream} if token is None else {"NextToken": token}
            )
            for one in answer.get("Shards") or ():
                parents = (one.get("ParentShardId"), one.get("AdjacentParentShardId"))
                is_closed = (one.get("SequenceNumberRange") or {}).get("EndingSequenceNumber") is not None
                found.append(Shard(one["ShardId"], tuple(parent for parent in parents if parent), is_closed))
            token = answer.get("NextToken")
            if not token:
                return found

    async def iterator(self, shard_id: str, position: Position) -> str:
        """See StreamSource."""
        asked: dict[str, object] = {
            "StreamName": self._stream,
            "ShardId": shard_id,
            "ShardIteratorType": position.start.value,
        }
        if position.sequence_number is not None:
            asked["StartingSequenceNumber"] = position.sequence_number
        if position.timestamp is not None:
            asked["Timestamp"] = position.timestamp
        return str((await self._call("GetShardIterator", asked))["ShardIterator"])

    async def read(self, shard_id: str, iterator: str, count_max: int) -> Page:
        """See StreamSource."""
        answer = await self._call("GetRecords", {"ShardIterator": iterator, "Limit": count_max})
        records = [self._record(shard_id, one) for one in answer.get("Records") or ()]
        return Page(records, answer.get("NextShardIterator") or None)

    def event(self, records: Sequence[SourceRecord]) -> Mapping[str, Any]:
        """See StreamSource."""
        return {"Records": [record.document for record in records]}

    def lost_info(self, shard_id: str, records: Sequence[SourceRecord]) -> Mapping[str, Any]:
        """See OrderedSource."""
        return batch_info("KinesisBatchInfo", self._arn, shard_id, records)

    def item_of(self, identifier: object) -> str | None:
        """See OrderedSource."""
        return named_item(identifier)

    def _record(self, shard_id: str, record: Mapping[str, Any]) -> SourceRecord:
        # Source: recorded (test_kinesis_event_source_trim_horizon).
        number, arrived = str(record["SequenceNumber"]), float(record.get("ApproximateArrivalTimestamp") or 0)
        kinesis = {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record["PartitionKey"],
            "sequenceNumber": number,
            "data": record["Data"],
            "approximateArrivalTimestamp": arrived,
        }
        document = {
            "kinesis": kinesis,
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"{shard_id}:{number}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": self._role,
            "awsRegion": self._region,
            "eventSourceARN": self._arn,
        }
        return SourceRecord(
            document,
            {**kinesis, "data": _text(record["Data"])},
            number,
            len(record["Data"]) + _AROUND_BYTES,
            group=record["PartitionKey"],
            arrived_ms=int(arrived * 1000),
        )

    async def _call(self, action: str, body: Mapping[str, object]) -> dict[str, Any]:
        try:
            return await self._client.call("kinesis", action, body, self._principal)
        except CallError as error:
            if error.code == "ExpiredIteratorException":
                raise IteratorExpiredError(is_trimmed=False) from error
            raise SourceError(f"{self._arn}: {error}", is_lasting=error.code == "ResourceNotFoundException") from error
        except NeighbourError as error:
            raise SourceError(f"{self._arn}: {error.message}") from error


def _text(data: str) -> str | None:
    try:
        return base64.b64decode(data).decode()
    except ValueError:
        # Source: developer guide: what is no UTF-8 matches no filter on data.
        return None
