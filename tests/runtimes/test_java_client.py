"""Lambent's client for Java beside AWS's: the jar is that of its sources, and both map JSON alike."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.runtimes import java_packages

if TYPE_CHECKING:
    from types import ModuleType

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).parents[2]
_OWNER = {"principalId": "A1"}
# One event of each class whose names or dates are not those of its getters, and some others.
_EVENTS: dict[str, Any] = {
    "SQSEvent": {
        "Records": [
            {
                "messageId": "m1",
                "receiptHandle": "h",
                "body": "b",
                "attributes": {"SentTimestamp": "1700000000000"},
                "messageAttributes": {"a": {"stringValue": "s", "stringListValues": [], "dataType": "String"}},
                "md5OfBody": "0",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-west-1:111122223333:q",
                "awsRegion": "eu-west-1",
            }
        ]
    },
    "SNSEvent": {
        "Records": [
            {
                "EventVersion": "1.0",
                "EventSubscriptionArn": "arn:s",
                "EventSource": "aws:sns",
                "Sns": {
                    "SignatureVersion": "1",
                    "Timestamp": "2024-01-31T12:34:56.789Z",
                    "MessageId": "m",
                    "Message": "hello",
                    "MessageAttributes": {"k": {"Type": "String", "Value": "v"}},
                    "TopicArn": "arn:t",
                    "Subject": None,
                },
            }
        ]
    },
    "S3Event": {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": "eu-west-1",
                "eventTime": "2024-01-31T12:34:56.789Z",
                "eventName": "ObjectCreated:Put",
                "userIdentity": _OWNER,
                "requestParameters": {"sourceIPAddress": "127.0.0.1"},
                "responseElements": {"x-amz-request-id": "r", "x-amz-id-2": "i"},
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": "c",
                    "bucket": {"name": "b", "ownerIdentity": _OWNER, "arn": "arn:b"},
                    "object": {"key": "a+b", "size": 5, "eTag": "e", "sequencer": "s"},
                },
            }
        ]
    },
    "DynamodbEvent": {
        "Records": [
            {
                "eventID": "1",
                "eventName": "INSERT",
                "eventVersion": "1.1",
                "eventSourceARN": "arn:d",
                "dynamodb": {
                    "ApproximateCreationDateTime": 1428537600.25,
                    "Keys": {"Id": {"N": "101"}},
                    "NewImage": {"L": {"L": [{"S": "x"}, {"NULL": True}, {"BOOL": False}]}, "B": {"B": "aGk="}},
                    "SequenceNumber": "1",
                    "SizeBytes": 26,
                    "StreamViewType": "NEW_IMAGE",
                },
            }
        ]
    },
    "KinesisEvent": {
        "Records": [
            {
                "kinesis": {
                    "partitionKey": "p",
                    "kinesisSchemaVersion": "1.0",
                    "data": "SGVsbG8=",
                    "sequenceNumber": "1",
                    "approximateArrivalTimestamp": 1428537600.5,
                    "encryptionType": "NONE",
                },
                "eventSource": "aws:kinesis",
                "eventSourceARN": "arn:k",
            }
        ]
    },
    "ScheduledEvent": {
        "id": "1",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "111122223333",
        "time": "2024-01-31T12:34:56Z",
        "resources": ["arn:r"],
        "detail": {"n": 1.5},
    },
    "CloudWatchLogsEvent": {"awslogs": {"data": "H4sI"}},
    "CloudFormationCustomResourceEvent": {
        "RequestType": "Create",
        "ServiceToken": "t",
        "ResponseURL": "https://example.com",
        "StackId": "s",
        "ResourceProperties": {"a": [1, 2]},
    },
    "SecretsManagerRotationEvent": {"Step": "createSecret", "SecretId": "s", "ClientRequestToken": "c"},
    "ConnectEvent": {
        "Details": {
            "ContactData": {"Channel": "VOICE", "InstanceARN": "arn:i", "Queue": {"Name": "q", "ARN": "arn:q"}},
            "Parameters": {"p": 1},
        },
        "Name": "ContactFlowEvent",
    },
    "CodeCommitEvent": {
        "Records": [
            {
                "codecommit": {"references": [{"commit": "c", "ref": "refs/heads/main", "created": True}]},
                "eventSourceARN": "arn:c",
                "userIdentityARN": "arn:u",
                "eventTime": "2024-01-31T12:34:56.789+0000",
            }
        ]
    },
    "APIGatewayProxyRequestEvent": {
        "resource": "/{proxy+}",
        "path": "/a",
        "httpMethod": "GET",
        "headers": {"Accept": "*/*"},
        "multiValueHeaders": {"Accept": ["*/*"]},
        "queryStringParameters": None,
        "requestContext": {"accountId": "1", "identity": {"sourceIp": "127.0.0.1"}, "authorizer": {"claims": {"a": 1}}},
        "body": None,
        "isBase64Encoded": False,
    },
    "APIGatewayV2HTTPEvent": {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/a",
        "cookies": ["c=1"],
        "requestContext": {"http": {"method": "GET"}, "timeEpoch": 1700000000000},
        "isBase64Encoded": True,
    },
    "LexEvent": {"bot": {"name": "b", "alias": "a"}, "currentIntent": {"name": "i", "slots": {"Nights": 4}}},
    "KinesisFirehoseEvent": {
        "invocationId": "i",
        "records": [{"recordId": "r", "approximateArrivalTimestamp": 1495072949453, "data": "SGVsbG8="}],
    },
}


def _build_script() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("java_client_script", str(_ROOT / "scripts" / "java-client"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_jar_is_that_of_its_sources() -> None:
    """Byte by byte where the compiler has the version that made it; its sources' digest everywhere."""
    wrong = _build_script().check()
    assert wrong is None, wrong


def test_json_is_mapped_as_by_aws(tmp_path: Path) -> None:
    """Every type and shape, both ways: what AWS's serialization makes of it, ours makes of it too."""
    reason = java_packages.skip_reason()
    if reason is not None:
        pytest.skip(reason)
    jars = java_packages.libraries("aws-lambda-java-serialization", "aws-lambda-java-events", "joda-time")
    classpath = [*jars, java_packages.CLIENT]
    target, events = tmp_path / "classes", tmp_path / "events"
    target.mkdir()
    events.mkdir()
    java_packages.compile_into(target, java_packages.FIXTURES / "mapping", classpath=classpath)
    for name, event in _EVENTS.items():
        (events / f"{name}.json").write_text(json.dumps(event))
    command = ["java", "-Duser.timezone=UTC", "--add-opens=java.base/java.lang=ALL-UNNAMED", "-XX:TieredStopAtLevel=1"]
    command += ["-cp", os.pathsep.join(map(str, [*classpath, target])), "mapping.Compare", str(events)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[:-1] == []
    assert int(lines[-1].split()[0]) > 5_700
