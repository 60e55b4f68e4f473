"""Schemas of a registry that nobody here wrote: Apicurio, by Confluent's API, with schemas that refer to others."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import fastavro
import pytest

from tests.kafka_cluster import mapped, records
from tests.registries import maven_archive
from tests.running import free_port
from tests.scenario.sources.conftest import wait_until
from tests.scenario.sources.test_kafka import Cluster
from tests.scenario.sources.test_kafka_schemas import parts, produce
from tests.schema_registry import framed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.running import LambentServer

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

APICURIO = "io.apicurio:apicurio-registry-app:2.6.13.Final:tar.gz:all"
START_SECONDS = 300.0
ADDRESS = {"type": "record", "name": "Address", "fields": [{"name": "city", "type": "string"}]}
USER = {"type": "record", "name": "User", "fields": [{"name": "at", "type": "Address"}]}
THING = {"type": "object", "properties": {"at": {"$ref": "place.json"}}, "required": ["at"]}
PLACE = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SHARED = 'syntax = "proto3"; package p; message Shared { map<string, int32> counts = 1; }'
PERSON = """
syntax = "proto3"; package p;
import "shared.proto"; import "google/protobuf/timestamp.proto";
message Other { string x = 1; }
message Person { Shared shared = 1; google.protobuf.Timestamp at = 2; oneof id { string name = 3; int64 number = 4; } }
"""


class Apicurio:
    """A registry, alive while it is entered."""

    def __init__(self, directory: Path) -> None:
        jars = maven_archive("apicurio", APICURIO)
        if shutil.which("java") is None:
            pytest.skip("Java is not installed")
        (jar,) = jars.glob("*-runner.jar")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
        self._command = ["java", "-Xmx384m", "-XX:+UseSerialGC", "-Dquarkus.http.host=127.0.0.1"]
        self._command += [f"-Dquarkus.http.port={port}", "-jar", str(jar)]
        self._log = directory / "log"

    def __enter__(self) -> Apicurio:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self._log.parent)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/subjects", timeout=5).close()
            except OSError:
                assert self._process.poll() is None, self._log.read_text()[-3_000:]
                assert time.monotonic() < deadline, self._log.read_text()[-3_000:]
                time.sleep(0.2)
            else:
                return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.terminate()
        self._process.wait(60)

    def register(self, subject: str, text: str, kind: str, *references: str) -> int:
        """Keep a schema; return its id. `references` are subjects, by the name under which the schema uses them."""
        body: dict[str, Any] = {"schema": text, "schemaType": kind}
        body["references"] = [{"name": one, "subject": one, "version": 1} for one in references]
        headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
        request = urllib.request.Request(f"{self.url}/subjects/{subject}/versions", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(json.loads(answer.read())["id"])


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apicurio]:
    """One registry for a module's tests."""
    with Apicurio(tmp_path_factory.mktemp("apicurio")) as registry:
        yield registry


def test_schemas_that_refer_to_others_are_read(server: LambentServer, registry: Apicurio) -> None:
    cluster = Cluster()
    registry.register("Address", json.dumps(ADDRESS), "AVRO")
    by_avro = registry.register("user", json.dumps(USER), "AVRO", "Address")
    registry.register("place.json", json.dumps(PLACE), "JSON")
    by_json = registry.register("thing", json.dumps(THING), "JSON", "place.json")
    registry.register("shared.proto", SHARED, "PROTOBUF")
    by_proto = registry.register("person", PERSON, "PROTOBUF", "shared.proto")

    written, named = io.BytesIO(), {}  # type: ignore[var-annotated]
    fastavro.parse_schema(ADDRESS, named_schemas=named)
    fastavro.schemaless_writer(written, fastavro.parse_schema(USER, named_schemas=named), {"at": {"city": "Bonn"}})
    person = b"\x02\x02" + b"\x0a\x07\x0a\x05\x0a\x01a\x10\x05" + b"\x12\x02\x08\x01" + b"\x1a\x03Ada"
    topic = "registered"
    produce(cluster, topic, framed(by_avro, written.getvalue()))
    produce(cluster, topic, framed(by_json, b'{"at": {"city": "Rom"}}'))
    produce(cluster, topic, framed(by_proto, person))
    produce(cluster, topic, framed(999_999, b"nobody knows"))
    produce(cluster, topic, framed(by_json, b'{"at": {}}'))
    produce(cluster, topic, framed(by_json, b'{"at": {"city": "last"}}'))
    config = {"SchemaRegistryURI": registry.url, "EventRecordFormat": "JSON"}
    client, _ = mapped(
        server,
        cluster.servers,
        topic,
        SelfManagedKafkaEventSourceConfig={
            "SchemaRegistryConfig": {**config, "SchemaValidationConfigs": [{"Attribute": "VALUE"}]}
        },
        ProvisionedPollerConfig={"MinimumPollers": 1, "MaximumPollers": 1},
    )
    wait_until(lambda: len(records(client, topic)) == 4, 60)
    found = records(client, topic)
    assert [json.loads(parts(one)[1]) for one in found] == [
        {"at": {"city": "Bonn"}},
        {"at": {"city": "Rom"}},
        {"shared": {"counts": {"a": 5}}, "at": "1970-01-01T00:00:01Z", "name": "Ada"},
        {"at": {"city": "last"}},
    ]
    assert [one["valueSchemaMetadata"]["dataFormat"] for one in found] == ["AVRO", "JSON", "PROTOBUF", "JSON"]
