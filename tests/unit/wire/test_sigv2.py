"""Presigned URLs of the old signature, as botocore makes them."""

from __future__ import annotations

import time
from typing import Any

import boto3
import pytest
from botocore.config import Config

from lambent.wire import sigv2
from lambent.wire.sigv4 import SignatureError, SignedRequest

_KEY, _SECRET = "AKIDEXAMPLE", "a-secret"


def presigned(operation: str, *, token: str | None = None, style: str = "path", **parameters: Any) -> SignedRequest:
    client = boto3.client(
        "s3", endpoint_url="http://s3.localhost:4566", region_name="us-east-1", aws_access_key_id=_KEY,
        aws_secret_access_key=_SECRET, aws_session_token=token,
        config=Config(signature_version="s3", s3={"addressing_style": style}),
    )  # fmt: skip
    url = client.generate_presigned_url(operation, Params={"Bucket": "bucket", "Key": "a b/ü+%", **parameters})
    host, _, rest = url.partition("://")[2].partition("/")
    path, _, query = rest.partition("?")
    method = "PUT" if operation == "put_object" else "GET"
    return SignedRequest(method, f"/{path}", query, {"host": host})


def verify(request: SignedRequest, secret: str = _SECRET, *, now_ms: int | None = None) -> None:
    old = sigv2.read(request.query)
    assert old is not None
    sigv2.verify(request, old, secret, now_ms if now_ms is not None else time.time_ns() // 1_000_000)


@pytest.mark.parametrize("style", ["path", "virtual"])
@pytest.mark.parametrize("token", [None, "a+token/="])
@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("get_object", {}),
        ("get_object", {"VersionId": "v", "ResponseContentType": "text/plain; x", "ResponseCacheControl": "a=b"}),
        ("put_object", {"ContentType": "text/plain", "Metadata": {"m": "v"}}),
    ],
)  # fmt: skip
def test_what_botocore_signs_is_right(
    operation: str, parameters: dict[str, Any], token: str | None, style: str
) -> None:
    request = presigned(operation, token=token, style=style, **parameters)
    verify(request)
    old = sigv2.read(request.query)
    assert old is not None
    assert (old.access_key_id, old.security_token) == (_KEY, token)


def test_what_was_changed_or_is_old_is_refused() -> None:
    request = presigned("get_object")
    for wrong, secret in (
        (request._replace(path="/bucket/other"), _SECRET),
        (request._replace(method="DELETE"), _SECRET),
        (request, "x"),
    ):
        with pytest.raises(SignatureError) as refused:
            verify(wrong, secret)
        assert refused.value.code == "SignatureDoesNotMatch"
    with pytest.raises(SignatureError, match="expired"):
        verify(request, now_ms=4_000_000_000_000)


@pytest.mark.parametrize("query", ["", "Signature=a&Expires=1", "AWSAccessKeyId=a&Expires=1", "XAWSAccessKeyId=1"])
def test_other_queries_have_no_such_signature(query: str) -> None:
    assert sigv2.read(query) is None
