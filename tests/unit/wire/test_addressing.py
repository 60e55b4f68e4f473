"""Which service a request means."""

from __future__ import annotations

import botocore.session
import pytest

from lambent.wire.addressing import NEIGHBOURS, api_of_host, asked_for, bucket_of_host, is_api_host


def _scope(name: str) -> dict[str, str]:
    credential = f"AKID/20260101/us-east-1/{name}/aws4_request"
    return {"authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0"}


@pytest.mark.parametrize(
    ("headers", "asked"),
    [
        (_scope("s3"), "s3"),
        (_scope("lambda"), "lambda"),
        (_scope("monitoring"), "cloudwatch"),
        (_scope("states"), "stepfunctions"),
        (_scope("es"), "opensearch"),
        (_scope("execute-api"), "apigateway"),
        (_scope("elasticloadbalancing"), "elbv2"),
        (_scope("polly"), "polly"),
        (_scope("dynamodb"), "dynamodb"),
        (_scope("dynamodb") | {"x-amz-target": "DynamoDBStreams_20120810.ListStreams"}, "dynamodbstreams"),
        (_scope("dynamodb") | {"x-amz-target": "DynamoDB_20120810.PutItem"}, "dynamodb"),
        (_scope("lambda") | {"x-amz-target": "DynamoDB_20120810.PutItem"}, "lambda"),
        ({"x-amz-target": "AmazonSQS.SendMessage"}, "sqs"),
        ({"x-amz-target": "Transcribe.StartTranscriptionJob"}, "transcribe"),
        ({"x-amz-target": "Unknown_1.Operation"}, None),
        ({"host": "bucket.s3.localhost:4566"}, "s3"),
        ({"host": "s3.us-east-1.amazonaws.com"}, "s3"),
        ({"host": "bucket.s3-us-west-2.amazonaws.com"}, "s3"),
        ({"host": "sqs.us-east-1.localhost"}, "sqs"),
        ({"host": "streams.dynamodb.eu-west-1.amazonaws.com"}, "dynamodbstreams"),
        ({"host": "api.ecr.us-east-1.amazonaws.com"}, "ecr"),
        ({"host": "email.us-east-1.amazonaws.com"}, "ses"),
        ({"host": "abc.execute-api.localhost:4566"}, "apigateway"),
        ({"host": "lambda.us-east-1.amazonaws.com"}, "lambda"),
        ({"host": "abc.lambda-url.us-east-1.localhost"}, "lambda"),
        ({"host": "s3.example.org"}, None),
        ({"host": "localhost:4566"}, None),
        ({"host": "127.0.0.1:4566"}, None),
        ({"authorization": "AWS AKID:signature"}, "s3"),
        ({"authorization": "Bearer token"}, None),
        ({"content-type": "application/x-www-form-urlencoded; charset=utf-8"}, "sts"),
        ({}, None),
    ],
)  # fmt: skip
def test_headers_say_which_service(headers: dict[str, str], asked: str | None) -> None:
    assert asked_for("POST", "/", headers) == asked


@pytest.mark.parametrize(
    ("target", "asked"),
    [
        ("/k?X-Amz-Algorithm=A&X-Amz-Credential=AKID%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=D", "s3"),
        ("/k?X-Amz-Credential=AKID/20260101/us-east-1/lambda/aws4_request", "lambda"),
        ("/k?AWSAccessKeyId=AKID&Signature=s&Expires=1", "s3"),
        ("/?Action=AssumeRoleWithWebIdentity&Version=2011-06-15", "sts"),
        ("/k?versionId=1", None),
        ("/oauth2/token", "cognito-idp"),
        ("/us-east-1_pool/.well-known/jwks.json?x=1", "cognito-idp"),
        ("/restapis/abc/prod/_user_request_/path", "apigateway"),
        ("/_aws/sqs/messages", "sqs"),
        ("/bucket/oauth2/token", None),
        ("/2015-03-31/functions", None),
    ],
)
def test_queries_say_which_service(target: str, asked: str | None) -> None:
    assert asked_for("GET", target, {}) == asked


