"""Kafka's records by schemas of a registry: checked, read, filtered, delivered as JSON or as they were."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import fastavro
import pytest

from tests.kafka_cluster import mapped, records
from tests.registries import pip_packages
from tests.scenario.sources.conftest import events_of, wait_until
from tests.scenario.sources.test_kafka import Cluster
from tests.schema_registry import Registry, framed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.running import LambentServer

pytestmark = pytest.mark.long

USER = {
    "type": "record",
    "name": "User",
    "fields": [{"name": "name", "type": "string"}, {"name": "age", "type": ["null", "int"]}],
}
PERSON = 'syntax = "proto3"; message Person { string name = 1; int32 age = 2; }'
THING = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
ACCOUNT = "me:secret"


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with Registry(ACCOUNT) as served:
        yield served


def avro(name: str, age: int | None) -> bytes:
    """Return a user as Avro has it."""
    written = io.BytesIO()
    fastavro.schemaless_writer(written, fastavro.parse_schema(USER), {"name": name, "age": age})
    return written.getvalue()


def read_by(server: LambentServer, cluster: Cluster, registry: Registry, name: str, **members: Any) -> tuple[Any, str]:
    """Create a mapping with the registry; `members` may change SchemaRegistryConfig's under `config`."""
    asked = {"EventRecordFormat": "JSON", "SchemaValidationConfigs": [{"Attribute": "VALUE"}]}
    asked |= {"SchemaRegistryURI": registry.url} | members.pop("config", {})
    user, password = ACCOUNT.split(":")
    text = json.dumps({"username": user, "password": password})
    arn = server.client("secretsmanager").create_secret(Name=name, SecretString=text)["ARN"]
    config = {"SchemaRegistryConfig": {**asked, "AccessConfigs": [{"Type": "BASIC_AUTH", "URI": arn}]}}
    return mapped(
        server,
        cluster.servers,
        name,
        SelfManagedKafkaEventSourceConfig=config,
        ProvisionedPollerConfig={"MinimumPollers": 1, "MaximumPollers": 1},
        MetricsConfig={"Metrics": ["EventCount", "ErrorCount"]},
        **members,
    )


def produce(cluster: Cluster, topic: str, value: bytes | None, key: bytes | None = None) -> None:
    """Write one message."""
    cluster.producer.produce(topic, value, key, 0)
    assert cluster.producer.flush(10) == 0


def parts(record: dict[str, Any]) -> tuple[Any, Any]:
    """Return key and value of a record as they were delivered, decoded from base64."""
    key, value = (None if record.get(name) is None else base64.b64decode(record[name]) for name in ("key", "value"))
    return key, value


def test_three_formats_become_json(server: LambentServer, cluster: Cluster, registry: Registry) -> None:
    by_avro = registry.register("user", json.dumps(USER))
    by_proto = registry.register("person", PERSON, "PROTOBUF")
    by_json = registry.register("thing", json.dumps(THING), "JSON")
    produce(cluster, "schemas-json", framed(by_avro, avro("Ada", 36)), b"raw key")
    produce(cluster, "schemas-json", framed(by_proto, b"\x00\x0a\x03Bob\x10\x07"))
    produce(cluster, "schemas-json", framed(by_json, b'{ "name": "C" }'))
    produce(cluster, "schemas-json", None, b"gone")
    client, _ = read_by(server, cluster, registry, "schemas-json")
    wait_until(lambda: len(records(client, "schemas-json")) == 4)
    found = records(client, "schemas-json")
    assert [json.loads(parts(one)[1]) for one in found[:3]] == [
        {"name": "Ada", "age": 36},
        {"name": "Bob", "age": 7},
        {"name": "C"},
    ]
    assert parts(found[0])[0] == b"raw key"
    assert [one.get("valueSchemaMetadata") for one in found] == [
        {"dataFormat": "AVRO", "schemaId": str(by_avro)},
        {"dataFormat": "PROTOBUF", "schemaId": str(by_proto)},
        {"dataFormat": "JSON", "schemaId": str(by_json)},
        None,
    ]
    assert not any("keySchemaMetadata" in one for one in found)


def test_source_format_takes_only_the_framing_away(server: LambentServer, cluster: Cluster, registry: Registry) -> None:
    by_avro = registry.register("user-2", json.dumps(USER))
    by_proto = registry.register("person-2", PERSON, "PROTOBUF")
    key = b"\x00\x0a\x01k"
    produce(cluster, "schemas-source", framed(by_avro, avro("Ada", None)), framed(by_proto, key))
    both = {"EventRecordFormat": "SOURCE", "SchemaValidationConfigs": [{"Attribute": "KEY"}, {"Attribute": "VALUE"}]}
    client, _ = read_by(server, cluster, registry, "schemas-source", config=both)
    wait_until(lambda: records(client, "schemas-source"))
    (found,) = records(client, "schemas-source")
    # A Protobuf body keeps the path to its message's type.
    assert parts(found) == (key, avro("Ada", None))
    assert found["keySchemaMetadata"] == {"dataFormat": "PROTOBUF", "schemaId": str(by_proto)}
    assert found["valueSchemaMetadata"] == {"dataFormat": "AVRO", "schemaId": str(by_avro)}


