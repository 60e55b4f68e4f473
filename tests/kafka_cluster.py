"""Apache Kafka itself: one broker in KRaft mode, started from Maven Central's jars; and functions that keep records."""

from __future__ import annotations

import base64
import contextlib
import datetime
import ipaddress
import os
import shutil
import subprocess
import time
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Self

import confluent_kafka
import confluent_kafka.admin
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.registries import maven_packages
from tests.running import create_function, free_port
from tests.scenario.sources.conftest import events_of, wait_state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.running import LambentServer

KAFKA = "org.apache.kafka:kafka_2.13:3.9.1"
USER, PASSWORD = "alice", "alice-secret"
_START_SECONDS = 120.0

# Keeps every event in a file of /tmp, and answers all of them when asked without records; fails as values say.
RECORDER = """
import base64, json, os, time

KEPT = "/tmp/events"


def handler(event, context):
    if "records" not in event:
        return [json.loads(line) for line in open(KEPT)] if os.path.exists(KEPT) else []
    with open(KEPT, "a") as kept:
        kept.write(json.dumps(event) + "\\n")
    records = [record for group in event["records"].values() for record in group]
    values = [base64.b64decode(record.get("value", "")) for record in records]
    time.sleep(sum(0.05 for value in values if value.startswith(b"slow")))
    if any(value.startswith(b"fail") for value in values):
        raise ValueError("as asked")
"""


class Authority:
    """Certificates for 127.0.0.1, by an authority of their own, as PEM texts."""

    def __init__(self) -> None:
        self._key = _key()
        self._name = _name("Test authority")
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        builder = self._builder(self._name, self._key).add_extension(constraints, critical=True)
        self.certificate = _pem(builder.sign(self._key, hashes.SHA256()))

    def issue(self, common_name: str) -> tuple[str, str]:
        """Return a certificate and its key (PKCS#8)."""
        key = _key()
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = self._builder(_name(common_name), key).add_extension(names, critical=False)
        kind, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        text = key.private_bytes(serialization.Encoding.PEM, kind, plain).decode()
        return _pem(builder.sign(self._key, hashes.SHA256())), text

    def _builder(self, subject: x509.Name, key: rsa.RSAPrivateKey) -> x509.CertificateBuilder:
        begin = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + datetime.timedelta(days=36500))
        )


