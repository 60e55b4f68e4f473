"""Who may call: signatures believed and verified, hosts, origins, other services, TLS."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as BotoCredentials
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lambent.api import HttpResponse, LocalRequest, LocalRoute
from lambent.model.caller import Credentials
from tests.contract.door import KNOWN, TEMPORARY, Door, options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor
    from pathlib import Path

ROUTE = "/_lambent/v1/who"


async def who(request: LocalRequest) -> HttpResponse:
    account_id = request.caller.account_id if request.caller is not None else "nobody"
    return HttpResponse(200, (), account_id.encode())


ROUTES = (LocalRoute("GET", ROUTE, who), LocalRoute("GET", "/_lambent/health", who, is_public=True))


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, workers: Executor) -> Iterator[Door]:
    """A door in verify mode."""
    made = options(
        tmp_path_factory.mktemp("spool"),
        hosts=("lambda.example", ".inside.example"),
        origins=("https://console.example",),
    )
    with Door(made, workers, ROUTES) as served:
        yield served


@pytest.fixture(scope="module")
def open_door(tmp_path_factory: pytest.TempPathFactory, workers: Executor) -> Iterator[Door]:
    """A door in accept mode."""
    with Door(options(tmp_path_factory.mktemp("spool"), auth_mode="accept"), workers, ROUTES) as served:
        yield served


def refusal(client: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as refused:
        client.invoke(FunctionName="f", Payload=b"{}")
    error = refused.value.response
    return error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"], error["Error"]["Message"]


def unsigned(door: Door, service: str = "lambda") -> Any:
    return boto3.client(
        service, endpoint_url=door.url, region_name="eu-west-1",
        config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}),
    )  # fmt: skip


def test_no_signature(door: Door) -> None:
    assert refusal(unsigned(door)) == (403, "MissingAuthenticationTokenException", "Missing Authentication Token")


def test_an_unknown_key(door: Door) -> None:
    told = (403, "UnrecognizedClientException", "The security token included in the request is invalid.")
    assert refusal(door.client(Credentials("AKIDELSE", "x", "111122223333"))) == told
    assert refusal(door.client(Credentials(TEMPORARY.access_key_id, TEMPORARY.secret_access_key, "1", "other"))) == told


def test_a_wrong_secret(door: Door) -> None:
    status, code, message = refusal(door.client(Credentials(KNOWN.access_key_id, "wrong", "111122223333")))
    assert (status, code) == (403, "InvalidSignatureException")
    assert message.startswith("The request signature we calculated does not match the signature you provided.")


def test_temporary_credentials_name_their_role(door: Door) -> None:
    door.client(TEMPORARY).get_function(FunctionName="f")
    caller = door.control_plane.calls[-1][0]
    assert (caller.account_id, caller.principal_arn) == (TEMPORARY.account_id, TEMPORARY.principal_arn)


@pytest.mark.parametrize(
    ("offset_ms", "text"), [(301_000, "Signature expired: "), (-302_000, "Signature not yet current: ")]
)
def test_a_clock_that_is_wrong(door: Door, offset_ms: int, text: str) -> None:
    door.clock.offset_ms = offset_ms
    status, code, message = refusal(door.client())
    assert (status, code) == (403, "InvalidSignatureException")
    assert message.startswith(text)


def test_a_changed_body(door: Door) -> None:
    client = door.client()

    def change(request: Any, **_: Any) -> None:
        request.body = b"[]"

    client.meta.events.register("before-send.lambda.Invoke", change)
    assert refusal(client)[1] == "InvalidSignatureException"


def test_a_changed_large_body(door: Door) -> None:
    client = door.client()

    def change(request: Any, **_: Any) -> None:
        request.body = request.body[:-3] + b"x" + request.body[-2:]

    client.meta.events.register("before-send.lambda.UpdateFunctionCode", change)
    with pytest.raises(ClientError) as refused:
        client.update_function_code(FunctionName="f", ZipFile=bytes(400_000))
    assert refused.value.response["Error"]["Code"] == "InvalidSignatureException"


@pytest.mark.parametrize("path", ["/2015-03-31/functions", "/2015-03-31/functions/f/invocations"])
@pytest.mark.parametrize("framing", ["Content-Length: 60000000", "Transfer-Encoding: chunked"])
def test_a_stranger_s_large_body_is_not_taken(door: Door, path: str, framing: str) -> None:
    with door.connect() as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n1\r\n[\r\n".encode())
        answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"MissingAuthenticationTokenException" in answer


def send(door: Door, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Any:
    request = AWSRequest(method=method, url=f"{door.url}{path}", data=body, headers=headers or {})
    return URLLib3Session(verify=False).send(request.prepare())


def test_a_presigned_request(door: Door) -> None:
    request = AWSRequest(method="GET", url=f"{door.url}/2015-03-31/functions/f/configuration?Qualifier=1")
    SigV4QueryAuth(
        BotoCredentials(KNOWN.access_key_id, KNOWN.secret_access_key), "lambda", "eu-west-1", expires=60
    ).add_auth(request)
    path = request.url.removeprefix(door.url)
    assert send(door, "GET", path).status_code == 200
    assert send(door, "DELETE", path).status_code == 403
    door.clock.offset_ms = 62_000
    answer = send(door, "GET", path)
    assert (answer.status_code, answer.headers["x-amzn-ErrorType"]) == (403, "InvalidSignatureException")
    assert b"Signature expired" in answer.content


@pytest.mark.parametrize(
    "authorization",
    ["Bearer x", "AWS4-HMAC-SHA256 x", "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0"],
)
def test_malformed_signatures(door: Door, authorization: str) -> None:
    headers = {"Authorization": authorization, "X-Amz-Date": "20260101T000000Z"}
    answer = send(door, "GET", "/2015-03-31/functions", headers)
    assert (answer.status_code, answer.headers["x-amzn-ErrorType"]) == (403, "IncompleteSignatureException")


def test_local_operations_ask_for_the_same_signature(door: Door) -> None:
    assert send(door, "GET", "/_lambent/health").content == b"nobody"
    answer = send(door, "GET", ROUTE)
    assert (answer.status_code, answer.headers["x-amzn-ErrorType"]) == (403, "MissingAuthenticationTokenException")


@pytest.mark.parametrize(
    ("key", "account_id"),
    [
        ("123456789012", "123456789012"),
        ("test", "000000000000"),
        ("12345678901", "000000000000"),
        ("AKIDKNOWN", "111122223333"),
    ],
)
def test_accept_mode_believes(open_door: Door, key: str, account_id: str) -> None:
    open_door.client(Credentials(key, "whatever", "")).get_function(FunctionName="f")
    caller = open_door.control_plane.calls[-1][0]
    assert (caller.account_id, caller.region) == (account_id, "eu-west-1")
    assert caller.principal_arn == f"arn:aws:iam::{account_id}:root"


def test_accept_mode_knows_its_own_roles(open_door: Door) -> None:
    open_door.client(TEMPORARY).get_function(FunctionName="f")
    caller = open_door.control_plane.calls[-1][0]
    assert (caller.account_id, caller.principal_arn) == (TEMPORARY.account_id, TEMPORARY.principal_arn)


def test_accept_mode_needs_no_signature(open_door: Door) -> None:
    unsigned(open_door).get_function(FunctionName="f")
    caller = open_door.control_plane.calls[-1][0]
    assert (caller.account_id, caller.region) == ("000000000000", "us-east-1")
    assert send(open_door, "GET", ROUTE, {"Authorization": "Bearer x"}).content == b"000000000000"


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1:1", "[::1]:4566", "127.9.9.9", "api.localhost:80", "LAMBDA.example", "x.inside.example:9"],
)
def test_hosts_that_are_ours(door: Door, host: str) -> None:
    assert send(door, "GET", "/_lambent/health", {"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "10.0.0.1", "inside.example", "", "localhost:x", "[::1", "notlocalhost"],
)
def test_hosts_that_are_not(door: Door, host: str) -> None:
    answer = door.exchange(f"GET /_lambent/health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"AccessDeniedException" in answer


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/_lambent/health"),
        ("POST", "/2015-03-31/functions/f/invocations"),
        ("OPTIONS", "/2015-03-31/functions"),
    ],
)
def test_pages_do_not_reach_it(door: Door, headers: dict[str, str], method: str, path: str) -> None:
    count = len(door.invoker.requests)
    answer = send(door, method, path, headers)
    assert (answer.status_code, answer.headers["x-amzn-ErrorType"]) == (403, "AccessDeniedException")
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert len(door.invoker.requests) == count


def test_a_listed_origin(door: Door) -> None:
    headers = {"Origin": "https://console.example", "Sec-Fetch-Site": "cross-site"}
    answer = send(door, "GET", "/_lambent/health", headers)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "https://console.example")
    asked = {**headers, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for path in ("/2015-03-31/functions", "/_lambent/health"):
        preflight = send(door, "OPTIONS", path, asked)
        assert (preflight.status_code, preflight.headers["Access-Control-Allow-Headers"]) == (204, "authorization")


def test_other_services(door: Door) -> None:
    methods = {"s3": "list_buckets", "sqs": "list_queues", "dynamodb": "list_tables", "sts": "get_caller_identity"}
    for service, method in methods.items():
        client = boto3.client(
            service, endpoint_url=door.url, region_name="eu-west-1", aws_access_key_id=KNOWN.access_key_id,
            aws_secret_access_key=KNOWN.secret_access_key, config=Config(retries={"total_max_attempts": 1}),
        )  # fmt: skip
        with pytest.raises(ClientError) as refused:
            getattr(client, method)()
        error = refused.value.response
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 501
        assert error["Error"]["Code"] == "NotImplementedException"
        assert f"'{service}'" in error["Error"]["Message"]


def test_a_service_named_by_its_target_alone(open_door: Door) -> None:
    answer = send(open_door, "POST", "/", {"X-Amz-Target": "DynamoDB_20120810.ListTables"}, b"{}")
    assert answer.status_code == 501
    assert b"'dynamodb'" in answer.content


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of localhost and its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime.datetime.fromtimestamp(time.time() - 60, datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
        .not_valid_before(start).not_valid_after(start + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_tls(certificate: Path, tmp_path: Path, workers: Executor) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Door(options(tmp_path), workers, ROUTES, context) as secure:
        client = boto3.client(
            "lambda", endpoint_url=secure.url, region_name="eu-west-1", aws_access_key_id=KNOWN.access_key_id,
            aws_secret_access_key=KNOWN.secret_access_key, verify=str(certificate),
            config=Config(retries={"total_max_attempts": 1}),
        )  # fmt: skip
        payload = b'"' + b"x" * 1_000_000 + b'"'
        assert client.invoke(FunctionName="f", Payload=payload)["Payload"].read() == payload
        role = "arn:aws:iam::111122223333:role/r"
        client.create_function(FunctionName="f", Role=role, Code={"ZipFile": bytes(400_000)})
        assert secure.control_plane.calls[-1][0].base_url == secure.url
        client.close()
