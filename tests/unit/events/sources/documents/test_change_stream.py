"""Changes as records, and what a server's refusals mean."""

from __future__ import annotations

import datetime
import json
import sys
from typing import Any, cast

import pymongo.errors
import pytest
from bson import Binary, Int64, ObjectId, Timestamp

from lambent.events.sources.documents import change_stream
from lambent.events.sources.documents.change_stream import ChangeStream, change_record
from lambent.events.sources.source import SourceError, Trouble
from lambent.events.sources.streams.contracts import IteratorExpiredError, Position, Start
from lambent.model.configs.event_source import DocumentDbConfig, EventSourceMapping

ARN = "arn:aws:rds:us-east-1:000000000000:cluster:c"
TOKEN = {"_data": "0163eeb6e7000000090100000009000041e1"}
CHANGE = {
    "_id": TOKEN,
    "clusterTime": Timestamp(1676588775, 9),
    "documentKey": {"_id": ObjectId("63eeb6e7d418cd98afb1c1d7")},
    "fullDocument": {"_id": ObjectId("63eeb6e7d418cd98afb1c1d7"), "anyField": "sampleValue"},
    "ns": {"db": "test_database", "coll": "test_collection"},
    "operationType": "insert",
}


class Changes:
    """A cursor that brings what the test gives it, and fails as it says."""

    def __init__(self, *found: object) -> None:
        self.found = list(found)
        self.alive = True

    async def try_next(self) -> object:
        one = self.found.pop(0) if self.found else None
        if isinstance(one, Exception):
            raise one
        return one

    async def close(self) -> None:
        self.alive = False


