"""Signatures: botocore signs, we verify; every changed part is refused; what we sign, botocore would have."""

from __future__ import annotations

import hashlib
from urllib.parse import quote, urlencode, urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from lambent.wire import sigv4
from lambent.wire.sigv4 import Authorization, AuthorizationReader, SignatureError, SignedRequest, SigningCredentials

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=12)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=10)
PATHS = st.lists(st.text(st.characters(codec="utf-8", min_codepoint=33), max_size=8), max_size=5)


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


def read(request: SignedRequest) -> Authorization:
    authorization = AuthorizationReader().read(request)
    assert authorization is not None
    return authorization


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def verify(request: SignedRequest, body: bytes = b"", secret: str = SECRET, like: SignedRequest | None = None) -> None:
    sigv4.verify(request, read(like or request), sha256(body), secret, sigv4.SigningKeys())


def is_right(
    request: SignedRequest, body: bytes = b"", secret: str = SECRET, like: SignedRequest | None = None
) -> bool:
    try:
        verify(request, body, secret, like)
    except SignatureError as error:
        return error.code != "InvalidSignatureException"
    return True


@given(body=st.binary(max_size=64), segments=PATHS, query=st.dictionaries(NAMES, TEXTS, max_size=3), odd=st.booleans())
def test_what_botocore_signs_is_right(body: bytes, segments: list[str], query: dict[str, str], odd: bool) -> None:
    safe = "/" if odd else ""
    url = "http://127.0.0.1:4566/" + "/".join(quote(segment, safe=safe) for segment in segments)
    if query:
        url += "?" + urlencode(query, quote_via=quote)
    request = signed("POST", url, body)
    assert is_right(request, body)
    assert not is_right(request, body, SECRET + "x")
    assert not is_right(request, body + b"x")


def test_each_changed_part_is_refused() -> None:
    request = signed("GET", "http://localhost:4566/2015-03-31/functions?MaxItems=5", b"", token="session")
    authorization = read(request)
    assert (authorization.scope.region, authorization.scope.service) == ("eu-central-1", "lambda")
    assert authorization.security_token == "session"
    assert is_right(request)
    for changed in (
        request._replace(method="DELETE"),
        request._replace(path="/2015-03-31/functions/other"),
        request._replace(query="MaxItems=6"),
        request._replace(headers={**request.headers, "host": "elsewhere"}),
        request._replace(headers={**request.headers, "x-amz-security-token": "other"}),
        request._replace(headers={**request.headers, "content-type": "text/plain"}),
    ):
        assert not is_right(changed, like=request)


def test_presigned() -> None:
    request = signed("GET", "http://localhost:4566/2015-03-31/functions/f?Marker=a%20b", b"", presigned=True)
    assert read(request).expires_seconds == 3600
    assert is_right(request)
    assert not is_right(request._replace(query=request.query.replace("3600", "3601")))


def test_presigned_without_a_body_to_hash() -> None:
    credentials = SigningCredentials("AKIDEXAMPLE", SECRET)
    scope = ("us-east-1", "lambda")
    unsigned = SignedRequest("POST", "/x", "", {"host": "h", "x-amz-content-sha256": sigv4.UNSIGNED_PAYLOAD})
    headers = {**unsigned.headers, **sigv4.sign(unsigned, sha256(b""), credentials, scope, 1_700_000_000_000)}
    assert is_right(unsigned._replace(headers=headers), b"anything at all")


def test_a_declared_hash_must_be_the_body_s() -> None:
    credentials = SigningCredentials("AKIDEXAMPLE", SECRET)
    unsigned = SignedRequest("POST", "/x", "", {"host": "h", "x-amz-content-sha256": sha256(b"body")})
    added = sigv4.sign(unsigned, sha256(b"body"), credentials, ("us-east-1", "lambda"), 1_700_000_000_000)
    request = unsigned._replace(headers={**unsigned.headers, **added})
    assert is_right(request, b"body")
    assert not is_right(request, b"another")


@given(path=PATHS, token=st.none() | NAMES, value=st.text(st.characters(codec="ascii", min_codepoint=32), max_size=20))
def test_what_we_sign_is_right(path: list[str], token: str | None, value: str) -> None:
    credentials = SigningCredentials("AKIDEXAMPLE", SECRET, token)
    target = "/" + "/".join(quote(segment, safe="") for segment in path)
    unsigned = SignedRequest("POST", target, "b=2&a=1", {"host": "h:1", "x-thing": value})
    added = sigv4.sign(unsigned, sha256(b"{}"), credentials, ("us-east-1", "lambda"), 1_700_000_000_000)
    request = unsigned._replace(headers={**unsigned.headers, **added})
    assert read(request).security_token == token
    assert is_right(request, b"{}")


