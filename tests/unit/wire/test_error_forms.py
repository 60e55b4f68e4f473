"""Errors as the SDKs' own parsers read them, protocol by protocol."""

from __future__ import annotations

import botocore.session
import pytest
from botocore.parsers import create_parser

from lambent.wire.error_forms import error_form

_TARGET = {"x-amz-target": "Some_1.Operation", "content-type": "application/x-amz-json-1.0"}
_FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
_CBOR = {"smithy-protocol": "rpc-v2-cbor"}


@pytest.mark.parametrize(
    ("service", "protocol", "headers"),
    [
        ("dynamodb", "json", _TARGET),
        ("sqs", "json", _TARGET),
        ("sqs", "query", _FORM),
        ("sns", "query", _FORM),
        ("ec2", "ec2", _FORM),
        ("s3", "rest-xml", {}),
        ("route53", "rest-xml", {}),
        ("scheduler", "rest-json", {}),
        ("cloudwatch", "smithy-rpc-v2-cbor", _CBOR),
    ],
)
@pytest.mark.parametrize("text", ["It <failed> & burned.", "x" * 700])
def test_the_sdk_reads_code_and_text(service: str, protocol: str, headers: dict[str, str], text: str) -> None:
    form = error_form(service, headers, ("SomeException", text), "request-id")
    answered = {"content-type": form.content_type, **{name.lower(): value for name, value in form.headers}}
    model = botocore.session.get_session().get_service_model(service)
    shape = model.operation_model(model.operation_names[0]).output_shape
    response = {"status_code": 503, "headers": answered, "body": form.body, "context": {"operation_name": "Operation"}}
    error = create_parser(protocol).parse(response, shape)["Error"]
    assert (error["Code"], error["Message"]) == ("SomeException", text)
