"""Kafka as it is: authentication, groups and rebalances, restarts, positions, a topic for what failed."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import confluent_kafka
import pytest

from tests.kafka_cluster import PASSWORD, RECORDER, USER, Broker, mapped, records, values
from tests.running import create_function
from tests.scenario.sources.conftest import events_of, wait_state, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """One broker for a module's tests."""
    with Broker() as broker:
        yield broker


def secret(server: LambentServer, name: str, **members: str) -> str:
    """Keep a secret; return its ARN."""
    made = server.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps(members))
    return str(made["ARN"])


def figures(server: LambentServer, mapping_id: str) -> dict[str, Any]:
    """Return a mapping's metrics."""
    status, body = server.get("/_lambent/v1/metrics")
    assert status == 200, body
    found: dict[str, Any] = json.loads(body)["event_source_mappings"].get(mapping_id, {})
    return found


def test_a_message_becomes_the_documented_event(server: LambentServer, broker: Broker) -> None:
    broker.create_topic("exact", 2)
    client, _ = mapped(server, broker.servers(), "exact")
    headers = [("h", b"\x01\xff"), ("h", b""), ("other", b"x")]
    broker.send("exact", b"\x00\xffvalue", key=b"key", partition=1, headers=headers, timestamp=1_700_000_000_123)
    broker.send("exact", None, key=b"gone", partition=1, timestamp=1_700_000_000_124)
    wait_until(lambda: len(records(client, "exact")) == 2)
    first, second = records(client, "exact")
    assert first == {
        "topic": "exact",
        "partition": 1,
        "offset": 0,
        "timestamp": 1_700_000_000_123,
        "timestampType": "CREATE_TIME",
        "key": base64.b64encode(b"key").decode(),
        "value": base64.b64encode(b"\x00\xffvalue").decode(),
        "headers": [{"h": [1, 255]}, {"h": []}, {"other": [120]}],
    }
    assert second == {
        "topic": "exact",
        "partition": 1,
        "offset": 1,
        "timestamp": 1_700_000_000_124,
        "timestampType": "CREATE_TIME",
        "key": base64.b64encode(b"gone").decode(),
        "headers": [],
    }
    for event in events_of(client, "exact"):
        assert {key: value for key, value in event.items() if key != "records"} == {
            "eventSource": "SelfManagedKafka",
            "bootstrapServers": broker.servers(),
        }
        assert list(event["records"]) == ["exact-1"]


def test_a_managed_cluster_is_where_the_settings_say(lambent_server_factory: ServerFactory, broker: Broker) -> None:
    arn = "arn:aws:kafka:us-east-1:000000000000:cluster/c/0b8d1d7c-8d1e-4d4c-9d3b-7a3f0f0f0f0f-1"
    server = lambent_server_factory({"event_sources.brokers": f"{arn}={broker.servers()}"})
    broker.create_topic("managed")
    broker.send("managed", "hallo", timestamp=1_700_000_000_123)
    client = server.client()
    create_function(client, "managed", {"index.py": RECORDER})
    made = client.create_event_source_mapping(
        FunctionName="managed",
        EventSourceArn=arn,
        Topics=["managed"],
        StartingPosition="TRIM_HORIZON",
        AmazonManagedKafkaEventSourceConfig={"ConsumerGroupId": "managed-group"},
    )
    wait_state(client, made["UUID"], "Enabled")
    (event,) = wait_until(lambda: events_of(client, "managed"))
    assert event == {
        "eventSource": "aws:kafka",
        "eventSourceArn": arn,
        "bootstrapServers": broker.servers(),
        "records": {
            "managed-0": [
                {
                    "topic": "managed",
                    "partition": 0,
                    "offset": 0,
                    "timestamp": 1_700_000_000_123,
                    "timestampType": "CREATE_TIME",
                    "value": base64.b64encode(b"hallo").decode(),
                    "headers": [],
                }
            ]
        },
    }
    wait_until(lambda: broker.committed("managed-group", "managed", 1) == 1)


