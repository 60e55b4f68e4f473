"""What the embedded services know of functions follows them, whoever is killed meanwhile."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from tests.running import create_function, make_zip_bytes
from tests.scenario.neighbours.conftest import child_of, signal_child
from tests.scenario.triggers.conftest import (
    PRINTING,
    calls,
    events_of,
    function_arn,
    permit,
    printing,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

_TOPIC = "arn:aws:sns:us-east-1:000000000000:"


def _patient(server: LambentServer, service: str) -> Any:
    return boto3.client(
        service, endpoint_url=server.url, region_name="us-east-1", aws_access_key_id="test",
        aws_secret_access_key="test", config=Config(retries={"mode": "standard", "total_max_attempts": 8}),
    )  # fmt: skip


def _subscribed(server: LambentServer, name: str, function: str) -> str:
    """Create a topic that calls a function; return its ARN."""
    sns = _patient(server, "sns")
    topic: str = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function)
    return topic


def test_functions_alone_start_no_child(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({"neighbours.enabled": "true", "isolation.level": "L0", "logs.deliver": "false"})
    printing(server, "alone")
    server.client().publish_version(FunctionName="alone")
    assert child_of(server)["state"] == "not started"
    server.stop()


def test_a_function_is_known_as_soon_as_it_is_made_and_no_longer_when_it_is_gone(triggered: LambentServer) -> None:
    sns, client = triggered.client("sns"), triggered.client()
    for number in range(3):
        topic = _subscribed(triggered, "coming", function_arn("coming"))
        client.create_function(
            FunctionName="coming", Runtime="python3.11", Handler="index.handler",
            Role="arn:aws:iam::000000000000:role/r", Code={"ZipFile": make_zip_bytes({"index.py": PRINTING})},
        )  # fmt: skip
        permit(triggered, "coming", "sns.amazonaws.com", topic)
        client.get_waiter("function_active_v2").wait(FunctionName="coming", WaiterConfig={"Delay": 1})
        sns.publish(TopicArn=topic, Message=str(number))
        wait_until(
            lambda number=number: (
                str(number)  # type: ignore[misc]
                in [event["Records"][0]["Sns"]["Message"] for event, _ in calls(triggered, "coming")]
            ),
            f"call {number}",
        )
        client.delete_function(FunctionName="coming")
        sns.publish(TopicArn=topic, Message="into the void")
    assert "into the void" not in str(calls(triggered, "coming"))


def test_versions_and_aliases_are_called_by_their_names(triggered: LambentServer) -> None:
    client, sns = triggered.client(), triggered.client("sns")
    printing(triggered, "numbered")
    client.publish_version(FunctionName="numbered")
    client.create_alias(FunctionName="numbered", Name="live", FunctionVersion="1")
    topics = {}
    for qualifier in ("1", "live"):
        topics[qualifier] = _subscribed(triggered, f"numbered-{qualifier}", function_arn(f"numbered:{qualifier}"))
        permit(triggered, "numbered", "sns.amazonaws.com", topics[qualifier], Qualifier=qualifier)
        sns.publish(TopicArn=topics[qualifier], Message=qualifier)
    wait_until(lambda: len(calls(triggered, "numbered")) == 2, "both calls")
    assert {arn for _, arn in calls(triggered, "numbered")} == {
        function_arn("numbered:1"), function_arn("numbered:live")
    }  # fmt: skip
    client.delete_alias(FunctionName="numbered", Name="live")
    sns.publish(TopicArn=topics["live"], Message="gone")
    sns.publish(TopicArn=topics["1"], Message="still there")
    wait_until(lambda: len(calls(triggered, "numbered")) == 3, "the third call")
    assert "gone" not in str(calls(triggered, "numbered"))


def test_another_account_and_region(triggered: LambentServer) -> None:
    key: dict[str, Any] = {"access_key": "111122223333", "region": "eu-west-1"}
    create_function(
        triggered.client(**key), "abroad", {"index.py": PRINTING}, Role="arn:aws:iam::111122223333:role/r"
    )  # fmt: skip
    sns = triggered.client("sns", **key)
    topic = sns.create_topic(Name="abroad")["TopicArn"]
    function = "arn:aws:lambda:eu-west-1:111122223333:function:abroad"
    triggered.client(**key).add_permission(
        FunctionName="abroad", StatementId="s", Action="lambda:InvokeFunction", Principal="sns.amazonaws.com",
        SourceArn=topic,
    )  # fmt: skip
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function)
    sns.publish(TopicArn=topic, Message="x")
    logs = triggered.client("logs", **key)

    def lines() -> str:
        try:
            return str(logs.filter_log_events(logGroupName="/aws/lambda/abroad")["events"])
        except logs.exceptions.ResourceNotFoundException:
            return ""

    wait_until(lambda: function in lines(), "the line in the account's own log")


@pytest.mark.long
def test_a_child_that_was_killed_knows_everything_again(triggered: LambentServer) -> None:
    function = printing(triggered, "survivor")
    topic = _subscribed(triggered, "survivor", function)
    permit(triggered, "survivor", "sns.amazonaws.com", topic)
    signal_child(triggered, signal.SIGKILL)
    late = printing(triggered, "made-meanwhile")
    other = _subscribed(triggered, "made-meanwhile", late)
    permit(triggered, "made-meanwhile", "sns.amazonaws.com", other)
    for one in (topic, other):
        _patient(triggered, "sns").publish(TopicArn=one, Message="after the kill")
    events_of(triggered, "survivor")
    events_of(triggered, "made-meanwhile")


@pytest.mark.long
def test_a_daemon_that_was_killed_tells_a_new_child(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({"neighbours.enabled": "true", "isolation.level": "L0"})
    topic = _subscribed(server, "again", printing(server, "again"))
    permit(server, "again", "sns.amazonaws.com", topic)
    server.kill()
    server.start()
    server.client("sns").publish(TopicArn=topic, Message="after the kill")
    events_of(server, "again")
    server.stop()


@pytest.mark.long
@pytest.mark.timeout(300)
def test_objects_whose_put_was_answered_have_their_call(triggered: LambentServer) -> None:
    """A thousand objects in ten seconds, the child killed in the middle."""
    printing(
        triggered,
        "counted",
        PRINTING.replace("json.dumps([event,", "json.dumps([event['Records'][0]['s3']['object']['key'],"),
    )
    s3 = _patient(triggered, "s3")
    s3.create_bucket(Bucket="counted")
    permit(triggered, "counted", "s3.amazonaws.com", "arn:aws:s3:::counted")
    s3.put_bucket_notification_configuration(
        Bucket="counted",
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                {"LambdaFunctionArn": function_arn("counted"), "Events": ["s3:ObjectCreated:*"]}
            ]
        },
    )
    answered: list[str] = []

    def put(first: int) -> None:
        client = _patient(triggered, "s3")
        for number in range(first, first + 125):
            client.put_object(Bucket="counted", Key=f"k{number}", Body=b"x")
            answered.append(f"k{number}")
            if first == 0 and number == 60:
                signal_child(triggered, signal.SIGKILL)
            time.sleep(0.02)

    threads = [threading.Thread(target=put, args=(first,)) for first in range(0, 1_000, 125)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    there = set()
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket="counted"):
        there |= {one["Key"] for one in page.get("Contents", [])}
    wanted = there & set(answered)
    assert len(answered) == 1_000
    assert len(wanted) > 500

    def called() -> set[str]:
        return {event for event, _ in calls(triggered, "counted")}

    wait_until(lambda: wanted <= called(), "every object's call", 60)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_hundred_functions_come_and_go_while_either_side_dies(lambent_server_factory: ServerFactory) -> None:
    """Devices call each by a rule, which asks the child's own table: it must be as the daemon's."""
    server = lambent_server_factory({"neighbours.enabled": "true", "isolation.level": "L0"})
    iot = _patient(server, "iot")
    code = make_zip_bytes({"index.py": PRINTING})

    def make(number: int) -> None:
        client, name = _patient(server, "lambda"), f"f{number}"
        client.create_function(
            FunctionName=name, Runtime="python3.11", Handler="index.handler", Role="arn:aws:iam::000000000000:role/r",
            Code={"ZipFile": code},
        )  # fmt: skip
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        members: dict[str, str] = {}
        if number % 2:
            client.publish_version(FunctionName=name)
            client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
            members = {"Qualifier": "live"}
        permit(server, name, "iot.amazonaws.com", **members)

    def all_at_once(work: Callable[[int], object], numbers: Iterable[int]) -> None:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(work, numbers))

    for number in range(100):
        qualifier = ":live" if number % 2 else ""
        payload: Any = {
            "sql": f"SELECT * FROM 't/{number}'",
            "actions": [{"lambda": {"functionArn": function_arn(f"f{number}{qualifier}")}}],
        }
        iot.create_topic_rule(ruleName=f"r{number}", topicRulePayload=payload)
    all_at_once(make, range(50))
    signal_child(server, signal.SIGKILL)
    all_at_once(make, range(50, 100))
    gone = set(range(0, 100, 5))
    all_at_once(lambda number: server.client().delete_function(FunctionName=f"f{number}"), sorted(gone)[:10])
    server.kill()
    server.start()
    all_at_once(lambda number: server.client().delete_function(FunctionName=f"f{number}"), sorted(gone)[10:])
    data = _patient(server, "iot-data")
    for number in range(100):
        data.publish(topic=f"t/{number}", qos=1, payload=b'{"n": 1}')
    for number in sorted(set(range(100)) - gone):
        qualifier = ":live" if number % 2 else ""
        assert events_of(server, f"f{number}") == [{"n": 1}]
        assert calls(server, f"f{number}")[0][1] == function_arn(f"f{number}{qualifier}")
    assert [number for number in gone if calls(server, f"f{number}")] == []
    server.stop()