def test_we_sign_as_botocore_does() -> None:
    request = signed("GET", "http://localhost:4566/2015-03-31/functions", b"")
    stamp = request.headers["x-amz-date"]
    from datetime import UTC, datetime

    now_ms = int(datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()) * 1000
    unsigned = request._replace(headers={name: request.headers[name] for name in ("host", "content-type")})
    credentials = SigningCredentials("AKIDEXAMPLE", SECRET)
    added = sigv4.sign(unsigned, sigv4.EMPTY_SHA256, credentials, ("eu-central-1", "lambda"), now_ms)
    assert added["authorization"] == request.headers["authorization"]


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256 nonsense",
        "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=" + "0" * 64,
        "AWS4-HMAC-SHA256 Credential=a/20260101/r/s/aws4_request, SignedHeaders=host",
        "AWS4-HMAC-SHA256 Credential=a/20260101/r/s/aws4_request, Signature=" + "0" * 64,
        "Basic dXNlcg==",
        "",
        "Signature=",
    ],
)
def test_malformed(authorization: str) -> None:
    request = SignedRequest("GET", "/", "", {"authorization": authorization, "x-amz-date": "20260101T000000Z"})
    with pytest.raises(SignatureError) as refused:
        AuthorizationReader().read(request)
    assert refused.value.code == "IncompleteSignatureException"


@pytest.mark.parametrize("query", ["X-Amz-Signature=1", "X-Amz-Credential=a&X-Amz-Credential=b", "X-Amz-Credential=%"])
def test_malformed_presigned(query: str) -> None:
    with pytest.raises(SignatureError) as refused:
        AuthorizationReader().read(SignedRequest("GET", "/", query, {"host": "h"}))
    assert refused.value.code == "IncompleteSignatureException"


@given(st.text(max_size=120), st.text(max_size=40))
def test_no_text_breaks_the_reader(authorization: str, query: str) -> None:
    for headers in ({"authorization": authorization}, {"authorization": f"AWS4-HMAC-SHA256 {authorization}"}, {}):
        request = SignedRequest("GET", "/", f"X-Amz-Signature=&{query}", headers)
        with pytest.raises(SignatureError):
            AuthorizationReader().read(request)


def test_the_date_header_will_do() -> None:
    scope = "Credential=a/20260101/r/s/aws4_request, SignedHeaders=date;host, Signature=0"
    headers = {"authorization": f"AWS4-HMAC-SHA256 {scope}", "date": "Thu, 01 Jan 2026 12:00:00 GMT"}
    assert read(SignedRequest("GET", "/", "", headers)).time == "20260101T120000Z"
    headers["date"] = "20260101T120000Z"
    assert read(SignedRequest("GET", "/", "", headers)).time == "20260101T120000Z"


def test_no_signature() -> None:
    assert AuthorizationReader().read(SignedRequest("GET", "/", "", {"host": "h"})) is None


def test_host_must_be_signed() -> None:
    request = signed("GET", "http://h/", b"")
    text = request.headers["authorization"].replace("content-type;host;", "content-type;")
    with pytest.raises(SignatureError, match="must be a 'SignedHeader'"):
        AuthorizationReader().read(request._replace(headers={**request.headers, "authorization": text}))


def at(stamp: str, expires_seconds: int | None = None, date: str | None = None) -> Authorization:
    scope = sigv4.Scope("A", date or stamp[:8], "r", "s", ("host",))
    return Authorization(scope, "0" * 64, stamp, None, expires_seconds)


NOON_MS = 1_767_268_800_000  # 2026-01-01T12:00:00Z


@pytest.mark.parametrize("stamp", ["20260101T115500Z", "20260101T120000Z", "20260101T120500Z"])
def test_time_within_the_skew(stamp: str) -> None:
    sigv4.check_time(at(stamp), NOON_MS, 300)


@pytest.mark.parametrize(
    ("authorization", "text"),
    [
        (
            at("20260101T115459Z"),
            "Signature expired: 20260101T115459Z is now earlier than 20260101T115500Z (20260101T120000Z - 5 min.)",
        ),
        (
            at("20260101T120501Z"),
            "Signature not yet current: 20260101T120501Z is still later than 20260101T120500Z "
            "(20260101T120000Z + 5 min.)",
        ),
        (at("20260101T110000Z", 3599), "Signature expired"),
        (at("20260101T120000Z", date="20251231"), "Date in Credential scope does not match"),
    ],
)
def test_time_outside(authorization: Authorization, text: str) -> None:
    with pytest.raises(SignatureError) as refused:
        sigv4.check_time(authorization, NOON_MS, 300)
    assert refused.value.code == "InvalidSignatureException"
    assert text in refused.value.message


def test_a_presigned_request_lives_as_long_as_it_says() -> None:
    sigv4.check_time(at("20260101T110000Z", 3600), NOON_MS, 300)
