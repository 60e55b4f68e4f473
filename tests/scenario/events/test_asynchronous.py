"""Asynchronous invocation: taken when it is on disk, run, tried again by AWS's rules, told to destinations."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.running import create_function
from tests.scenario.events.conftest import (
    OBEDIENT,
    Mailbox,
    conservation,
    logged,
    metrics,
    send,
    wait_drained,
    wait_until,
)

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def made(client: Any, name: str, code: str = OBEDIENT, **members: Any) -> str:
    """Create a function and return its ARN."""
    arn: str = create_function(client, name, {"index.py": code}, **members)["FunctionArn"]
    return arn


def test_an_event_runs_once(eventful: LambentServer, client: Any) -> None:
    made(client, "once")
    request_id = send(client, "once", {"n": 1})
    assert wait_drained(eventful, "once") == {
        "received": 1, "queued": 0, "in_flight": 0, "succeeded": 1, "dropped": 0, "dead_lettered": 0, "drift": 0,
    }  # fmt: skip
    wait_until(lambda: len(logged(eventful, "once")) == 1, "it is logged")
    assert logged(eventful, "once") == [f'ran {{"n": 1}} {request_id}']
    assert client.invoke_async(FunctionName="once", InvokeArgs=b'{"n": 2}')["Status"] == 202
    assert wait_drained(eventful, "once")["succeeded"] == 2
    counts = metrics(eventful, "once")
    assert (counts["async_events_received"], counts["async_events_dropped"]) == (2, 0)


def test_a_failing_event_is_tried_three_times_with_one_request_id(eventful: LambentServer, client: Any) -> None:
    arn = made(client, "fails")
    box = Mailbox(eventful, "on-failure")
    client.put_function_event_invoke_config(
        FunctionName="fails", DestinationConfig={"OnFailure": {"Destination": box.arn}}
    )
    request_id = send(client, "fails", {"fail": "no ä"})
    message = box.wait()
    record = json.loads(message["Body"])
    assert TIME.fullmatch(record.pop("timestamp"))
    response = record.pop("responsePayload")
    assert (response["errorMessage"], response["errorType"], response["requestId"]) == (
        "no ä",
        "ValueError",
        request_id,
    )
    assert record == {
        "version": "1.0",
        "requestContext": {
            "requestId": request_id,
            "functionArn": f"{arn}:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"fail": "no ä"},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
    }
    assert "MessageAttributes" not in message
    counts = wait_drained(eventful, "fails")
    assert (counts["received"], counts["dead_lettered"], counts["dropped"]) == (1, 1, 0)
    wait_until(lambda: len(logged(eventful, "fails")) == 3, "three runs are logged")
    assert {line.rpartition(" ")[2] for line in logged(eventful, "fails")} == {request_id}
    assert metrics(eventful, "fails")["async_events_dropped"] == 1


def test_success_and_failure_go_where_they_shall_by_alias(eventful: LambentServer, client: Any) -> None:
    made(client, "by-alias")
    client.publish_version(FunctionName="by-alias")
    alias = client.create_alias(FunctionName="by-alias", Name="live", FunctionVersion="1")["AliasArn"]
    good, bad, other = (Mailbox(eventful, name) for name in ("good", "bad", "unqualified"))
    client.put_function_event_invoke_config(
        FunctionName="by-alias",
        Qualifier="live",
        MaximumRetryAttempts=0,
        DestinationConfig={"OnSuccess": {"Destination": good.arn}, "OnFailure": {"Destination": bad.arn}},
    )
    client.put_function_event_invoke_config(
        FunctionName="by-alias", DestinationConfig={"OnSuccess": {"Destination": other.arn}}
    )
    send(client, "by-alias", [1], Qualifier="live")
    record = json.loads(good.wait()["Body"])
    assert record["requestContext"]["functionArn"] == alias
    assert record["requestContext"]["condition"] == "Success"
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "1"}
    assert (record["requestPayload"], record["responsePayload"]) == ([1], {"got": [1]})
    send(client, "by-alias:live", {"fail": "at once"})
    record = json.loads(bad.wait()["Body"])
    assert record["requestContext"]["approximateInvokeCount"] == 1
    send(client, "by-alias", 7)
    assert json.loads(other.wait()["Body"])["responseContext"]["executedVersion"] == "$LATEST"
    assert good.is_empty()
    assert bad.is_empty()
    counts = wait_drained(eventful, "by-alias")
    assert (counts["succeeded"], counts["dead_lettered"]) == (2, 1)


def test_a_dead_letter_queue_gets_the_event_itself(eventful: LambentServer, client: Any) -> None:
    box = Mailbox(eventful, "dead-letters")
    made(client, "dying", DeadLetterConfig={"TargetArn": box.arn})
    client.put_function_event_invoke_config(FunctionName="dying", MaximumRetryAttempts=1)
    request_id = send(client, "dying", {"fail": "x" * 3_000})
    message = box.wait()
    assert json.loads(message["Body"]) == {"fail": "x" * 3_000}
    attributes = {name: (one["DataType"], one["StringValue"]) for name, one in message["MessageAttributes"].items()}
    assert attributes == {
        "RequestID": ("String", request_id),
        "ErrorCode": ("Number", "200"),
        "ErrorMessage": ("String", "x" * 1_024),
    }
    wait_until(lambda: len(logged(eventful, "dying")) == 2, "two runs are logged")
    assert wait_drained(eventful, "dying")["dead_lettered"] == 1


def test_an_event_that_would_be_too_old_ends_at_once(eventful: LambentServer, client: Any) -> None:
    """The retry after AWS's minute would come after the 60 s that an event may have, however short ours is."""
    made(client, "ages")
    box = Mailbox(eventful, "too-old")
    client.put_function_event_invoke_config(
        FunctionName="ages", MaximumEventAgeInSeconds=60, DestinationConfig={"OnFailure": {"Destination": box.arn}}
    )
    send(client, "ages", {"fail": "once"})
    context = json.loads(box.wait()["Body"])["requestContext"]
    assert (context["condition"], context["approximateInvokeCount"]) == ("EventAgeExceeded", 1)
    client.update_function_event_invoke_config(FunctionName="ages", MaximumEventAgeInSeconds=90)
    send(client, "ages", {"fail": "twice"})
    context = json.loads(box.wait()["Body"])["requestContext"]
    assert (context["condition"], context["approximateInvokeCount"]) == ("EventAgeExceeded", 2)