class Broker:
    """One broker that is its own controller. Listeners: `plain`, `sasl` (TLS and password), `tls` (certificate)."""

    def __init__(self) -> None:
        self._jars = maven_packages("kafka", KAFKA)
        if shutil.which("java") is None:
            pytest.skip("Java is not installed")
        self._directory = Path(mkdtemp(prefix="lambent-kafka-"))
        self._ports = {name: free_port() for name in ("plain", "sasl", "tls", "controller")}
        self.authority = Authority()
        self._process: subprocess.Popen[bytes] | None = None
        self._admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": self.servers(), "log_level": 0})
        self._prepare()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def servers(self, listener: str = "plain") -> str:
        """Return the address of a listener."""
        return f"127.0.0.1:{self._ports[listener]}"

    def start(self) -> None:
        """Start it, with what it had; return when it answers."""
        with (self._directory / "log").open("ab") as log:
            command = [*self._java(), "kafka.Kafka", str(self._directory / "server.properties")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._directory)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(confluent_kafka.KafkaException):
                self._admin.list_topics(timeout=2)
                return
            assert self._process.poll() is None, self._tail()
            assert time.monotonic() < deadline, self._tail()

    def stop(self) -> None:
        """End it, as an operator does."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Make a topic."""
        topic = confluent_kafka.cimpl.NewTopic(name, partitions, 1)
        self._admin.create_topics([topic])[name].result(60)

    def members(self, group: str) -> int:
        """Return how many consumers a group has."""
        found = self._admin.describe_consumer_groups([group])[group].result(30)
        return len(found.members)

    def committed(self, group: str, topic: str, partitions: int) -> int:
        """Return the sum of a group's offsets."""
        places = [confluent_kafka.TopicPartition(topic, number) for number in range(partitions)]
        asked = confluent_kafka.ConsumerGroupTopicPartitions(group, places)
        answer = self._admin.list_consumer_group_offsets([asked])[group].result(30)
        return sum(max(one.offset, 0) for one in answer.topic_partitions)

    def end(self, topic: str) -> int:
        """Return how many messages the first partition of a topic has got."""
        consumer = confluent_kafka.Consumer({"bootstrap.servers": self.servers(), "group.id": "reader"})
        try:
            _, end = consumer.get_watermark_offsets(confluent_kafka.TopicPartition(topic, 0), timeout=30)
        finally:
            consumer.close()
        return int(end)

    def send(self, topic: str, *values: bytes | str | None, **members: Any) -> None:
        """Write messages; `members` are those of Producer.produce."""
        producer = confluent_kafka.Producer({"bootstrap.servers": self.servers(), "log_level": 0})
        for value in values:
            producer.produce(topic, value.encode() if isinstance(value, str) else value, **members)
        assert producer.flush(60) == 0

    def messages(self, topic: str, count: int, seconds_max: float = 60.0) -> list[Any]:
        """Return the first messages of a topic."""
        consumer = confluent_kafka.Consumer(
            {"bootstrap.servers": self.servers(), "group.id": "reader", "auto.offset.reset": "earliest"}
        )
        try:
            consumer.assign([confluent_kafka.TopicPartition(topic, 0, confluent_kafka.OFFSET_BEGINNING)])
            found: list[Any] = []
            deadline = time.monotonic() + seconds_max
            while len(found) < count:
                assert time.monotonic() < deadline, f"{len(found)} of {count}"
                message = consumer.poll(0.5)
                if message is not None and message.error() is None:
                    found.append(message)
            return found
        finally:
            consumer.close()

    def _java(self) -> list[str]:
        return ["java", "-Xmx384m", "-XX:+UseSerialGC", "-cp", f"{self._jars}/*"]

    def _prepare(self) -> None:
        directory = self._directory
        certificate, key = self.authority.issue("127.0.0.1")
        (directory / "server.pem").write_text(key + certificate)
        (directory / "authority.pem").write_text(self.authority.certificate)
        names = {"plain": "PLAINTEXT", "sasl": "SASL_SSL", "tls": "SSL", "controller": "PLAINTEXT"}
        listeners = [f"{name.upper()}://127.0.0.1:{self._ports[name]}" for name in names]
        plain = "org.apache.kafka.common.security.plain.PlainLoginModule"
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule"
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._ports['controller']}",
            "controller.listener.names": "CONTROLLER",
            "listeners": ",".join(listeners),
            "advertised.listeners": ",".join(listeners[:-1]),
            "listener.security.protocol.map": ",".join(f"{name.upper()}:{kind}" for name, kind in names.items()),
            "inter.broker.listener.name": "PLAIN",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "listener.name.sasl.plain.sasl.jaas.config": f'{plain} required user_{USER}="{PASSWORD}";',
            "listener.name.sasl.scram-sha-256.sasl.jaas.config": f"{scram} required;",
            "listener.name.sasl.scram-sha-512.sasl.jaas.config": f"{scram} required;",
            "listener.name.tls.ssl.client.auth": "required",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(directory / "server.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(directory / "authority.pem"),
            "log.dirs": str(directory / "data"),
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "3",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "num.network.threads": "2",
            "num.io.threads": "2",
        }
        properties = directory / "server.properties"
        properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        credentials = [f"SCRAM-SHA-{size}=[name={USER},password={PASSWORD}]" for size in (256, 512)]
        cluster = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
        command = [*self._java(), "kafka.tools.StorageTool", "format", "--cluster-id", cluster, "--config"]
        added = [word for one in credentials for word in ("--add-scram", one)]
        done = subprocess.run([*command, str(properties), *added], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def _tail(self) -> str:
        return (self._directory / "log").read_text(errors="replace")[-3_000:]


def mapped(
    server: LambentServer, servers: str, name: str, *, accesses: Sequence[Mapping[str, str]] = (), **members: Any
) -> tuple[Any, str]:
    """Create a recorder and its mapping of a topic of its name; return the client and the mapping's id, Enabled."""
    client = server.client()
    create_function(client, name, {"index.py": RECORDER}, Timeout=10)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    asked = {"StartingPosition": "TRIM_HORIZON", "Topics": [name], **members}
    made = client.create_event_source_mapping(
        FunctionName=name,
        SelfManagedEventSource={"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": [servers]}},
        SourceAccessConfigurations=list(accesses) or [{"Type": "VPC_SUBNET", "URI": "subnet:subnet-1"}],
        **asked,
    )
    wait_state(client, made["UUID"], "Enabled")
    return client, made["UUID"]


def records(client: Any, name: str) -> list[dict[str, Any]]:
    """Return all records that a recorder has got, in order."""
    return [record for event in events_of(client, name) for group in event["records"].values() for record in group]


def values(client: Any, name: str) -> list[str]:
    """Return their values."""
    return [base64.b64decode(record["value"]).decode() for record in records(client, name)]


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, 2_048)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
