"""Self-managed Kafka as an event source, against librdkafka's own mock cluster: quick, in the test's process."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

import confluent_kafka
import pytest

from tests.running import create_function
from tests.scenario.sources.conftest import events_of, wait_state, wait_until

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.long

RECORDER = """
import base64, json, os

KEPT = "/tmp/events"


def handler(event, context):
    if "records" not in event:
        return [json.loads(line) for line in open(KEPT)] if os.path.exists(KEPT) else []
    with open(KEPT, "a") as kept:
        kept.write(json.dumps(event) + "\\n")
    failed = [
        {"partition": f"{r['topic']}-{r['partition']}", "offset": r["offset"]}
        for group in event["records"].values()
        for r in group
        if base64.b64decode(r["value"]).startswith(b"fail")
    ]
    if failed and not os.environ.get("PARTIAL"):
        raise ValueError("as asked")
    return {"batchItemFailures": [{"itemIdentifier": one} for one in failed]}
"""


class Cluster:
    """A mock cluster, alive as long as its producer."""

    def __init__(self) -> None:
        self.producer = confluent_kafka.Producer({"test.mock.num.brokers": 1, "log_level": 0})
        (broker,) = self.producer.list_topics(timeout=10).brokers.values()
        self.servers = f"127.0.0.1:{str(broker).rpartition(':')[2].partition('/')[0]}"

    def send(self, topic: str, *values: str, key: str | None = None, partition: int = 0) -> None:
        """Write messages to a partition."""
        for value in values:
            self.producer.produce(topic, value.encode(), key, partition, headers=[("h", b"\x01\x02")])
        assert self.producer.flush(10) == 0


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    """One cluster for a module's tests."""
    return Cluster()


def mapped(server: LambentServer, cluster: Cluster, name: str, *, is_partial: bool = False, **members: Any) -> Any:
    """Create a recorder and its mapping of a topic of the same name; return client and mapping, Enabled."""
    client = server.client()
    variables = {"Variables": {"PARTIAL": "1"} if is_partial else {}}
    create_function(client, name, {"index.py": RECORDER}, Timeout=5, Environment=variables)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    asked = {"StartingPosition": "TRIM_HORIZON", **members}
    made = client.create_event_source_mapping(
        FunctionName=name,
        SelfManagedEventSource={"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": [cluster.servers]}},
        SourceAccessConfigurations=[{"Type": "VPC_SUBNET", "URI": "subnet:subnet-1"}],
        Topics=[name],
        **asked,
    )
    wait_state(client, made["UUID"], "Enabled")
    return client, made


def values(client: Any, name: str) -> list[str]:
    """Return the values of all records that a recorder has got, in order."""
    found = events_of(client, name)
    groups = [group for event in found for group in event["records"].values()]
    return [base64.b64decode(record["value"]).decode() for group in groups for record in group]


def test_a_message_becomes_the_documented_event(server: LambentServer, cluster: Cluster) -> None:
    cluster.send("kafka-event", "hallo", key="k")
    client, _ = mapped(server, cluster, "kafka-event")
    (event,) = wait_until(lambda: events_of(client, "kafka-event"))
    (record,) = event.pop("records")["kafka-event-0"]
    assert event == {"eventSource": "SelfManagedKafka", "bootstrapServers": cluster.servers}
    assert record.pop("timestamp") == pytest.approx(time.time() * 1000, abs=120_000)
    assert record == {
        "topic": "kafka-event",
        "partition": 0,
        "offset": 0,
        "timestampType": "CREATE_TIME",
        "key": base64.b64encode(b"k").decode(),
        "value": base64.b64encode(b"hallo").decode(),
        "headers": [{"h": [1, 2]}],
    }


def test_partitions_keep_their_order_and_filters_hold(server: LambentServer, cluster: Cluster) -> None:
    cluster.send("kafka-order", "no json", partition=1)
    pattern = json.dumps({"value": {"n": [{"numeric": [">=", 2]}]}})
    client, _ = mapped(server, cluster, "kafka-order", BatchSize=3, FilterCriteria={"Filters": [{"Pattern": pattern}]})
    for partition in (0, 1):
        cluster.send("kafka-order", *(json.dumps({"p": partition, "n": n}) for n in range(10)), partition=partition)
    wait_until(lambda: len(values(client, "kafka-order")) == 16)
    got = [json.loads(value) for value in values(client, "kafka-order")]
    for partition in (0, 1):
        assert [one["n"] for one in got if one["p"] == partition] == list(range(2, 10))


def test_partial_answers_and_what_is_given_up(server: LambentServer, cluster: Cluster) -> None:
    sqs = server.client("sqs")
    url = sqs.create_queue(QueueName="kafka-lost")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    cluster.send("kafka-partial", "a", "fail", "c")
    client, _ = mapped(
        server,
        cluster,
        "kafka-partial",
        is_partial=True,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": arn}},
    )
    (message,) = wait_until(lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages"))
    record = json.loads(message["Body"])
    assert record["requestContext"]["condition"] == "RetryAttemptsExhausted"
    info = record["KafkaBatchInfo"]
    assert (info["batchSize"], info["bootstrapServers"]) == (2, cluster.servers)
    assert info["recordsInfo"]["kafka-partial-0"]["firstRecordOffset"] == "1"
    assert values(client, "kafka-partial") == ["a", "fail", "c", "fail", "c"]


def test_a_restart_goes_on_behind_what_was_committed(lambent_server_factory: Any, cluster: Cluster) -> None:
    server: LambentServer = lambent_server_factory()
    cluster.send("kafka-restart", "before")
    client, made = mapped(server, cluster, "kafka-restart")
    wait_until(lambda: values(client, "kafka-restart") == ["before"])
    time.sleep(1)  # The commit is not waited for.
    server.stop()
    server.start()
    client = server.client()
    wait_state(client, made["UUID"], "Enabled")
    cluster.send("kafka-restart", "after")
    wait_until(lambda: values(client, "kafka-restart") == ["after"])


def test_what_nobody_can_reach_says_so(server: LambentServer) -> None:
    client = server.client()
    create_function(client, "kafka-problem", {"index.py": RECORDER})
    made = client.create_event_source_mapping(
        FunctionName="kafka-problem",
        EventSourceArn="arn:aws:kafka:us-east-1:000000000000:cluster/c/1",
        Topics=["topic"],
        StartingPosition="LATEST",
    )
    wait_until(
        lambda: "event_sources.brokers" in client.get_event_source_mapping(UUID=made["UUID"])["LastProcessingResult"]
    )