@pytest.mark.parametrize("kind", ["BASIC_AUTH", "SASL_SCRAM_256_AUTH", "SASL_SCRAM_512_AUTH"])
def test_passwords_from_secrets(server: LambentServer, broker: Broker, kind: str) -> None:
    name = kind.lower()
    broker.create_topic(name)
    root = secret(server, f"{name}-root", certificate=broker.authority.certificate)
    right = secret(server, f"{name}-right", username=USER, password=PASSWORD)
    accesses = [{"Type": "SERVER_ROOT_CA_CERTIFICATE", "URI": root}, {"Type": kind, "URI": right}]
    client, _ = mapped(server, broker.servers("sasl"), name, accesses=accesses)
    broker.send(name, "in secret")
    wait_until(lambda: values(client, name) == ["in secret"])


def test_certificates_from_secrets(server: LambentServer, broker: Broker) -> None:
    broker.create_topic("mtls")
    certificate, key = broker.authority.issue("client")
    root = secret(server, "mtls-root", certificate=broker.authority.certificate)
    mine = secret(server, "mtls-client", certificate=certificate, privateKey=key)
    accesses = [
        {"Type": "SERVER_ROOT_CA_CERTIFICATE", "URI": root},
        {"Type": "CLIENT_CERTIFICATE_TLS_AUTH", "URI": mine},
    ]
    client, _ = mapped(server, broker.servers("tls"), "mtls", accesses=accesses)
    broker.send("mtls", "by certificate")
    wait_until(lambda: values(client, "mtls") == ["by certificate"])


def test_a_wrong_password_is_told(server: LambentServer, broker: Broker) -> None:
    broker.create_topic("wrong")
    root = secret(server, "wrong-root", certificate=broker.authority.certificate)
    wrong = secret(server, "wrong-password", username=USER, password="another")
    client, mapping_id = mapped_unready(server, broker, "wrong", root, wrong)

    def told() -> bool:
        return "uthenticat" in client.get_event_source_mapping(UUID=mapping_id).get("LastProcessingResult", "")

    wait_until(told, 60)
    assert figures(server, mapping_id)["PollingErrorCount"] >= 1


def mapped_unready(server: LambentServer, broker: Broker, name: str, root: str, password: str) -> tuple[Any, str]:
    """Create a mapping that cannot be Enabled, with metrics of its errors."""
    client = server.client()
    create_function(client, name, {"index.py": RECORDER})
    made = client.create_event_source_mapping(
        FunctionName=name,
        SelfManagedEventSource={"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": [broker.servers("sasl")]}},
        SourceAccessConfigurations=[
            {"Type": "SERVER_ROOT_CA_CERTIFICATE", "URI": root},
            {"Type": "SASL_SCRAM_512_AUTH", "URI": password},
        ],
        Topics=[name],
        StartingPosition="LATEST",
        MetricsConfig={"Metrics": ["ErrorCount"]},
    )
    return client, made["UUID"]


