"""Neighbours that are away, hang, are slow or fail: the caller gets AWS's error, and functions run on."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.running import create_function, free_port, invoke
from tests.scenario.holding import wait_until
from tests.scenario.neighbours.conftest import child_of, patient_client, signal_child

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

_UNKNOWN_KEY = "The security token included in the request is invalid."
# How services refuse an access key that they do not know.
_STRANGER = {
    "s3": ("InvalidAccessKeyId", f"<Error><Code>InvalidAccessKeyId</Code><Message>{_UNKNOWN_KEY}</Message></Error>"),
    "sns": (
        "InvalidClientTokenId",
        "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code>"
        f"<Message>{_UNKNOWN_KEY}</Message></Error><RequestId>r</RequestId></ErrorResponse>",
    ),
    "dynamodb": (
        "UnrecognizedClientException",
        json.dumps({"__type": "com.amazon.coral.service#UnrecognizedClientException", "message": _UNKNOWN_KEY}),
    ),
}
_FAILED = {
    "s3": ("InternalError", "<Error><Code>InternalError</Code><Message>We failed.</Message></Error>"),
    "sns": (
        "InternalFailure",
        "<ErrorResponse><Error><Type>Receiver</Type><Code>InternalFailure</Code><Message>We failed.</Message></Error>"
        "<RequestId>r</RequestId></ErrorResponse>",
    ),
    "dynamodb": ("InternalServerError", json.dumps({"__type": "a#InternalServerError", "message": "We failed."})),
}
# What a call is refused with, by protocol: query, S3's XML, JSON, CBOR.
_CALLS = {"sns": "list_topics", "s3": "list_buckets", "dynamodb": "list_tables", "cloudwatch": "list_metrics"}


class Endpoint(ThreadingHTTPServer):
    """An endpoint that answers as it is told: `status` and `body`, after `gate` is open."""

    daemon_threads = True
    status = 200
    body = b""
    gate: threading.Event
    seen: list[tuple[str, dict[str, str]]]


class Asked(BaseHTTPRequestHandler):
    server: Endpoint
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        self.server.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.gate.wait(30)
        # The test may change it meanwhile.
        body = self.server.body
        with contextlib.suppress(OSError):
            self.send_response(self.server.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = answer

    def log_message(self, *_: object) -> None:
        return


@contextlib.contextmanager
def endpoint() -> Iterator[Endpoint]:
    """A running endpoint."""
    with Endpoint(("127.0.0.1", 0), Asked) as server:
        server.gate, server.seen = threading.Event(), []
        server.gate.set()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.gate.set()
            server.shutdown()
            thread.join()


def _refused(server: LambentServer, service: str) -> dict[str, Any]:
    with pytest.raises(ClientError) as refused:
        getattr(server.client(service), _CALLS[service])()
    answer = refused.value.response
    return {"code": answer["Error"]["Code"], "text": answer["Error"]["Message"],
            "status": answer["ResponseMetadata"]["HTTPStatusCode"]}  # fmt: skip


def _functions_run(server: LambentServer, name: str) -> None:
    client = server.client()
    create_function(client, name, {"index.py": "def handler(event, context):\n    return event"})
    assert invoke(client, name, 1) == 1


@pytest.fixture(scope="module")
def bare(lambent_server_factory: ServerFactory) -> LambentServer:
    """A server whose neighbours are all somewhere nobody answers, or nowhere."""
    nobody = f"http://127.0.0.1:{free_port()}"
    settings = {f"neighbours.{service}.endpoint": nobody for service in (*_CALLS, "logs")}
    return lambent_server_factory({"isolation.level": "L0", **settings})


@pytest.mark.parametrize("service", _CALLS)
def test_an_endpoint_that_cannot_be_reached(bare: LambentServer, service: str) -> None:
    refused = _refused(bare, service)
    assert (refused["code"], refused["status"]) == ("ServiceUnavailable", 503)
    assert f"setting neighbours.{service}.endpoint" in refused["text"]
    assert "Connect" in refused["text"]


def test_a_service_that_is_switched_off_names_its_setting(bare: LambentServer) -> None:
    with pytest.raises(ClientError) as refused:
        bare.client("sqs").list_queues()
    assert refused.value.response["Error"]["Code"] == "NotImplementedException"
    assert "neighbours.enabled=false" in refused.value.response["Error"]["Message"]
    assert "neighbours.sqs.endpoint" in refused.value.response["Error"]["Message"]
    assert child_of(bare) == {"state": "switched off"}


def _delivery(server: LambentServer) -> dict[str, int]:
    """Return what became of log lines on their way to CloudWatch Logs."""
    counts: dict[str, int] = json.loads(server.get("/_lambent/v1/metrics")[1])["logs"]
    return counts


def test_functions_run_though_their_log_lines_cannot_be_delivered(bare: LambentServer) -> None:
    _functions_run(bare, "undisturbed")
    wait_until(lambda: _delivery(bare)["undelivered_bytes"] > 0)
    wait_until(lambda: "log lines cannot be delivered and wait" in bare.output())
    waiting = _delivery(bare)["undelivered_bytes"]
    for number in range(20):
        assert invoke(bare.client(), "undisturbed", number) == number
    wait_until(lambda: _delivery(bare)["undelivered_bytes"] > waiting)
    assert (_delivery(bare)["delivered_events"], _delivery(bare)["delivery_lost_bytes"]) == (0, 0)


@pytest.mark.long
def test_an_endpoint_that_hangs_or_fails(lambent_server_factory: ServerFactory) -> None:
    with endpoint() as told:
        url = f"http://127.0.0.1:{told.server_address[1]}"
        settings = {f"neighbours.{service}.endpoint": url for service in (*_CALLS, "logs")}
        server = lambent_server_factory({"isolation.level": "L0", "neighbours.timeout_seconds": "1", **settings})
        told.gate.clear()
        for service in _CALLS:
            refused = _refused(server, service)
            assert (refused["code"], refused["status"]) == ("ServiceUnavailable", 503)
            assert "no answer within 1 s" in refused["text"]
        _functions_run(server, "beside-a-hanging-neighbour")
        client = server.client()
        change = {"FunctionName": "beside-a-hanging-neighbour", "S3Bucket": "bucket", "S3Key": "key"}
        with pytest.raises(client.exceptions.ServiceException, match="no answer within 1 s"):
            client.update_function_code(**change)
        told.gate.set()
        told.status = 500
        for service, (code, body) in _FAILED.items():
            told.body = body.encode()
            assert _refused(server, service) == {"code": code, "text": "We failed.", "status": 500}
        told.body = b"no form at all"
        assert _refused(server, "s3")["status"] == 500
        # Our own calls fail for the caller as AWS has it, and for nobody else.
        with pytest.raises(client.exceptions.ServiceException, match="could not be read from S3"):
            client.update_function_code(**change)
        assert invoke(client, "beside-a-hanging-neighbour", 2) == 2


@pytest.mark.long
def test_an_endpoint_that_is_slow(lambent_server_factory: ServerFactory) -> None:
    """Slower in all than the time for silence: what moves is waited for, and nobody else waits."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = lambent_server_factory(
            {"isolation.level": "L0", "neighbours.s3.endpoint": url, "neighbours.timeout_seconds": "1"}
        )
        pause = threading.Event()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                for piece in (b"HTTP/1.1 200 OK\r\nContent-", b"Length: 5\r\n\r\n", b"s", b"l", b"o", b"w", b"!"):
                    connection.sendall(piece)
                    pause.wait(0.4)

        received: list[bytes] = []

        def fetch() -> None:
            received.append(server.client("s3").get_object(Bucket="bucket", Key="key")["Body"].read())

        threads = [threading.Thread(target=one) for one in (answer, fetch)]
        for thread in threads:
            thread.start()
        _functions_run(server, "beside-a-slow-neighbour")
        for thread in threads:
            thread.join()
        assert received == [b"slow!"]