class Client:
    """A server whose `watch` is answered by the test, and which tells how it was asked."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []
        self.places: list[str] = []

    def __getitem__(self, name: str) -> Client:
        self.places.append(name)
        return self

    async def watch(self, **members: Any) -> object:
        self.asked.append({name: one for name, one in members.items() if name != "max_await_time_ms"})
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def find_one(self, *_: object, **__: object) -> object:
        raise pymongo.errors.OperationFailure("not for you", 13)

    async def command(self, _name: str) -> dict[str, Any]:
        return {"localTime": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)}

    async def close(self) -> None:
        return None


def stream(monkeypatch: pytest.MonkeyPatch, client: Client, **config: Any) -> ChangeStream:
    """Return a stream whose server is `client`."""
    asked = DocumentDbConfig("shop", **{"collection_name": "orders", "full_document": "Default", **config})
    mapping = EventSourceMapping(
        "000000000000", "us-east-1", "u", "r", "f", 0, event_source_arn=ARN, document_db_event_source_config=asked
    )

    async def user(*_: object) -> tuple[str, str]:
        return "user", "password"

    monkeypatch.setattr(change_stream, "read_user", user)
    monkeypatch.setattr(pymongo, "AsyncMongoClient", lambda *_, **__: client)
    return ChangeStream(mapping, cast("Any", None), {ARN: "mongodb://localhost"})


def test_the_guides_example() -> None:
    record = change_record(CHANGE)
    assert record.document == {
        "_id": TOKEN,
        "clusterTime": {"$timestamp": {"t": 1676588775, "i": 9}},
        "documentKey": {"_id": {"$oid": "63eeb6e7d418cd98afb1c1d7"}},
        "fullDocument": {"_id": {"$oid": "63eeb6e7d418cd98afb1c1d7"}, "anyField": "sampleValue"},
        "ns": {"db": "test_database", "coll": "test_collection"},
        "operationType": "insert",
    }
    assert (json.loads(record.item_id), record.arrived_ms) == (TOKEN, 1_676_588_775_000)


def test_values_that_json_has_not() -> None:
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    values = {"n": 1, "long": Int64(2), "when": moment, "data": Binary(b"\x00\xff")}
    document = change_record({**CHANGE, "fullDocument": values}).document["fullDocument"]
    assert document == {
        "n": 1,
        "long": 2,
        "when": {"$date": "2026-01-02T03:04:05Z"},
        "data": {"$binary": {"base64": "AP8=", "subType": "00"}},
    }


@pytest.mark.parametrize(
    ("position", "asked"),
    [
        (Position(Start.LATEST), {}),
        (
            Position(Start.AT_TIMESTAMP, timestamp=1_700_000_000.9),
            {"start_at_operation_time": Timestamp(1_700_000_000, 1)},
        ),
        (Position(Start.AFTER_SEQUENCE_NUMBER, json.dumps(TOKEN)), {"resume_after": TOKEN}),
        (
            Position(Start.AFTER_SEQUENCE_NUMBER, change_record({**CHANGE, "operationType": "invalidate"}).item_id),
            {"start_after": TOKEN},
        ),
    ],
)
async def test_where_a_cursor_begins(
    monkeypatch: pytest.MonkeyPatch, position: Position, asked: dict[str, Any]
) -> None:
    client = Client(Changes())
    await stream(monkeypatch, client).iterator("s", position)
    assert client.asked == [{"full_document": None, **asked}]
    assert client.places == ["shop", "orders"]


async def test_a_database_and_whole_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(Changes())
    await stream(monkeypatch, client, collection_name=None, full_document="UpdateLookup").iterator(
        "s", Position(Start.LATEST)
    )
    assert (client.asked, client.places) == ([{"full_document": "updateLookup"}], ["shop"])


async def test_the_oldest_change_is_looked_for_from_the_longest_time_on(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = [pymongo.errors.OperationFailure("no longer in the oplog", 286) for _ in range(5)]
    client = Client(*lost, Changes())
    await stream(monkeypatch, client).iterator("s", Position(Start.TRIM_HORIZON))
    now = int(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).timestamp())
    hours = [(now - one["start_at_operation_time"].time) // 3_600 for one in client.asked]
    assert hours == [168, 72, 24, 12, 6, 3]


@pytest.mark.parametrize(
    ("code", "trouble"),
    [
        (18, Trouble.AUTHENTICATION),
        (13, Trouble.AUTHORIZATION),
        (286, Trouble.CONFIG),
        (260, Trouble.CONFIG),
        (11600, None),
    ],
)
async def test_refusals(monkeypatch: pytest.MonkeyPatch, code: int, trouble: Trouble | None) -> None:
    source = stream(monkeypatch, Client(pymongo.errors.OperationFailure("no", code), Changes()))
    position = Position(Start.AFTER_SEQUENCE_NUMBER, json.dumps(TOKEN))
    with pytest.raises(SourceError, match=ARN) as caught:
        await source.iterator("s", position)
    assert (caught.value.trouble, source.trouble) == (trouble, trouble)
    await source.iterator("s", position)
    assert source.trouble is None


async def test_what_was_read_before_a_loss_is_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    source = stream(monkeypatch, Client(Changes(CHANGE, pymongo.errors.AutoReconnect("gone"))))
    iterator = await source.iterator("s", Position(Start.LATEST))
    assert len((await source.read("s", iterator, 10)).records) == 1
    with pytest.raises(IteratorExpiredError):
        await source.read("s", iterator, 10)


async def test_a_page_is_bounded_and_a_change_that_is_too_large_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    large = {**CHANGE, "fullDocument": {"text": "x" * 7_000_000}}
    source = stream(monkeypatch, Client(Changes(CHANGE, large, CHANGE, CHANGE)))
    iterator = await source.iterator("s", Position(Start.LATEST))
    assert len((await source.read("s", iterator, 2)).records) == 2
    assert len((await source.read("s", iterator, 2)).records) == 1


async def test_an_address_that_nobody_gave_or_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    source = stream(monkeypatch, Client())
    for brokers in ({}, {ARN: "postgresql://localhost"}):
        monkeypatch.setattr(source, "_brokers", brokers)
        with pytest.raises(SourceError, match="event_sources.brokers") as caught:
            await source.iterator("s", Position(Start.LATEST))
        assert caught.value.trouble is Trouble.CONFIG


async def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    source = stream(monkeypatch, Client())
    monkeypatch.setitem(sys.modules, "pymongo", None)
    with pytest.raises(SourceError, match=r"pip install 'lambent\[documentdb\]'"):
        await source.iterator("s", Position(Start.LATEST))