def test_starting_positions(server: LambentServer, broker: Broker) -> None:
    began = time.time()
    for name, position in (
        ("from-first", {"StartingPosition": "TRIM_HORIZON"}),
        ("from-last", {"StartingPosition": "LATEST"}),
        ("from-time", {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": began - 100}),
    ):
        broker.create_topic(name)
        broker.send(name, "old", timestamp=int((began - 200) * 1_000))
        broker.send(name, "recent", timestamp=int((began - 50) * 1_000))
        client, _ = mapped(server, broker.servers(), name, **position)
        broker.send(name, "new")
        wanted = {"from-first": ["old", "recent", "new"], "from-last": ["new"], "from-time": ["recent", "new"]}[name]
        wait_until(partial(_has, client, name, len(wanted)))
        assert values(client, name) == wanted


def _has(client: Any, name: str, count: int) -> bool:
    return len(values(client, name)) >= count


def test_a_group_that_others_join_loses_nothing(server: LambentServer, broker: Broker) -> None:
    broker.create_topic("shared", 4)
    group: Any = {"SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": "shared-group"}}
    client, _ = mapped(server, broker.servers(), "shared", **group)
    sent = [f"slow-{number}" for number in range(80)]
    for number, value in enumerate(sent[:40]):
        broker.send("shared", value, partition=number % 4)
    wait_until(lambda: values(client, "shared"))
    other = confluent_kafka.Consumer(
        {"bootstrap.servers": broker.servers(), "group.id": "shared-group", "auto.offset.reset": "earliest"}
    )
    other.subscribe(["shared"])
    theirs: list[str] = []

    def read() -> bool:
        message = other.poll(0.2)
        if message is not None and message.error() is None:
            theirs.append((message.value() or b"").decode())
            other.commit(message=message, asynchronous=False)
        return bool(other.assignment())

    wait_until(read, 60)
    for number, value in enumerate(sent[40:]):
        broker.send("shared", value, partition=number % 4)
    wait_until(lambda: read() and {*theirs, *values(client, "shared")} >= set(sent), 120)
    assert len(other.assignment()) == 2
    other.close()
    # What was done before the others came was committed before they began: nobody got it twice.
    assert set(Counter([*theirs, *values(client, "shared")]).values()) == {1}
    broker.send("shared", *(f"after-{number}" for number in range(8)))
    wait_until(lambda: sum(value.startswith("after") for value in values(client, "shared")) == 8, 60)


def test_a_stop_in_good_order_repeats_nothing(lambent_server_factory: ServerFactory, broker: Broker) -> None:
    server = lambent_server_factory()
    broker.create_topic("stopped", 2)
    client, mapping_id = mapped(server, broker.servers(), "stopped", BatchSize=5)
    for number in range(60):
        broker.send("stopped", f"slow-{number}", partition=number % 2)
    wait_until(lambda: broker.committed(mapping_id, "stopped", 2))
    # Records that the first server's function got are in its own environment: the brokers know how many were done.
    server.stop()
    before = broker.committed(mapping_id, "stopped", 2)
    server.start()
    client = server.client()
    wait_until(lambda: broker.committed(mapping_id, "stopped", 2) == 60, 120)
    again = wait_until(lambda: values(client, "stopped")) if before < 60 else []
    assert len(again) == len(set(again)) == 60 - before


def test_a_daemon_that_is_killed_loses_nothing(lambent_server_factory: ServerFactory, broker: Broker) -> None:
    server = lambent_server_factory({"neighbours.enabled": "true"})
    for name in ("killed", "seen"):
        broker.create_topic(name)
    # Every record fails and goes to a topic, so that what was dealt with outlives the daemon.
    client, mapping_id = mapped(
        server,
        broker.servers(),
        "killed",
        BatchSize=5,
        MaximumRetryAttempts=0,
        ProvisionedPollerConfig={"MinimumPollers": 1, "MaximumPollers": 1},
        DestinationConfig={"OnFailure": {"Destination": "kafka://seen"}},
    )
    sent = [f"fail-slow-{number}" for number in range(60)]
    broker.send("killed", *sent)
    wait_until(lambda: broker.committed(mapping_id, "killed", 1) >= 5)
    server.kill()
    server.start()
    client = server.client()
    wait_until(lambda: broker.committed(mapping_id, "killed", 1) == len(sent), 120)
    found = broker.messages("seen", broker.end("seen"))
    payloads = [json.loads(message.value())["payload"]["records"]["killed-0"] for message in found]
    counts = Counter(base64.b64decode(record["value"]).decode() for group in payloads for record in group)
    assert set(counts) == set(sent)
    # What was under way when it was killed, or not yet committed, came twice, and nothing more often.
    assert set(counts.values()) <= {1, 2}
    wait_state(client, mapping_id, "Enabled")


def test_a_broker_that_restarts_is_found_again(server: LambentServer, broker: Broker) -> None:
    broker.create_topic("restarted")
    client, mapping_id = mapped(server, broker.servers(), "restarted")
    broker.send("restarted", "before")
    wait_until(lambda: values(client, "restarted") == ["before"])
    wait_until(lambda: broker.committed(mapping_id, "restarted", 1) == 1)
    broker.stop()
    wait_until(lambda: "PROBLEM" in client.get_event_source_mapping(UUID=mapping_id)["LastProcessingResult"], 60)
    broker.start()
    broker.send("restarted", "after")
    wait_until(lambda: values(client, "restarted") == ["before", "after"], 120)


def test_provisioned_pollers_follow_the_lag_between_their_bounds(server: LambentServer, broker: Broker) -> None:
    broker.create_topic("scaled", 4)
    client, mapping_id = mapped(
        server,
        broker.servers(),
        "scaled",
        BatchSize=1,
        ProvisionedPollerConfig={"MinimumPollers": 1, "MaximumPollers": 3},
        MetricsConfig={"Metrics": ["EventCount", "KafkaMetrics"]},
    )
    assert broker.members(mapping_id) == 1
    sent = [f"slow-{number}" for number in range(300)]
    for number, value in enumerate(sent):
        broker.send("scaled", value, partition=number % 4)
    wait_until(lambda: broker.members(mapping_id) == 3, 120)
    wait_until(lambda: broker.committed(mapping_id, "scaled", 4) == len(sent), 180)
    assert Counter(wait_until(lambda: values(client, "scaled"))) == Counter(sent)
    wait_until(lambda: broker.members(mapping_id) == 1, 180)
    found = figures(server, mapping_id)
    assert found["ProvisionedPollers_max"] == 3
    assert found["PolledEventCount"] >= len(sent)
    assert found["InvokedEventCount"] >= len(sent)
    assert found["MaxOffsetLag_max"] > 0
    wait_until(lambda: figures(server, mapping_id)["OffsetLag"] == 0)
    client.update_event_source_mapping(
        UUID=mapping_id, ProvisionedPollerConfig={"MinimumPollers": 2, "MaximumPollers": 2}
    )
    wait_until(lambda: broker.members(mapping_id) == 2, 60)


def test_a_topic_takes_what_failed(server: LambentServer, broker: Broker) -> None:
    for name in ("failing", "failed"):
        broker.create_topic(name)
    client, mapping_id = mapped(
        server,
        broker.servers(),
        "failing",
        MaximumRetryAttempts=1,
        BatchSize=2,
        ProvisionedPollerConfig={"MinimumPollers": 1},
        DestinationConfig={"OnFailure": {"Destination": "kafka://failed"}},
        MetricsConfig={"Metrics": ["EventCount"]},
    )
    broker.send("failing", "fail-1", "fail-2", key=b"\x00key", timestamp=1_700_000_000_123)
    found = broker.messages("failed", 2)
    assert [message.key() for message in found] == [b"\x00key", b"\x00key"]
    for offset, message in enumerate(found):
        record = json.loads(message.value())
        payload = record["payload"]
        assert payload["records"]["failing-0"][0]["offset"] == offset
        assert base64.b64decode(payload["records"]["failing-0"][0]["value"]).decode() == f"fail-{offset + 1}"
        assert record["KafkaBatchInfo"] == {
            "batchSize": 1,
            "eventSourceArn": None,
            "bootstrapServers": broker.servers(),
            "payloadSize": len(json.dumps(payload).encode()),
            "recordInfo": {"offset": str(offset), "timestamp": "2023-11-14T22:13:20.123Z"},
        }
        assert record["requestContext"]["condition"] == "RetryAttemptsExhausted"
        assert record["requestContext"]["approximateInvokeCount"] == 2
        assert record["responseContext"] == {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        }
        assert record["version"] == "1.0"
    wait_until(lambda: broker.committed(mapping_id, "failing", 1) == 2)
    counted = figures(server, mapping_id)
    assert counted["OnFailureDestinationDeliveredEventCount"] == 2
    assert counted["FailedInvokeEventCount"] == 4
    assert "DroppedEventCount" not in counted
    wait_state(client, mapping_id, "Enabled")


def test_a_topic_is_not_its_own_destination(server: LambentServer, broker: Broker) -> None:
    client = server.client()
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="cannot be the same"):
        mapped(
            server,
            broker.servers(),
            "own",
            ProvisionedPollerConfig={"MinimumPollers": 1},
            DestinationConfig={"OnFailure": {"Destination": "kafka://own"}},
        )
