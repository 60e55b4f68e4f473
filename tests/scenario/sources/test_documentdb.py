"""DocumentDB as an event source, against a server of MongoDB's protocol: events, places, failures, losses."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.brokers import PASSWORD, USER
from tests.documents import DocumentServer
from tests.scenario.sources.conftest import events_of, wait_state, wait_until
from tests.scenario.sources.recording import is_busy, make_recorder, make_secret, wait_trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

ARN = "arn:aws:rds:us-east-1:000000000000:cluster:{}"
HERE, NOWHERE = ARN.format("here"), ARN.format("nowhere")


@pytest.fixture(scope="module")
def documents() -> Iterator[DocumentServer]:
    """One server of documents for a module's tests."""
    server = DocumentServer()
    yield server
    server.remove()


@pytest.fixture(scope="module")
def store(documents: DocumentServer) -> Iterator[Any]:
    """A client's database of it; collections are named as functions."""
    client = documents.client()
    yield client["shop"]
    client.close()


def settings(documents: DocumentServer) -> dict[str, str]:
    """Return where the clusters are."""
    places = f"{HERE}=mongodb://127.0.0.1:{documents.port}/,{NOWHERE}=mongodb://127.0.0.1:9/"
    return {"neighbours.enabled": "true", "event_sources.brokers": places}


@pytest.fixture(scope="module")
def server(lambent_server_factory: ServerFactory, documents: DocumentServer) -> LambentServer:
    """One server for a module's tests."""
    return lambent_server_factory(settings(documents))


def make_mapping(server: LambentServer, client: Any, name: str, **members: Any) -> dict[str, Any]:
    """Create the mapping of a recorder and the collection of the same name."""
    config = {"DatabaseName": "shop", "CollectionName": name}
    asked = {
        "EventSourceArn": HERE,
        "StartingPosition": "TRIM_HORIZON",
        "DocumentDBEventSourceConfig": config,
        "SourceAccessConfigurations": [{"Type": "BASIC_AUTH", "URI": make_secret(server, "documents", USER, PASSWORD)}],
        **members,
    }
    made: dict[str, Any] = client.create_event_source_mapping(FunctionName=name, **asked)
    return made


def mapped(server: LambentServer, name: str, **members: Any) -> tuple[Any, dict[str, Any]]:
    """Create a recorder and its mapping; return client and mapping, Enabled."""
    client = make_recorder(server, name)
    made = make_mapping(server, client, name, **members)
    wait_state(client, made["UUID"], "Enabled")
    return client, made


def changes(client: Any, name: str) -> list[dict[str, Any]]:
    """Return all changes that a recorder has got, in order."""
    return [one["event"] for event in events_of(client, name) for one in event["events"]]


def texts(client: Any, name: str) -> list[str]:
    """Return the texts of the documents of all changes."""
    return [change["fullDocument"]["text"] for change in changes(client, name)]


def test_a_change_becomes_the_documented_event(server: LambentServer, store: Any) -> None:
    inserted = store["docs-event"].insert_one({"text": "a", "n": 1, "when": None}).inserted_id
    client, made = mapped(server, "docs-event")
    assert made["DocumentDBEventSourceConfig"] == {
        "DatabaseName": "shop", "CollectionName": "docs-event", "FullDocument": "Default",
    }  # fmt: skip
    assert (made["BatchSize"], made["MaximumBatchingWindowInSeconds"]) == (100, 0)
    assert (made["StateTransitionReason"], made["LastProcessingResult"]) == ("User action", "No records processed")
    (event,) = wait_until(lambda: events_of(client, "docs-event"))
    (change,) = event.pop("events")
    assert event == {"eventSourceArn": HERE, "eventSource": "aws:docdb"}
    moment = change["event"].pop("clusterTime")["$timestamp"]
    assert moment["t"] == pytest.approx(time.time(), abs=3_600)
    assert set(change["event"].pop("_id")) == {"_data"}
    assert change == {
        "event": {
            "operationType": "insert",
            "fullDocument": {"_id": {"$oid": str(inserted)}, "text": "a", "n": 1, "when": None},
            "documentKey": {"_id": {"$oid": str(inserted)}},
        }
    }
    wait_until(lambda: client.get_event_source_mapping(UUID=made["UUID"])["LastProcessingResult"] == "OK")


def test_updates_with_the_whole_document_deletes_and_filters(server: LambentServer, store: Any) -> None:
    config = {"DatabaseName": "shop", "CollectionName": "docs-update", "FullDocument": "UpdateLookup"}
    pattern = json.dumps({"operationType": ["update", "delete"]})
    client, _ = mapped(
        server, "docs-update", StartingPosition="LATEST", DocumentDBEventSourceConfig=config,
        FilterCriteria={"Filters": [{"Pattern": pattern}]},
    )  # fmt: skip
    inserted = store["docs-update"].insert_one({"text": "a", "kept": True}).inserted_id
    store["docs-update"].update_one({"_id": inserted}, {"$set": {"text": "b"}})
    wait_until(lambda: len(changes(client, "docs-update")) == 1)
    store["docs-update"].delete_one({"_id": inserted})
    wait_until(lambda: len(changes(client, "docs-update")) == 2)
    update, delete = changes(client, "docs-update")
    assert update["fullDocument"] == {"_id": {"$oid": str(inserted)}, "text": "b", "kept": True}
    assert delete["operationType"] == "delete"


