"""Sample events: each is whole, follows what is said of it, and refuses what it does not have."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from typing import Any

import pytest

from lambent.cli.samples import SAMPLES, Given, SampleError, sample_event

GIVEN = Given("111122223333", "eu-west-1", "my-function", 1_769_860_800_123, {})
OTHER = {"account": "444455556666", "region": "cn-north-1"}


def made(name: str, **told: str) -> Any:
    """Return a sample as a function gets it."""
    return json.loads(json.dumps(sample_event(name, GIVEN, {key.replace("__", "."): told[key] for key in told})))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_json_and_the_same_at_the_same_moment(name: str) -> None:
    event = made(name)
    assert isinstance(event, dict)
    assert event == made(name)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_speaks_of_one_account_and_one_region(name: str) -> None:
    text = json.dumps(made(name, **OTHER))
    assert "111122223333" not in text
    assert "eu-west-1" not in text
    assert "arn:aws:" not in text


@pytest.mark.parametrize(("name", "field"), [(one.name, field) for one in SAMPLES.values() for field in one.fields])
def test_every_field_changes_something(name: str, field: str) -> None:
    default = SAMPLES[name].fields[field]
    value = '{"other": 2}' if default.startswith("{") else str(int(default) + 1) if default.isdecimal() else "Other-1"
    assert made(name, **{field.replace(".", "__"): value}) != made(name)


def test_names_and_sources_are_told_apart() -> None:
    assert all(one.name == name for name, one in SAMPLES.items())
    assert all(one.source for one in SAMPLES.values())
    services = ("s3", "sns", "sqs", "kinesis", "dynamodb", "kafka", "msk", "rabbitmq", "activemq", "documentdb")
    more = ("eventbridge", "scheduler", "cloudwatch-logs", "apigateway", "apigateway-http", "alb", "function-url")
    rest = ("codecommit", "codepipeline", "iot-rule", "alexa-skill", "config", "ses", "lex", "secrets-rotation")
    assert {*services, *more, *rest, "cloudformation"} <= SAMPLES.keys()


def test_an_object_of_s3() -> None:
    [record] = made("s3", bucket="photos", key="a b/ü.jpg", size="7")["Records"]
    assert record["s3"]["bucket"]["name"] == "photos"
    assert record["s3"]["bucket"]["arn"] == "arn:aws:s3:::photos"
    assert record["s3"]["object"]["key"] == "a+b/%C3%BC.jpg"
    assert record["s3"]["object"]["size"] == 7
    assert record["awsRegion"] == "eu-west-1"
    assert record["eventTime"] == "2026-01-31T12:00:00.123Z"


def test_a_message_has_the_digest_of_its_body() -> None:
    [record] = made("sqs", body="hello")["Records"]
    assert record["md5OfBody"] == hashlib.md5(b"hello", usedforsecurity=False).hexdigest()
    assert record["eventSourceARN"] == "arn:aws:sqs:eu-west-1:111122223333:my-queue"


def test_data_are_in_base64() -> None:
    assert base64.b64decode(made("kinesis", data="hello")["Records"][0]["kinesis"]["data"]) == b"hello"
    [[record]] = made("kafka", topic="t", partition="3", value="v")["records"].values()
    assert (record["partition"], base64.b64decode(record["value"])) == (3, b"v")
    assert list(made("kafka", topic="t", partition="3")["records"]) == ["t-3"]
    [[message]] = made("rabbitmq", data="hello")["rmqMessagesByQueue"].values()
    assert base64.b64decode(message["data"]) == b"hello"
    assert message["basicProperties"]["bodySize"] == 5


def test_lines_of_cloudwatch_logs_are_compressed() -> None:
    data = made("cloudwatch-logs", message="a line", group="/g")["awslogs"]["data"]
    content = json.loads(gzip.decompress(base64.b64decode(data)))
    assert content["messageType"] == "DATA_MESSAGE"
    assert content["owner"] == "111122223333"
    assert content["logGroup"] == "/g"
    assert [line["message"] for line in content["logEvents"]] == ["a line"]


def test_a_custom_resource_names_the_function() -> None:
    event = made("cloudformation", request="Update")
    assert event["ServiceToken"] == "arn:aws:lambda:eu-west-1:111122223333:function:my-function"
    assert event["OldResourceProperties"] != event["ResourceProperties"]
    assert "PhysicalResourceId" not in made("cloudformation")


def test_any_place_can_be_given_and_keeps_its_type() -> None:
    event = made("s3", Records__0__eventName="ObjectCreated:Copy", Records__0__s3__object__size="5")
    assert event["Records"][0]["eventName"] == "ObjectCreated:Copy"
    assert event["Records"][0]["s3"]["object"]["size"] == 5
    assert made("function-url", requestContext='{"a": 1}')["requestContext"] == {"a": 1}
    assert made("eventbridge", detail='{"order": [2]}')["detail"] == {"order": [2]}


@pytest.mark.parametrize(
    ("name", "told", "text"),
    [
        ("sqss", {}, "did you mean sqs"),
        ("nothing-of-the-kind", {}, "--list-samples"),
        ("s3", {"size": "large"}, "size is a number"),
        ("s3", {"bukket": "b"}, "its fields are bucket, key"),
        ("s3", {"Records.1.eventName": "b"}, "no place Records.1.eventName"),
        ("s3", {"Records.0.s3.object.size": "five"}, "must be JSON"),
        ("s3", {"account": "12"}, "12 digits"),
        ("s3", {"region": "Mars"}, "no name of a region"),
        ("eventbridge", {"detail": "{"}, "JSON object"),
    ],
)
def test_what_a_sample_does_not_have_is_refused(name: str, told: dict[str, str], text: str) -> None:
    with pytest.raises(SampleError, match=text):
        sample_event(name, GIVEN, told)
