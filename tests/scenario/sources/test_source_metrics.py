"""Figures of event source mappings: those they ask for, those that all have; provisioned pollers of a queue; tags."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import create_function
from tests.scenario.sources.conftest import RECORDER, events_of, wait_state, wait_until

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.long

ACCOUNT = "000000000000"


def figures(server: LambentServer, mapping_id: str) -> dict[str, Any]:
    """Return a mapping's metrics."""
    status, body = server.get("/_lambent/v1/metrics")
    assert status == 200, body
    found: dict[str, Any] = json.loads(body)["event_source_mappings"].get(mapping_id, {})
    return found


def run(server: LambentServer, *words: str) -> str:
    """Run `lambent` and return what it prints."""
    command = [str(Path(sys.executable).parent / "lambent"), *words, "--endpoint-url", server.url]
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def queue_mapped(server: LambentServer, name: str, **members: Any) -> tuple[Any, str, str]:
    """Create a recorder and a queue's mapping; return client, mapping's id and the queue's URL."""
    client, sqs = server.client(), server.client("sqs")
    url = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "5"})["QueueUrl"]
    create_function(client, name, {"index.py": RECORDER}, Timeout=5)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    made = client.create_event_source_mapping(
        EventSourceArn=f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}", FunctionName=name, **members
    )
    wait_state(client, made["UUID"], "Enabled")
    return client, made["UUID"], url


def test_events_of_a_queue_are_counted_when_asked_for(server: LambentServer) -> None:
    pattern = json.dumps({"body": [{"anything-but": "other"}]})
    _, mapping_id, url = queue_mapped(
        server,
        "counted",
        MetricsConfig={"Metrics": ["EventCount"]},
        BatchSize=1,
        FilterCriteria={"Filters": [{"Pattern": pattern}]},
    )
    for body in ("one", "other", "two"):
        server.client("sqs").send_message(QueueUrl=url, MessageBody=body)
    wait_until(lambda: figures(server, mapping_id).get("DeletedEventCount") == 2)
    assert figures(server, mapping_id) == {
        "function": "counted",
        "PolledEventCount": 3,
        "FilteredOutEventCount": 1,
        "InvokedEventCount": figures(server, mapping_id)["InvokedEventCount"],
        "DeletedEventCount": 2,
        **{name: value for name, value in figures(server, mapping_id).items() if name == "FailedInvokeEventCount"},
    }
    server.client("sqs").send_message(QueueUrl=url, MessageBody="fail")
    wait_until(lambda: figures(server, mapping_id).get("FailedInvokeEventCount", 0) >= 1)
    server.client("sqs").purge_queue(QueueUrl=url)


def test_the_command_line_shows_them(server: LambentServer) -> None:
    _, mapping_id, url = queue_mapped(server, "commanded", MetricsConfig={"Metrics": ["EventCount"]})
    server.client("sqs").send_message(QueueUrl=url, MessageBody="one")
    wait_until(lambda: figures(server, mapping_id).get("DeletedEventCount") == 1)
    lines = wait_until(lambda: run(server, "events", "sources").splitlines())
    at = lines.index(f"{mapping_id}  commanded")
    assert lines[at + 1].split() == ["DeletedEventCount", "1"]
    assert json.loads(run(server, "events", "sources", "--json"))[mapping_id]["PolledEventCount"] == 1


def test_without_being_asked_nothing_is_counted(server: LambentServer) -> None:
    client, mapping_id, url = queue_mapped(server, "uncounted")
    server.client("sqs").send_message(QueueUrl=url, MessageBody="one")
    wait_until(lambda: events_of(client, "uncounted"))
    assert figures(server, mapping_id) == {}


def test_a_queue_has_its_provisioned_pollers(server: LambentServer) -> None:
    client, mapping_id, url = queue_mapped(
        server, "provisioned", ProvisionedPollerConfig={"MinimumPollers": 3, "MaximumPollers": 4}
    )
    wait_until(lambda: figures(server, mapping_id).get("ProvisionedPollers") == 3)
    for number in range(40):
        server.client("sqs").send_message(QueueUrl=url, MessageBody=str(number))
    wait_until(lambda: sum(len(one["Records"]) for one in events_of(client, "provisioned")) == 40, 60)
    assert figures(server, mapping_id)["ProvisionedPollers_max"] <= 4
    client.update_event_source_mapping(UUID=mapping_id, ProvisionedPollerConfig={"MinimumPollers": 5})
    wait_until(lambda: figures(server, mapping_id)["ProvisionedPollers"] == 5, 60)
    client.update_event_source_mapping(
        UUID=mapping_id, ProvisionedPollerConfig={"MinimumPollers": 2, "MaximumPollers": 2}
    )
    wait_until(lambda: figures(server, mapping_id)["ProvisionedPollers"] == 2, 60)


def test_streams_say_how_old_their_records_are(server: LambentServer) -> None:
    client, kinesis = server.client(), server.client("kinesis")
    kinesis.create_stream(StreamName="aged", ShardCount=1)
    arn = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/aged"
    wait_until(lambda: kinesis.describe_stream(StreamName="aged")["StreamDescription"]["StreamStatus"] == "ACTIVE")
    create_function(client, "aged", {"index.py": RECORDER})
    made = client.create_event_source_mapping(
        EventSourceArn=arn,
        FunctionName="aged",
        StartingPosition="TRIM_HORIZON",
        MetricsConfig={"Metrics": ["EventCount"]},
    )
    kinesis.put_record(StreamName="aged", Data=b"x", PartitionKey="p")
    wait_until(lambda: figures(server, made["UUID"]).get("InvokedEventCount") == 1)
    found = figures(server, made["UUID"])
    assert found["PolledEventCount"] == 1
    assert 0 <= found["IteratorAge"] <= found["IteratorAge_max"] < 600_000


def test_mappings_have_tags(server: LambentServer) -> None:
    client, mapping_id, _ = queue_mapped(server, "tagged", Tags={"a": "1"})
    arn = client.get_event_source_mapping(UUID=mapping_id)["EventSourceMappingArn"]
    client.tag_resource(Resource=arn, Tags={"b": "2"})
    assert client.list_tags(Resource=arn)["Tags"] == {"a": "1", "b": "2"}
    client.untag_resource(Resource=arn, TagKeys=["a"])
    assert client.list_tags(Resource=arn)["Tags"] == {"b": "2"}
    client.delete_event_source_mapping(UUID=mapping_id)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.list_tags(Resource=arn)