def test_reserved_concurrency_of_zero_sends_events_straight_on(eventful: LambentServer, client: Any) -> None:
    letters, box = Mailbox(eventful, "off-letters"), Mailbox(eventful, "off-records")
    made(client, "off", DeadLetterConfig={"TargetArn": letters.arn})
    client.put_function_concurrency(FunctionName="off", ReservedConcurrentExecutions=0)
    client.put_function_event_invoke_config(
        FunctionName="off", DestinationConfig={"OnFailure": {"Destination": box.arn}}
    )
    send(client, "off", {"n": 1})
    record = json.loads(box.wait()["Body"])
    assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert "responseContext" not in record
    assert json.loads(letters.wait()["Body"]) == {"n": 1}
    assert logged(eventful, "off") == []
    assert wait_drained(eventful, "off")["dead_lettered"] == 1


def test_throttled_events_wait_and_use_up_no_retry(eventful: LambentServer, client: Any) -> None:
    code = "import time\ndef handler(event, context):\n    time.sleep(0.3)\n    return event\n"
    made(client, "narrow", code)
    client.put_function_concurrency(FunctionName="narrow", ReservedConcurrentExecutions=1)
    box = Mailbox(eventful, "narrow-results")
    client.put_function_event_invoke_config(
        FunctionName="narrow",
        MaximumRetryAttempts=0,
        DestinationConfig={"OnSuccess": {"Destination": box.arn}, "OnFailure": {"Destination": box.arn}},
    )
    for number in range(6):
        send(client, "narrow", number)
    records = [json.loads(box.wait()["Body"]) for _ in range(6)]
    assert {record["requestContext"]["condition"] for record in records} == {"Success"}
    assert {record["requestContext"]["approximateInvokeCount"] for record in records} == {1}
    assert sorted(record["responsePayload"] for record in records) == list(range(6))
    assert metrics(eventful, "narrow")["concurrent_max"] == 1