def test_the_library_for_functions_reads_what_is_delivered(
    server: LambentServer, cluster: Cluster, registry: Registry
) -> None:
    packages = pip_packages("powertools-kafka", "aws-lambda-powertools==3.22.0", "protobuf==7.36.2", "avro==1.12.1")
    by_avro = registry.register("user-6", json.dumps(USER))
    by_proto = registry.register("struct-6", 'syntax = "proto3"; message Text { string value = 1; }', "PROTOBUF")
    produce(cluster, "schemas-library", framed(by_avro, avro("Ada", 36)), framed(by_proto, b"\x00\x0a\x01k"))
    both = {"EventRecordFormat": "SOURCE", "SchemaValidationConfigs": [{"Attribute": "KEY"}, {"Attribute": "VALUE"}]}
    client, _ = read_by(server, cluster, registry, "schemas-library", config=both)
    (event,) = wait_until(lambda: events_of(client, "schemas-library"))
    program = (
        "import json, sys\n"
        "from google.protobuf.wrappers_pb2 import StringValue\n"
        "from aws_lambda_powertools.utilities.kafka import ConsumerRecords, SchemaConfig\n"
        f"config = SchemaConfig(value_schema_type='AVRO', value_schema={json.dumps(USER)!r},\n"
        "                      key_schema_type='PROTOBUF', key_schema=StringValue)\n"
        "(record,) = ConsumerRecords(json.load(sys.stdin), config).records\n"
        "print(json.dumps([record.key, record.value]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        input=json.dumps(event),
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(packages)},
    )
    assert done.returncode == 0, done.stderr
    key, value = json.loads(done.stdout)
    assert key in ("k", {"value": "k"})
    assert value == {"name": "Ada", "age": 36}


def test_filters_see_what_was_read(server: LambentServer, cluster: Cluster, registry: Registry) -> None:
    by_avro = registry.register("user-3", json.dumps(USER))
    for age in (10, 20, 30):
        produce(cluster, "schemas-filter", framed(by_avro, avro(f"n{age}", age)))
    pattern = json.dumps({"value": {"age": [{"numeric": [">", 15]}]}})
    client, mapping_id = read_by(
        server, cluster, registry, "schemas-filter", FilterCriteria={"Filters": [{"Pattern": pattern}]}
    )
    wait_until(lambda: len(records(client, "schemas-filter")) == 2)
    assert [json.loads(parts(one)[1])["age"] for one in records(client, "schemas-filter")] == [20, 30]
    _, body = server.get("/_lambent/v1/metrics")
    counted = json.loads(body)["event_source_mappings"][mapping_id]
    assert (counted["PolledEventCount"], counted["FilteredOutEventCount"]) == (3, 1)


def test_what_does_not_fit_goes_to_the_destination(server: LambentServer, cluster: Cluster, registry: Registry) -> None:
    by_json = registry.register("thing-4", json.dumps(THING), "JSON")
    sqs = server.client("sqs")
    url = sqs.create_queue(QueueName="schemas-lost")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    produce(cluster, "schemas-lost", b"no framing")
    produce(cluster, "schemas-lost", framed(by_json, b"{}"))
    produce(cluster, "schemas-lost", framed(9_999, b"{}"))
    produce(cluster, "schemas-lost", framed(by_json, b'{"name": "fits"}'))
    client, mapping_id = read_by(
        server, cluster, registry, "schemas-lost", DestinationConfig={"OnFailure": {"Destination": arn}}
    )
    wait_until(lambda: records(client, "schemas-lost"))
    told: list[dict[str, Any]] = []

    def receive() -> bool:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        told.extend(json.loads(one["Body"]) for one in answer.get("Messages", ()))
        return len(told) >= 3

    wait_until(receive)
    told.sort(key=lambda one: one["KafkaBatchInfo"]["recordsInfo"]["schemas-lost-0"]["firstRecordOffset"])
    assert [one["requestContext"]["condition"] for one in told] == [
        "DESERIALIZATION_ERROR",
        "DESERIALIZATION_ERROR",
        "SCHEMA_NOT_FOUND",
    ]
    assert not any("responseContext" in one for one in told)
    assert [json.loads(parts(one)[1]) for one in records(client, "schemas-lost")] == [{"name": "fits"}]
    _, body = server.get("/_lambent/v1/metrics")
    counted = json.loads(body)["event_source_mappings"][mapping_id]
    assert counted["SchemaRegistryErrorCount"] == 3
    assert counted["OnFailureDestinationDeliveredEventCount"] == 3


def test_a_registry_in_trouble_is_waited_for(server: LambentServer, cluster: Cluster, registry: Registry) -> None:
    number = registry.register("user-5", json.dumps(USER))
    registry.failing = 503
    try:
        produce(cluster, "schemas-trouble", framed(number, avro("later", 1)))
        client, mapping_id = read_by(server, cluster, registry, "schemas-trouble")
        wait_until(lambda: "503" in client.get_event_source_mapping(UUID=mapping_id)["LastProcessingResult"])
    finally:
        registry.failing = None
    wait_until(lambda: records(client, "schemas-trouble"))
    (found,) = records(client, "schemas-trouble")
    assert json.loads(parts(found)[1]) == {"name": "later", "age": 1}


def test_glue_without_an_endpoint_says_so(server: LambentServer, cluster: Cluster, registry: Registry) -> None:
    glue = {"SchemaRegistryURI": "arn:aws:glue:us-east-1:000000000000:registry/r"}
    config = {"EventRecordFormat": "JSON", "SchemaValidationConfigs": [{"Attribute": "VALUE"}], **glue}
    produce(cluster, "schemas-glue", b"\x03\x00" + bytes(16) + b"x")
    client, mapping_id = mapped(
        server,
        cluster.servers,
        "schemas-glue",
        SelfManagedKafkaEventSourceConfig={"SchemaRegistryConfig": config},
        ProvisionedPollerConfig={"MinimumPollers": 1},
    )

    def result() -> str:
        return str(client.get_event_source_mapping(UUID=mapping_id)["LastProcessingResult"])

    # Whatever answers for Glue here has no such version, or nobody does.
    wait_until(lambda: "glue" in result() or not records(client, "schemas-glue"))