def test_credentials_that_an_endpoint_does_not_know(lambent_server_factory: ServerFactory) -> None:
    with endpoint() as told:
        url = f"http://127.0.0.1:{told.server_address[1]}"
        settings = {"isolation.level": "L0"}
        for service in (*_STRANGER, "kms", "ec2", "logs"):
            settings |= {
                f"neighbours.{service}.endpoint": url,
                f"neighbours.{service}.access_key_id": "AKIDWRONG",
                f"neighbours.{service}.secret_access_key": "wrong",
            }
        server = lambent_server_factory(settings)
        told.status = 403
        for service, (code, body) in _STRANGER.items():
            told.body = body.encode()
            assert _refused(server, service) == {"code": code, "text": _UNKNOWN_KEY, "status": 403}
        # Lambda's own calls: each refusal in Lambda's words, naming what the service said.
        _functions_run(server, "with-wrong-credentials")
        client = server.client()
        change = {"FunctionName": "with-wrong-credentials"}
        for service, given, call in (
            ("s3", {"S3Bucket": "bucket", "S3Key": "key"}, client.update_function_code),
            (
                "dynamodb",
                {"KMSKeyArn": f"arn:aws:kms:us-east-1:000000000000:key/{'1' * 8}-1111-4111-8111-{'1' * 12}",
                 "Environment": {"Variables": {"WORD": "word"}}},
                client.update_function_configuration,
            ),
            (
                "s3",
                {"VpcConfig": {"SubnetIds": ["subnet-0"], "SecurityGroupIds": ["sg-0"]}},
                client.update_function_configuration,
            ),
        ):  # fmt: skip
            code, body = _STRANGER[service]
            told.body = body.encode()
            with pytest.raises(ClientError) as refused:
                call(**change, **given)
            assert code in refused.value.response["Error"]["Message"]
            assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 502)
        assert invoke(client, "with-wrong-credentials", 3) == 3
        wait_until(lambda: _delivery(server)["delivery_lost_bytes"] > 0)
        assert {headers["authorization"].partition("/")[0] for _, headers in told.seen} == {
            "AWS4-HMAC-SHA256 Credential=AKIDWRONG"
        }