def test_what_is_refused_is_not_kept(eventful: LambentServer, client: Any) -> None:
    made(client, "picky")
    before = conservation(eventful)["received"]
    with pytest.raises(ClientError) as refused:
        client.invoke(FunctionName="nowhere", InvocationType="Event", Payload=b"{}")
    assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"
    with pytest.raises(ClientError) as refused:
        client.invoke(FunctionName="picky", InvocationType="Event", Payload=b'"' + b"x" * 1_048_575 + b'"')
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert refused.value.response["Error"] == {
        "Code": "RequestTooLargeException",
        "Message": "Request must be smaller than 1048576 bytes for the InvokeFunction operation",
    }
    with pytest.raises(ClientError) as refused:
        client.invoke(FunctionName="picky", InvocationType="Event", Payload=b"{")
    assert refused.value.response["Error"]["Code"] == "InvalidRequestContentException"
    assert conservation(eventful)["received"] == before
    send(client, "picky", "x" * 1_048_574)
    assert wait_drained(eventful, "picky")["succeeded"] == 1


def test_a_loop_of_asynchronous_calls_ends_after_sixteen_turns(eventful: LambentServer, client: Any) -> None:
    code = (
        "import boto3, json\nclient = boto3.client('lambda')\n"
        "def handler(event, context):\n"
        "    print('ran', event['turn'], context.aws_request_id)\n"
        "    again = json.dumps({'turn': event['turn'] + 1})\n"
        "    client.invoke(FunctionName=context.function_name, InvocationType='Event', Payload=again)\n"
    )
    box = Mailbox(eventful, "loops")
    made(client, "loops", code, Timeout=30, DeadLetterConfig={"TargetArn": box.arn})
    assert client.get_function_recursion_config(FunctionName="loops")["RecursiveLoop"] == "Terminate"
    send(client, "loops", {"turn": 1})
    message = box.wait()
    assert json.loads(message["Body"]) == {"turn": 17}
    assert message["MessageAttributes"]["ErrorCode"]["StringValue"] == "400"
    wait_until(lambda: len(logged(eventful, "loops")) == 16, "sixteen runs are logged")
    assert metrics(eventful, "loops")["recursive_invocations_dropped"] == 1
    counts = wait_drained(eventful, "loops")
    assert (counts["succeeded"], counts["dead_lettered"]) == (16, 1)


def test_a_loop_may_be_allowed_and_a_synchronous_one_is_refused(eventful: LambentServer, client: Any) -> None:
    code = (
        "import boto3, json\nfrom botocore.config import Config\n"
        "client = boto3.client('lambda', config=Config(retries={'total_max_attempts': 1}, read_timeout=60))\n"
        "def handler(event, context):\n"
        "    if event['left'] == 0:\n        return 'end'\n"
        "    again = json.dumps({'left': event['left'] - 1})\n"
        "    try:\n"
        "        answer = client.invoke(FunctionName=context.function_name, Payload=again)\n"
        "    except Exception as error:\n        return [event['left'], type(error).__name__]\n"
        "    return json.loads(answer['Payload'].read())\n"
    )
    made(client, "recursive", code, Timeout=60)
    payload = json.dumps({"left": 18})
    answer = json.loads(client.invoke(FunctionName="recursive", Payload=payload)["Payload"].read())
    assert answer == [3, "RecursiveInvocationException"]
    client.put_function_recursion_config(FunctionName="recursive", RecursiveLoop="Allow")
    assert json.loads(client.invoke(FunctionName="recursive", Payload=payload)["Payload"].read()) == "end"
