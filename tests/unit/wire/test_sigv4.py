"""Signatures: botocore signs, we verify; every changed part is refused."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from lambent.wire import sigv4
from lambent.wire.sigv4 import Signature, SignatureError, SignedRequest

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=12)
VALUES = st.text(max_size=20)


def signed(method: str, url: str, body: bytes, *, token: str | None = None, presigned: bool = False) -> SignedRequest:
    request = AWSRequest(method=method, url=url, data=body, headers={"Content-Type": "application/json"})
    credentials = Credentials("AKIDEXAMPLE", SECRET, token)
    auth = (SigV4QueryAuth if presigned else SigV4Auth)(credentials, "lambda", "eu-central-1")
    auth.add_auth(request)
    prepared = request.prepare()
    parts = urlsplit(prepared.url)
    headers = {name.lower(): value for name, value in prepared.headers.items()}
    headers["host"] = parts.netloc
    return SignedRequest(method, parts.path, parts.query, headers)


def read(request: SignedRequest) -> Signature:
    signature = sigv4.read_signature(request)
    assert signature is not None
    return signature


def sha256(body: bytes) -> str:
    import hashlib

    return hashlib.sha256(body).hexdigest()


@given(
    body=st.binary(max_size=64),
    label=NAMES,
    query=st.dictionaries(NAMES, st.text(st.characters(codec="utf-8"), max_size=10), max_size=3),
)
def test_what_botocore_signs_is_right(body: bytes, label: str, query: dict[str, str]) -> None:
    from urllib.parse import quote, urlencode

    url = f"http://127.0.0.1:4566/2015-03-31/functions/{quote('arn:aws:' + label, safe='')}/invocations"
    if query:
        url += "?" + urlencode(query, quote_via=quote)
    request = signed("POST", url, body)
    assert sigv4.verify(read(request), request, SECRET, sha256(body))
    assert not sigv4.verify(read(request), request, SECRET + "x", sha256(body))
    assert not sigv4.verify(read(request), request, SECRET, sha256(body + b"x"))


def test_each_changed_part_is_refused() -> None:
    request = signed("GET", "http://localhost:4566/2015-03-31/functions?MaxItems=5", b"", token="session")
    signature = read(request)
    assert (signature.region, signature.service, signature.session_token) == ("eu-central-1", "lambda", "session")
    assert sigv4.verify(signature, request, SECRET, sigv4.EMPTY_SHA256)
    for changed in (
        replace(request, method="DELETE"),
        replace(request, path="/2015-03-31/functions/other"),
        replace(request, query="MaxItems=6"),
        replace(request, headers={**request.headers, "host": "elsewhere"}),
        replace(request, headers={**request.headers, "x-amz-security-token": "other"}),
    ):
        assert not sigv4.verify(signature, changed, SECRET, sigv4.EMPTY_SHA256)


def test_presigned() -> None:
    request = signed("GET", "http://localhost:4566/2015-03-31/functions/f", b"", presigned=True)
    signature = read(request)
    assert signature.expires_seconds == 3600
    assert sigv4.verify(signature, request, SECRET, sigv4.EMPTY_SHA256)


def test_unsigned_payload_signs_all_but_the_body() -> None:
    signature = Signature("A", "20260101", "us-east-1", "lambda", ("host",), "0" * 64, "20260101T000000Z", None)
    request = SignedRequest("POST", "/", "", {"host": "h", "x-amz-content-sha256": sigv4.UNSIGNED_PAYLOAD})
    right = sigv4.compute(signature, request, SECRET, sigv4.UNSIGNED_PAYLOAD)
    assert sigv4.verify(replace(signature, signature=right), request, SECRET, sha256(b"anything"))


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256 nonsense",
        "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=" + "0" * 64,
        "Basic dXNlcg==",
    ],
)
def test_malformed(authorization: str) -> None:
    request = SignedRequest("GET", "/", "", {"authorization": authorization, "x-amz-date": "20260101T000000Z"})
    with pytest.raises(SignatureError) as refused:
        sigv4.read_signature(request)
    assert refused.value.code == "IncompleteSignatureException"


def test_no_signature() -> None:
    assert sigv4.read_signature(SignedRequest("GET", "/", "", {"host": "h"})) is None