def test_an_endpoint_that_breaks_off(lambent_server_factory: ServerFactory) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = lambent_server_factory(
            {"isolation.level": "L0", "neighbours.s3.endpoint": f"http://127.0.0.1:{listener.getsockname()[1]}"}
        )

        def answer(head: bytes) -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(head)

        for head in (b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"nothing of HTTP\r\n\r\n"):
            thread = threading.Thread(target=answer, args=(head,))
            thread.start()
            assert _refused(server, "s3")["code"] == "ServiceUnavailable"
            thread.join()
        thread = threading.Thread(target=answer, args=(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",))
        thread.start()
        # The half must not pass for the whole.
        with pytest.raises(Exception, match=r"(?i)incomplete|broken|closed"):
            server.client("s3").get_object(Bucket="bucket", Key="key")["Body"].read()
        thread.join()


def test_an_endpoint_with_credentials_gets_our_signature(lambent_server_factory: ServerFactory) -> None:
    with endpoint() as told:
        told.body = b"<ListBucketResult></ListBucketResult>"
        server = lambent_server_factory(
            {
                "isolation.level": "L0", "neighbours.s3.region": "eu-west-1",
                "neighbours.s3.endpoint": f"http://127.0.0.1:{told.server_address[1]}/base",
                "neighbours.s3.access_key_id": "AKIDREAL", "neighbours.s3.secret_access_key": "real",
            }
        )  # fmt: skip
        server.client("s3").list_objects_v2(Bucket="bucket", Prefix="a b/ü")
    [(path, headers)] = told.seen
    assert path.startswith("/base/bucket?")
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDREAL/")
    assert "/eu-west-1/s3/aws4_request" in headers["authorization"]
    assert headers["host"] == f"127.0.0.1:{told.server_address[1]}"


@pytest.mark.long
def test_a_child_that_hangs_is_replaced(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory(
        {"isolation.level": "L0", "neighbours.enabled": "true", "neighbours.timeout_seconds": "2"}
    )
    server.client("s3").create_bucket(Bucket="kept-bucket")
    first = signal_child(server, signal.SIGSTOP)
    refused = _refused(server, "s3")
    assert (refused["code"], refused["status"]) == ("ServiceUnavailable", 503)
    _functions_run(server, "beside-a-stopped-child")
    client = patient_client(server, "s3")
    while child_of(server).get("pid") == first:
        with contextlib.suppress(ClientError):
            client.list_buckets()
    assert [one["Name"] for one in client.list_buckets()["Buckets"]] == ["kept-bucket"]


@pytest.mark.long
def test_a_child_that_is_killed_again_and_again_comes_back(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({"isolation.level": "L0", "neighbours.enabled": "true"})
    assert child_of(server) == {"state": "not started", "starts": 0}
    client = patient_client(server, "sqs")
    url = client.create_queue(QueueName="kept")["QueueUrl"]
    for _ in range(3):
        signal_child(server, signal.SIGKILL)
        assert client.list_queues()["QueueUrls"] == [url]
    assert child_of(server)["starts"] == 4


def test_packages_from_s3_without_any_s3(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({"isolation.level": "L0", "neighbours.enabled": "false"})
    _functions_run(server, "without-neighbours")
    client = server.client()
    with pytest.raises(ClientError, match=r"neighbours\.s3\.endpoint"):
        client.update_function_code(FunctionName="without-neighbours", S3Bucket="bucket", S3Key="key")
