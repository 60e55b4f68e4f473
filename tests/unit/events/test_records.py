"""Invocation records and dead letters, byte for byte."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from lambent.events.records import dead_letter_message, destination_message, invocation_record
from lambent.model.arn import FunctionArn
from lambent.model.event import AsyncEvent, Condition, EventOutcome, Response

EVENT = AsyncEvent(
    FunctionArn("000000000000", "us-east-1", "f"), "c6af9ac6-7b61", b'{"n": 1.0, "big": 12345678901234567890}', 0,
    attempts=3, response=Response(200, b'{"errorMessage": "no", "a":1}', "7", "Unhandled"),
)  # fmt: skip
FAILED = EventOutcome(Condition.RETRIES_EXHAUSTED, 1_573_755_365_568, ())


def test_a_failure() -> None:
    text = invocation_record(EVENT, FAILED).decode()
    assert '"requestPayload":{"n": 1.0, "big": 12345678901234567890}' in text, "numbers are as they came"
    assert json.loads(text) == {
        "version": "1.0",
        "timestamp": "2019-11-14T18:16:05.568Z",
        "requestContext": {
            "requestId": "c6af9ac6-7b61",
            "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"n": 1.0, "big": 12345678901234567890},
        "responseContext": {"statusCode": 200, "executedVersion": "7", "functionError": "Unhandled"},
        "responsePayload": {"errorMessage": "no", "a": 1},
    }


def test_a_throttled_event_has_no_response() -> None:
    event = replace(EVENT, attempts=0, response=Response(429, message="Rate Exceeded."))
    record = json.loads(invocation_record(event, replace(FAILED, condition=Condition.EVENT_AGE_EXCEEDED)))
    assert record["responseContext"] == {"statusCode": 429}
    assert "responsePayload" not in record


@pytest.mark.parametrize("payload", [b"\xff\xfe", b"", b"{nope"])
def test_what_is_no_json_becomes_a_text(payload: bytes) -> None:
    record = json.loads(invocation_record(replace(EVENT, response=Response(200, payload, "1")), FAILED))
    assert isinstance(record["responsePayload"], str)


def test_where_a_record_goes() -> None:
    message = destination_message(EVENT, FAILED, "arn:aws:s3:::b", bytes(16))
    assert (
        message.object_key == "aws/lambda/async/f/2019/11/14/2019-11-14T18.16.05-00000000-0000-4000-8000-000000000000"
    )
    assert message.detail_type == "Lambda Function Invocation Result - Failure"
    assert message.resources == ("arn:aws:s3:::b", "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST")


def test_a_dead_letter() -> None:
    message = dead_letter_message(EVENT, FAILED)
    assert message.body == EVENT.payload
    assert [(one.name, one.data_type, one.value) for one in message.attributes] == [
        ("RequestID", "String", "c6af9ac6-7b61"), ("ErrorCode", "Number", "200"), ("ErrorMessage", "String", "no"),
    ]  # fmt: skip


def test_an_error_of_more_than_a_kilobyte_is_cut_between_characters() -> None:
    text = "ä" * 600
    event = replace(EVENT, response=Response(200, json.dumps({"errorMessage": text}).encode(), "1", "Unhandled"))
    [*_, cut] = dead_letter_message(event, FAILED).attributes
    assert cut.value == "ä" * 512
    off = dead_letter_message(event, replace(FAILED, condition=Condition.ZERO_RESERVED_CONCURRENCY))
    assert [one.name for one in off.attributes] == ["RequestID", "ErrorMessage"]
