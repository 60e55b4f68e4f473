"""Shards that are split and merged while they are read, at another Kinesis: kinesalite."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from tests.other_sources import client_of, kinesalite
from tests.running import create_function
from tests.scenario.sources.conftest import RECORDER, events_of, wait_state, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import ServerFactory

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

KEYS = "abcdefgh"


@pytest.fixture(scope="module")
def streams() -> Iterator[str]:
    with kinesalite() as address:
        yield address


class Resharded:
    """A stream whose shards change."""

    def __init__(self, address: str) -> None:
        self.kinesis = client_of("kinesis", address)
        self.kinesis.create_stream(StreamName="resharded", ShardCount=2)
        self._wait()
        self.sent: list[str] = []

    def shards(self) -> list[dict[str, Any]]:
        """Return all shards, open or closed."""
        found: list[dict[str, Any]] = self._describe()["Shards"]
        return found

    def open_shards(self) -> list[dict[str, Any]]:
        """Return those that take records, in the order of their hashes."""
        found = [one for one in self.shards() if "EndingSequenceNumber" not in one["SequenceNumberRange"]]
        return sorted(found, key=lambda one: int(one["HashKeyRange"]["StartingHashKey"]))

    def put(self, count: int) -> None:
        """Put so many records of each key."""
        for _ in range(count):
            for key in KEYS:
                data = f"{key} {len(self.sent)}"
                self.kinesis.put_record(StreamName="resharded", Data=data.encode(), PartitionKey=key)
                self.sent.append(data)

    def split(self, number: int) -> None:
        """Split an open shard in two halves."""
        shard = self.open_shards()[number]
        hashes = shard["HashKeyRange"]
        middle = (int(hashes["StartingHashKey"]) + int(hashes["EndingHashKey"])) // 2
        self.kinesis.split_shard(StreamName="resharded", ShardToSplit=shard["ShardId"], NewStartingHashKey=str(middle))
        self._wait()

    def merge(self, number: int) -> None:
        """Merge an open shard with the next."""
        one, other = self.open_shards()[number : number + 2]
        self.kinesis.merge_shards(
            StreamName="resharded", ShardToMerge=one["ShardId"], AdjacentShardToMerge=other["ShardId"]
        )
        self._wait()

    def _wait(self) -> None:
        wait_until(lambda: self._describe()["StreamStatus"] == "ACTIVE")

    def _describe(self) -> dict[str, Any]:
        found: dict[str, Any] = self.kinesis.describe_stream(StreamName="resharded")["StreamDescription"]
        return found


def test_parents_before_children_and_nothing_lost(streams: str, lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({"neighbours.kinesis.endpoint": streams})
    client, stream = server.client(), Resharded(streams)
    create_function(client, "resharded", {"index.py": RECORDER}, Timeout=5)
    client.put_function_concurrency(FunctionName="resharded", ReservedConcurrentExecutions=1)
    stream.put(3)
    made = client.create_event_source_mapping(
        EventSourceArn="arn:aws:kinesis:us-east-1:000000000000:stream/resharded",
        FunctionName="resharded", StartingPosition="TRIM_HORIZON", BatchSize=5,
    )  # fmt: skip
    wait_state(client, made["UUID"], "Enabled")
    for change, number in ((stream.split, 0), (stream.split, 2), (stream.merge, 1), (stream.merge, 0)):
        stream.put(4)
        change(number)
        stream.put(4)

    def records() -> list[dict[str, Any]]:
        return [record for event in events_of(client, "resharded") for record in event["Records"]]

    got = wait_until(lambda: found if len(found := records()) >= len(stream.sent) else None, 180)
    data = [base64.b64decode(one["kinesis"]["data"]).decode() for one in got]
    assert sorted(data) == sorted(stream.sent)
    for key in KEYS:
        assert [one for one in data if one[0] == key] == [one for one in stream.sent if one[0] == key]
    places: dict[str, list[int]] = {}
    for place, record in enumerate(got):
        places.setdefault(record["eventID"].partition(":")[0], []).append(place)
    parents = 0
    for shard in stream.shards():
        for parent in (shard.get("ParentShardId"), shard.get("AdjacentParentShardId")):
            if parent in places and shard["ShardId"] in places:
                parents += 1
                assert places[parent][-1] < places[shard["ShardId"]][0]
    assert parents >= 4
    assert len(places) >= 5
