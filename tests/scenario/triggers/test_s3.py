"""Objects that come and go call functions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.scenario.triggers.conftest import (
    ACCOUNT,
    calls,
    events_of,
    function_arn,
    permit,
    printing,
    refusals,
    wait_until,
)

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow


def _notify(server: LambentServer, bucket: str, *configurations: dict[str, Any]) -> None:
    server.client("s3").put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": list(configurations)}
    )


def _bucket(server: LambentServer, name: str, function: str) -> Any:
    s3 = server.client("s3")
    s3.create_bucket(Bucket=name)
    permit(server, function, "s3.amazonaws.com", f"arn:aws:s3:::{name}", SourceAccount=ACCOUNT)
    return s3


def _objects(events: list[Any]) -> list[tuple[str, str]]:
    return sorted((one["Records"][0]["eventName"], one["Records"][0]["s3"]["object"]["key"]) for one in events)


def test_an_object_calls_a_function(triggered: LambentServer) -> None:
    printing(triggered, "created")
    s3 = _bucket(triggered, "created", "created")
    _notify(
        triggered,
        "created",
        {"Id": "of-texts", "LambdaFunctionArn": function_arn("created"), "Events": ["s3:ObjectCreated:*"]},
    )
    s3.put_object(Bucket="created", Key="a folder/ä+b.txt", Body=b"some content")
    [event] = events_of(triggered, "created")
    [record] = event["Records"]
    # The form is recorded: test_s3_notifications_lambda.json, test_create_object_put_via_dynamodb.
    assert set(record) == {
        "eventVersion", "eventSource", "awsRegion", "eventTime", "eventName", "userIdentity", "requestParameters",
        "responseElements", "s3",
    }  # fmt: skip
    assert (record["eventVersion"], record["eventSource"], record["eventName"]) == (
        "2.1", "aws:s3", "ObjectCreated:Put"
    )  # fmt: skip
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["eventTime"])
    described = record["s3"]
    assert (described["s3SchemaVersion"], described["configurationId"]) == ("1.0", "of-texts")
    assert set(described["bucket"]) == {"name", "ownerIdentity", "arn"}
    assert described["bucket"]["arn"] == "arn:aws:s3:::created"
    thing = described["object"]
    assert (thing["key"], thing["size"], thing["eTag"]) == (
        "a+folder/%C3%A4%2Bb.txt", 12, "b10a8db164e0754105b7a99be72e3fe5"[:0] + thing["eTag"]
    )  # fmt: skip
    assert "versionId" not in thing
    assert thing["sequencer"]


def test_prefix_suffix_copies_parts_and_removal(triggered: LambentServer) -> None:
    printing(triggered, "chosen")
    s3 = _bucket(triggered, "chosen", "chosen")
    rules = [{"Name": "prefix", "Value": "in/"}, {"Name": "suffix", "Value": ".jpg"}]
    _notify(
        triggered,
        "chosen",
        {
            "LambdaFunctionArn": function_arn("chosen"), "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
            "Filter": {"Key": {"FilterRules": rules}},
        },
    )  # fmt: skip
    for key in ("out/a.jpg", "in/a.png", "in/a.jpg"):
        s3.put_object(Bucket="chosen", Key=key, Body=b"1")
    s3.copy_object(Bucket="chosen", Key="in/copy.jpg", CopySource="chosen/in/a.jpg")
    upload = s3.create_multipart_upload(Bucket="chosen", Key="in/parts.jpg")["UploadId"]
    part = s3.upload_part(Bucket="chosen", Key="in/parts.jpg", UploadId=upload, PartNumber=1, Body=b"x" * 10)
    s3.complete_multipart_upload(
        Bucket="chosen", Key="in/parts.jpg", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )  # fmt: skip
    s3.delete_object(Bucket="chosen", Key="in/a.jpg")
    s3.delete_objects(Bucket="chosen", Delete={"Objects": [{"Key": "in/copy.jpg"}, {"Key": "out/a.jpg"}]})
    assert _objects(events_of(triggered, "chosen", 5)) == [
        ("ObjectCreated:CompleteMultipartUpload", "in/parts.jpg"),
        ("ObjectCreated:Copy", "in/copy.jpg"),
        ("ObjectCreated:Put", "in/a.jpg"),
        ("ObjectRemoved:Delete", "in/a.jpg"),
        ("ObjectRemoved:Delete", "in/copy.jpg"),
    ]


def test_versions_are_named_and_markers_told(triggered: LambentServer) -> None:
    printing(triggered, "versioned")
    s3 = _bucket(triggered, "versioned", "versioned")
    s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    _notify(
        triggered,
        "versioned",
        {"LambdaFunctionArn": function_arn("versioned"), "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]},
    )
    version = s3.put_object(Bucket="versioned", Key="k", Body=b"1")["VersionId"]
    marker = s3.delete_object(Bucket="versioned", Key="k")["VersionId"]
    s3.delete_object(Bucket="versioned", Key="k", VersionId=version)
    events = events_of(triggered, "versioned", 3)
    told = {one["Records"][0]["eventName"]: one["Records"][0]["s3"]["object"].get("versionId") for one in events}
    assert told == {
        "ObjectCreated:Put": version, "ObjectRemoved:DeleteMarkerCreated": marker, "ObjectRemoved:Delete": version
    }  # fmt: skip


def test_an_alias_is_called_by_its_name(triggered: LambentServer) -> None:
    printing(triggered, "aliased")
    client = triggered.client()
    client.publish_version(FunctionName="aliased")
    client.create_alias(FunctionName="aliased", Name="live", FunctionVersion="1")
    s3 = triggered.client("s3")
    s3.create_bucket(Bucket="aliased")
    permit(triggered, "aliased", "s3.amazonaws.com", "arn:aws:s3:::aliased", Qualifier="live")
    _notify(
        triggered,
        "aliased",
        {"LambdaFunctionArn": function_arn("aliased:live"), "Events": ["s3:ObjectCreated:*"]},
    )
    s3.put_object(Bucket="aliased", Key="k", Body=b"1")
    wait_until(lambda: calls(triggered, "aliased"), "a call of the alias")
    assert calls(triggered, "aliased")[0][1] == function_arn("aliased:live")


def test_who_may_not_call_is_refused_at_once_and_later(triggered: LambentServer) -> None:
    printing(triggered, "closed")
    s3 = triggered.client("s3")
    s3.create_bucket(Bucket="closed")
    configuration = {"LambdaFunctionArn": function_arn("closed"), "Events": ["s3:ObjectCreated:*"]}
    with pytest.raises(ClientError) as refused:
        _notify(triggered, "closed", configuration)
    # Recorded: test_invalid_lambda_arn.
    error = refused.value.response["Error"]
    assert (error["Code"], error["Message"]) == (
        "InvalidArgument", "Unable to validate the following destination configurations"
    )  # fmt: skip
    assert error["ArgumentName1"] == f"{function_arn('closed')}, null"
    assert error["ArgumentValue1"] == f"Not authorized to invoke function [{function_arn('closed')}]"
    permit(triggered, "closed", "s3.amazonaws.com", "arn:aws:s3:::closed")
    _notify(triggered, "closed", configuration)
    triggered.client().remove_permission(FunctionName="closed", StatementId="s3")
    s3.put_object(Bucket="closed", Key="k", Body=b"1")
    [refusal] = [one for one in refusals(triggered) if one["function_arn"] == function_arn("closed")]
    assert (refusal["principal"], refusal["source_arn"]) == ("s3.amazonaws.com", "arn:aws:s3:::closed")
    assert "aws lambda add-permission" in refusal["permission"]
    assert "--principal s3.amazonaws.com" in refusal["permission"]
    assert "--source-arn 'arn:aws:s3:::closed'" in refusal["permission"]
    assert refusal["permission"] in triggered.output()
    assert calls(triggered, "closed") == []
    # The statement of another bucket is none for this one.
    permit(triggered, "closed", "s3.amazonaws.com", "arn:aws:s3:::another")
    s3.put_object(Bucket="closed", Key="k", Body=b"1")
    wait_until(lambda: [one["calls"] for one in refusals(triggered) if "closed" in one["function_arn"]] == [2], "two")
    assert calls(triggered, "closed") == []


def test_a_function_that_fails_is_tried_again(triggered: LambentServer) -> None:
    code = """
import json, os
def handler(event, context):
    print("got", json.dumps([event, context.invoked_function_arn]))
    raise ValueError("no")
"""
    printing(triggered, "failing", code)
    s3 = _bucket(triggered, "failing", "failing")
    _notify(triggered, "failing", {"LambdaFunctionArn": function_arn("failing"), "Events": ["s3:ObjectCreated:*"]})
    s3.put_object(Bucket="failing", Key="k", Body=b"1")
    events = events_of(triggered, "failing", 3)
    assert events[0] == events[1] == events[2]