def test_a_database_has_the_changes_of_all_its_collections(server: LambentServer, documents: DocumentServer) -> None:
    # mongo-java-server has change streams of collections only: the cursor opens, and what it brings is not asked for.
    client = make_recorder(server, "docs-whole")
    made = make_mapping(server, client, "docs-whole", DocumentDBEventSourceConfig={"DatabaseName": "shop"})
    assert made["DocumentDBEventSourceConfig"] == {"DatabaseName": "shop", "FullDocument": "Default"}


def test_latest_and_a_time_leave_out_what_was_before(server: LambentServer, store: Any) -> None:
    store["docs-latest"].insert_one({"text": "before"})
    store["docs-time"].insert_one({"text": "before"})
    time.sleep(2)  # Positions are whole seconds of the server's clock.
    begun = time.time()
    store["docs-time"].insert_one({"text": "after"})
    client, _ = mapped(server, "docs-latest", StartingPosition="LATEST")
    store["docs-latest"].insert_one({"text": "after"})
    wait_until(lambda: texts(client, "docs-latest") == ["after"])
    mapped(server, "docs-time", StartingPosition="AT_TIMESTAMP", StartingPositionTimestamp=int(begun))
    wait_until(lambda: texts(client, "docs-time") == ["after"])


def test_a_batch_that_failed_is_tried_until_it_succeeds_in_order(server: LambentServer, store: Any) -> None:
    client, _ = mapped(server, "docs-fails", BatchSize=2)
    store["docs-fails"].insert_many([{"text": text} for text in ("a", "fail 2", "c", "d")])
    wait_until(lambda: texts(client, "docs-fails")[-1:] == ["d"])
    assert texts(client, "docs-fails")[-4:] == ["a", "fail 2", "c", "d"]
    assert texts(client, "docs-fails").count("fail 2") == 3


def test_a_restart_goes_on_behind_the_last_token(
    lambent_server_factory: ServerFactory, documents: DocumentServer
) -> None:
    server = lambent_server_factory(settings(documents))
    with documents.client() as store:
        collection = store["shop"]["docs-restart"]
        client, _ = mapped(server, "docs-restart")
        collection.insert_one({"text": "a"})
        wait_until(lambda: texts(client, "docs-restart") == ["a"])
        server.stop()
        collection.insert_one({"text": "b"})
        server.start()
        client = server.client()
        wait_until(lambda: texts(client, "docs-restart") == ["b"])
        # And killed while the function runs: the batch comes again.
        collection.insert_one({"text": "sleep 3"})
        wait_until(lambda: is_busy(client, "docs-restart"))
        server.kill()
        collection.insert_one({"text": "c"})
        server.start()
        client = server.client()
        wait_until(lambda: texts(client, "docs-restart") == ["sleep 3", "c"], 60)


def test_a_wrong_password_is_shown_and_a_right_one_goes_on(server: LambentServer, store: Any) -> None:
    client = make_recorder(server, "docs-password")
    access = [{"Type": "BASIC_AUTH", "URI": make_secret(server, "docs-password", USER, "wrong")}]
    made = make_mapping(server, client, "docs-password", SourceAccessConfigurations=access)
    shown = wait_trouble(client, made["UUID"], "EVENT_SOURCE_AUTHN_ERROR")
    assert shown["LastProcessingResult"].startswith(f"PROBLEM: {HERE}: Authentication failed")
    store["docs-password"].insert_one({"text": "after all"})
    make_secret(server, "docs-password", USER, PASSWORD)
    wait_until(lambda: texts(client, "docs-password") == ["after all"], 90)
    wait_state(client, made["UUID"], "Enabled")


def test_a_server_that_is_killed_comes_back_and_stalls_nobody(server: LambentServer, documents: DocumentServer) -> None:
    other = make_recorder(server, "docs-nowhere")
    broken = make_mapping(server, other, "docs-nowhere", EventSourceArn=NOWHERE)
    client, made = mapped(server, "docs-back")
    with documents.client() as store:
        store["shop"]["docs-back"].insert_one({"text": "before"})
        wait_until(lambda: texts(client, "docs-back") == ["before"])
    documents.kill()
    wait_until(
        lambda: client.get_event_source_mapping(UUID=made["UUID"])["LastProcessingResult"].startswith("PROBLEM"), 60
    )
    documents.start()
    with documents.client() as store:
        store["shop"]["docs-back"].insert_one({"text": "after"})
        wait_until(lambda: texts(client, "docs-back") == ["before", "after"], 120)
    shown = other.get_event_source_mapping(UUID=broken["UUID"])
    assert shown["LastProcessingResult"].startswith(f"PROBLEM: {NOWHERE}")