def test_every_name_is_one_of_the_command_line() -> None:
    known = botocore.session.get_session().get_available_services()
    assert [name for name in NEIGHBOURS if name not in known] == []


def test_every_target_and_scope_is_found() -> None:
    """What botocore sends for each of the services we name leads to a service we name."""
    session = botocore.session.get_session()
    for name in NEIGHBOURS:
        metadata = session.get_service_model(name).metadata
        scope = metadata.get("signingName", metadata["endpointPrefix"])
        target = metadata.get("targetPrefix")
        headers = _scope(scope) | ({"x-amz-target": f"{target}.Anything"} if target else {})
        assert asked_for("POST", "/", headers) == name
        if target:
            assert asked_for("POST", "/", {"x-amz-target": f"{target}.Anything"}) == name


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("bucket.s3.localhost:4566", "bucket"),
        ("dotted.bucket.s3.eu-west-1.amazonaws.com", "dotted.bucket"),
        ("bucket.s3-eu-west-1.amazonaws.com", "bucket"),
        ("s3.localhost", None),
        ("bucket.s3.example.org", None),
        ("localhost", None),
    ],
)
def test_buckets_of_virtual_hosts(host: str, bucket: str | None) -> None:
    assert bucket_of_host(host) == bucket


@pytest.mark.parametrize(
    "name",
    [
        "sqs.us-east-1.amazonaws.com",
        "SQS.us-east-1.AmazonAWS.com",
        "s3.amazonaws.com",
        "bucket.with.dots.s3.eu-west-1.amazonaws.com",
        "x.cache.s3.amazonaws.com",
        "us-east-1.queue.amazonaws.com",
        "abc123.execute-api.us-east-1.amazonaws.com",
        "vpce-0a1b2c-x.sqs.us-east-1.vpce.amazonaws.com",
        "data-ats.iot.eu-west-1.amazonaws.com",
        "textract.us-east-1.amazonaws.com",
        "rds.us-east-1.amazonaws.com",
        "kafka.us-east-1.amazonaws.com",
        "sqs.cn-north-1.amazonaws.com.cn",
    ],
)
def test_apis_are_called_by_it(name: str) -> None:
    assert is_api_host(name)


@pytest.mark.parametrize(
    "name",
    [
        "amazonaws.com",
        "example.com",
        "notamazonaws.com",
        "sqs.us-east-1.amazonaws.com.example.com",
        "db.c9akciq32.us-east-1.rds.amazonaws.com",
        "db.c9akciq32.rds.cn-north-1.amazonaws.com.cn",
        "name.abc.0001.use1.cache.amazonaws.com",
        "ec2-203-0-113-25.compute-1.amazonaws.com",
        "ec2-203-0-113-25.eu-west-1.compute.amazonaws.com",
        "balancer-1234.us-east-1.elb.amazonaws.com",
        "b-1.cluster.x1y2.c2.kafka.us-east-1.amazonaws.com",
        "b-0a1b-1.mq.us-east-1.amazonaws.com",
        "checkip.amazonaws.com",
    ],
)
def test_no_api_is_called_by_it(name: str) -> None:
    assert not is_api_host(name)


@pytest.mark.parametrize(
    ("host", "api"),
    [
        ("0a1b2c3d.execute-api.eu-west-1.amazonaws.com", "0a1b2c3d"),
        ("0a1b2c3d.execute-api.eu-west-1.amazonaws.com:443", "0a1b2c3d"),
        ("0a1b2c3d.execute-api.lambda.example.org:4566", "0a1b2c3d"),
        ("0a1b2c3d.execute-api.localhost:4566", None),
        ("execute-api.eu-west-1.amazonaws.com", None),
        ("vpce-1.a.execute-api.eu-west-1.amazonaws.com", None),
    ],
)
def test_the_api_in_a_host(host: str, api: str | None) -> None:
    assert api_of_host(host) == api
