"""Point 9: a function is a web server at its URL."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.running import clean_environment, create_function, invoke, make_zip_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

# Answers what the request's body, as JSON, says; without one, with the event.
PYTHON = """
import base64, json, os, time
def handler(event, context):
    if 'body' not in event:
        return {'event': event, 'arn': context.invoked_function_arn, 'id': context.aws_request_id,
                'version': os.environ['AWS_LAMBDA_FUNCTION_VERSION']}
    text = event['body']
    asked = json.loads(base64.b64decode(text) if event['isBase64Encoded'] else text)
    if 'sleep' in asked:
        time.sleep(asked['sleep'])
    if 'raise' in asked:
        raise ValueError('x')
    if 'size' in asked:
        return 'x' * asked['size']
    return asked['answer']
"""
ECHO_SIZE = """
import base64
def handler(event, context):
    body = event.get('body', '')
    return len(base64.b64decode(body)) if event['isBase64Encoded'] else len(body)
"""
NODE = """
export const handler = awslambda.streamifyResponse(async (event, stream) => {
  const asked = event.queryStringParameters ?? {};
  if (asked.early) throw new Error('early');
  if (asked.garbage) {
    stream.setContentType('application/vnd.awslambda.http-integration-response');
    stream.write('no');
    return stream.end();
  }
  if (!asked.bare) {
    const head = { statusCode: 201, cookies: ['a=b; Secure', 'c=d'] };
    head.headers = { 'Content-Type': 'text/html', 'X-Mine': 'y' };
    stream = awslambda.HttpResponseStream.from(stream, head);
  } else stream.setContentType('text/plain');
  stream.write('Hello,');
  await new Promise((resolve) => setTimeout(resolve, Number(asked.pause ?? 10)));
  if (asked.late) throw new Error('late');
  if (asked.exit) process.exit(1);
  stream.write(' world!');
  stream.end();
});
"""


@dataclass(frozen=True)
class Url:
    """A function URL, asked at the server's address with the URL's own host."""

    url: str

    def ask(
        self, target: str = "/", method: str = "GET", body: bytes | str | None = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Return the answer and its body; header names are given with underscores."""
        parts = urlsplit(self.url)
        assert parts.port is not None
        connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=60)
        named = {"Host": parts.netloc, **{name.replace("_", "-"): value for name, value in headers.items()}}
        try:
            connection.request(method, target, body, named)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def event(self, target: str = "/", method: str = "GET", **headers: str) -> dict[str, Any]:
        """Return what the function was handed."""
        answer, body = self.ask(target, method, None, **headers)
        assert answer.status == 200, body
        found: dict[str, Any] = json.loads(body)["event"]
        return found

    def answered(self, value: object) -> tuple[http.client.HTTPResponse, bytes]:
        """Return the answer when the function answers `value`."""
        return self.ask("/", "POST", json.dumps({"answer": value}))


def allow(client: Any, name: str, auth_type: str = "NONE", principal: str = "*", **members: Any) -> None:
    client.add_permission(
        FunctionName=name,
        StatementId=f"url-{auth_type}-{principal.strip('*')}",
        Action="lambda:InvokeFunctionUrl",
        Principal=principal,
        FunctionUrlAuthType=auth_type,
        **members,
    )


def public_url(client: Any, name: str, **members: Any) -> Url:
    made = client.create_function_url_config(FunctionName=name, AuthType="NONE", **members)
    qualifier = {"Qualifier": members["Qualifier"]} if "Qualifier" in members else {}
    allow(client, name, **qualifier)
    shown = client.get_function_url_config(FunctionName=name, **qualifier)
    assert shown["FunctionUrl"] == made["FunctionUrl"]
    return Url(made["FunctionUrl"])


@pytest.fixture(scope="module")
def client(lambent_server: LambentServer) -> Any:
    """A client of the run's server, with the functions of this file."""
    found = lambent_server.client()
    create_function(found, "url-python", {"index.py": PYTHON}, Timeout=10)
    create_function(found, "url-size", {"index.py": ECHO_SIZE})
    create_function(found, "url-node", {"index.mjs": NODE}, Runtime="nodejs20.x", Timeout=10)
    return found


@pytest.fixture(scope="module")
def python(client: Any) -> Url:
    """The URL of the function that answers as it is told."""
    return public_url(client, "url-python")


@pytest.fixture(scope="module")
def node(client: Any) -> Url:
    """The URL of the function that streams."""
    return public_url(client, "url-node", InvokeMode="RESPONSE_STREAM")


def test_the_event(python: Url) -> None:
    answer, body = python.ask("/a/b%2Fc?x=1&x=2&y=%20", "GET", None, Cookie="a=1; b=2", X_Mixed="Caps", User_Agent="t")
    assert answer.status == 200
    told = json.loads(body)
    event, host = told["event"], urlsplit(python.url).netloc
    url_id = host.partition(".")[0]
    assert {name: event[name] for name in ("version", "routeKey", "rawPath", "rawQueryString", "isBase64Encoded")} == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/a/b%2Fc",
        "rawQueryString": "x=1&x=2&y=%20",
        "isBase64Encoded": False,
    }
    assert event["queryStringParameters"] == {"x": "1,2", "y": " "}
    assert event["cookies"] == ["a=1", "b=2"]
    assert (event["headers"]["host"], event["headers"]["x-mixed"]) == (host, "Caps")
    assert (event["headers"]["x-forwarded-proto"], event["headers"]["x-forwarded-for"]) == ("http", "127.0.0.1")
    context = event["requestContext"]
    assert context["http"] == {
        "method": "GET",
        "path": "/a/b%2Fc",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "t",
    }
    assert (context["accountId"], context["apiId"], context["domainName"]) == ("anonymous", url_id, host)
    assert abs(context["timeEpoch"] / 1000 - time.time()) < 60
    assert context["requestId"] == told["id"] == answer.headers["x-amzn-RequestId"]
    assert answer.headers["x-amzn-trace-id"] == event["headers"]["x-amzn-trace-id"]
    assert told["arn"] == "arn:aws:lambda:us-east-1:000000000000:function:url-python"


def test_every_path_is_the_function_s(python: Url) -> None:
    for target in ("/", "/2015-03-31/functions", "/_lambent/health", "//x", "/?a"):
        assert python.event(target)["rawPath"] == target.partition("?")[0]
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert python.event("/x", method)["requestContext"]["http"]["method"] == method


def test_the_path_form(python: Url, lambent_server: LambentServer) -> None:
    url_id = urlsplit(python.url).netloc.partition(".")[0]
    below = Url(f"{lambent_server.url}/")
    for target, path in ((f"{url_id}/a/b?x=1", "/a/b"), (url_id, "/"), (f"{url_id}/", "/")):
        event = below.event(f"/_lambent/v1/function-urls/{target}")
        assert (event["rawPath"], event["requestContext"]["domainName"]) == (path, urlsplit(python.url).netloc)


def test_urls_that_are_not(python: Url, lambent_server: LambentServer) -> None:
    port = lambent_server.port
    nobody = Url(f"http://0123456789abcdefghijklmnopqrstuv.lambda-url.us-east-1.localhost:{port}/")
    below = Url(f"{lambent_server.url}/")
    for url, target in ((nobody, "/"), (below, "/_lambent/v1/function-urls/nobody/")):
        answer, body = url.ask(target)
        assert (answer.status, body) == (403, b'{"Message":null}')
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["x-amzn-ErrorType"] == "AccessDeniedException"


@pytest.mark.parametrize(
    ("value", "body"),
    [
        ({"hello": "world"}, b'{"hello":"world"}'),
        ("hello", b"hello"),
        (3.1, b"3.1"),
        (None, b"null"),
        ([1, "é"], '[1,"é"]'.encode()),
        ({"statusCode": 200, "body": "body123"}, b"body123"),
    ],
)
def test_answers(python: Url, value: object, body: bytes) -> None:
    answer, found = python.answered(value)
    assert (answer.status, answer.headers["Content-Type"], found) == (200, "application/json", body)


def test_an_answer_in_http_s_words(python: Url) -> None:
    value = {
        "statusCode": "418",
        "headers": {"Content-Type": "image/x", "X-Mine": "a", "Date": "never"},
        "cookies": ["a=b; Secure", "c=d"],
        "body": base64.b64encode(b"\x00\xff").decode(),
        "isBase64Encoded": True,
    }
    answer, body = python.answered(value)
    assert (answer.status, body) == (418, b"\x00\xff")
    assert (answer.headers["Content-Type"], answer.headers["X-Mine"]) == ("image/x", "a")
    assert answer.headers.get_all("Set-Cookie") == ["a=b; Secure", "c=d"]
    assert (answer.headers["x-amzn-Remapped-Date"], len(answer.headers.get_all("Date") or ())) == ("never", 1)
    answer, body = python.answered({"statusCode": 204, "body": "not sent"})
    assert (answer.status, body) == (204, b"")


@pytest.mark.parametrize(
    "value",
    [
        {"statusCode": "no"},
        {"statusCode": 99},
        {"statusCode": 200, "headers": ["a"]},
        {"statusCode": 200, "headers": {"a": {"b": 1}}},
        {"statusCode": 200, "headers": {"a\r\nb": "c"}},
        {"statusCode": 200, "cookies": "a=b"},
        {"statusCode": 200, "body": "%", "isBase64Encoded": True},
    ],
)
def test_answers_of_wrong_shape(python: Url, value: object) -> None:
    answer, body = python.answered(value)
    assert (answer.status, body) == (502, b"Internal Server Error")


def test_errors_of_the_function(python: Url) -> None:
    for asked in ({"raise": 1}, {"size": 6_400_000}):
        answer, body = python.ask("/", "POST", json.dumps(asked))
        assert (answer.status, body) == (502, b"Internal Server Error")
    assert python.answered("well")[1] == b"well"


@pytest.mark.slow
def test_bodies_of_six_megabytes(client: Any, python: Url) -> None:
    url = public_url(client, "url-size")
    text = {"Content_Type": "text/plain"}
    assert url.ask("/", "POST", b"x" * 6_280_000, **text)[1] == b"6280000"
    assert url.ask("/", "POST", bytes(4_700_000))[1] == b"4700000"
    for body, headers in ((bytes(4_718_700), {}), (b"x" * 6_291_457, text)):
        answer, refusal = url.ask("/", "POST", body, **headers)
        assert (answer.status, answer.headers["x-amzn-ErrorType"]) == (413, "RequestEntityTooLargeException"), refusal
    answer, body = python.ask("/", "POST", json.dumps({"size": 6_291_000}))
    assert (answer.status, len(body)) == (200, 6_291_000)


def test_without_a_statement_nobody_comes_in(client: Any) -> None:
    create_function(client, "url-closed", {"index.py": PYTHON})
    url = Url(client.create_function_url_config(FunctionName="url-closed", AuthType="NONE")["FunctionUrl"])
    answer, body = url.ask()
    assert (answer.status, answer.headers["x-amzn-ErrorType"]) == (403, "AccessDeniedException")
    assert json.loads(body)["Message"].startswith("Forbidden. For troubleshooting Function URL authorization issues")
    allow(client, "url-closed", "AWS_IAM")  # Not the type that this URL has.
    assert url.ask()[0].status == 403
    allow(client, "url-closed")
    assert url.ask()[0].status == 200
    client.remove_permission(FunctionName="url-closed", StatementId="url-NONE-")
    assert url.ask()[0].status == 403


def test_both_statements(lambent_server_factory: ServerFactory) -> None:
    client = lambent_server_factory({"function_urls.invoke_permission": "true"}).client()
    create_function(client, "both", {"index.py": PYTHON})
    url = public_url(client, "both")
    assert url.ask()[0].status == 403
    client.add_permission(
        FunctionName="both", StatementId="i", Action="lambda:InvokeFunction", Principal="*", InvokedViaFunctionUrl=True
    )
    assert url.ask()[0].status == 200


def test_urls_of_another_name(lambent_server_factory: ServerFactory) -> None:
    """Behind a proxy: the name that it has goes before the one that the API was asked by."""
    server = lambent_server_factory({"function_urls.base_url": "https://urls.example:8443"})
    create_function(server.client(), "named", {"index.py": PYTHON})
    url = public_url(server.client(), "named")
    parts = urlsplit(url.url)
    assert (parts.scheme, parts.port) == ("https", 8443)
    assert parts.netloc.endswith(".lambda-url.us-east-1.urls.example:8443")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", "/", headers={"Host": parts.netloc})
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.usefixtures("needs_egress")
def test_a_function_asks_another_one_s_url(client: Any, python: Url) -> None:
    """Names below localhost lead to the API from inside a sandbox too, on the port of AWS_ENDPOINT_URL."""
    asking = "    return urllib.request.urlopen(event).read().decode()\n"
    code = f"import urllib.request\ndef handler(event, context):\n{asking}"
    create_function(client, "url-asking", {"index.py": code}, Timeout=20)
    host = urlsplit(python.url).netloc.partition(":")[0]
    told = json.loads(invoke(client, "url-asking", f"http://{host}:4566/from-inside"))
    assert told["event"]["rawPath"] == "/from-inside"


def test_what_is_counted(client: Any, lambent_server: LambentServer) -> None:
    create_function(client, "url-counted", {"index.py": PYTHON})
    url = public_url(client, "url-counted")
    assert [url.ask()[0].status, url.ask("/", "POST", "{}")[0].status] == [200, 502]
    counts = json.loads(lambent_server.get("/_lambent/v1/metrics")[1])["functions"]["url-counted"]
    assert {name: counts[name] for name in ("url_requests", "url_4xx", "url_5xx")} == {
        "url_requests": 2,
        "url_4xx": 0,
        "url_5xx": 1,
    }


def test_the_url_of_an_alias(client: Any, python: Url) -> None:
    client.publish_version(FunctionName="url-python")
    client.create_alias(FunctionName="url-python", Name="live", FunctionVersion="1")
    url = public_url(client, "url-python", Qualifier="live")
    assert url.url != python.url
    told = json.loads(url.ask()[1])
    assert (told["version"], told["arn"].rpartition(":")[2]) == ("1", "live")
    assert json.loads(python.ask()[1])["version"] == "$LATEST"
    client.delete_alias(FunctionName="url-python", Name="live")
    answer, body = url.ask()
    assert (answer.status, body) == (403, b'{"Message":null}')
    assert python.ask()[0].status == 200


def test_throttles(client: Any) -> None:
    create_function(client, "url-throttled", {"index.py": PYTHON})
    url = public_url(client, "url-throttled")
    client.put_function_concurrency(FunctionName="url-throttled", ReservedConcurrentExecutions=0)
    answer, body = url.ask()
    assert (answer.status, answer.headers["x-amzn-ErrorType"]) == (429, "TooManyRequestsException")
    assert json.loads(body)["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    client.put_function_concurrency(FunctionName="url-throttled", ReservedConcurrentExecutions=1)
    with ThreadPoolExecutor(4) as callers:
        asking = [callers.submit(url.ask, "/", "POST", json.dumps({"sleep": 1, "answer": 1})) for _ in range(4)]
        assert sorted(future.result()[0].status for future in asking) == [200, 429, 429, 429]


def test_changes_of_the_configuration(client: Any) -> None:
    create_function(client, "url-changed", {"index.py": PYTHON})
    url = public_url(client, "url-changed")
    client.update_function_url_config(FunctionName="url-changed", AuthType="AWS_IAM")
    assert url.ask()[0].status == 403
    client.update_function_url_config(FunctionName="url-changed", AuthType="NONE")
    assert url.ask()[0].status == 200
    client.delete_function_url_config(FunctionName="url-changed")
    assert url.ask()[1] == b'{"Message":null}'


def test_pages_of_allowed_origins(client: Any) -> None:
    create_function(client, "url-cors", {"index.py": PYTHON})
    cors = {
        "AllowOrigins": ["https://a.example"],
        "AllowMethods": ["POST"],
        "AllowHeaders": ["x-a"],
        "ExposeHeaders": ["x-b"],
        "AllowCredentials": True,
        "MaxAge": 5,
    }
    url = public_url(client, "url-cors", Cors=cors)
    asked = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "x-a"}
    answer, body = url.ask("/x", "OPTIONS", None, Origin="https://a.example", Sec_Fetch_Site="cross-site", **asked)
    assert (answer.status, body) == (200, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert answer.headers["Access-Control-Allow-Methods"] == "POST"
    assert answer.headers["Access-Control-Allow-Headers"] == "x-a"
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert answer.headers["Access-Control-Max-Age"] == "5"
    answer, _ = url.ask(Origin="https://a.example", Sec_Fetch_Site="cross-site")
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, "https://a.example")
    assert answer.headers["Access-Control-Expose-Headers"] == "x-b"
    answer, _ = url.ask("/x", "OPTIONS", None, Origin="https://b.example", **asked)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, None)
    # The function answers who is no browser, and a browser does not show b.example what it says.
    answer, _ = url.ask(Origin="https://b.example")
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, None)


def test_without_cors_the_function_answers_pages(python: Url, lambent_server: LambentServer) -> None:
    page = {"Origin": "https://a.example", "Sec_Fetch_Site": "cross-site"}
    event = python.event("/", "OPTIONS", **page, Access_Control_Request_Method="POST")
    assert event["requestContext"]["http"]["method"] == "OPTIONS"
    value = {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "*"}}
    answer, _ = python.ask("/", "POST", json.dumps({"answer": value}), **page)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, "*")
    # The API stays closed to pages.
    answer, _ = Url(f"{lambent_server.url}/").ask("/2015-03-31/functions", **page)
    assert answer.status == 403


def signed(url: Url, keys: Mapping[str, str], *, in_query: bool = False) -> tuple[str, dict[str, str]]:
    """Return target and headers of a signed GET."""
    request = AWSRequest("GET", f"{url.url}x?a=1", headers={"Host": urlsplit(url.url).netloc})
    sign = SigV4QueryAuth if in_query else SigV4Auth
    sign(Credentials(keys["id"], keys["secret"]), keys.get("service", "lambda"), "us-east-1").add_auth(request)
    parts = urlsplit(request.url)
    headers = {name.replace("-", "_"): value for name, value in request.headers.items() if name != "Host"}
    return f"{parts.path}?{parts.query}", headers


def test_who_has_to_sign(client: Any) -> None:
    create_function(client, "url-iam", {"index.py": PYTHON})
    url = Url(client.create_function_url_config(FunctionName="url-iam", AuthType="AWS_IAM")["FunctionUrl"])
    answer, body = url.ask()
    assert (answer.status, json.loads(body)["Message"][:9]) == (403, "Forbidden")
    target, headers = signed(url, {"id": "test", "secret": "test"})
    event = url.event(target, **headers)
    assert event["requestContext"]["accountId"] == "000000000000"
    assert event["requestContext"]["authorizer"]["iam"]["userArn"] == "arn:aws:iam::000000000000:root"
    assert "authorization" not in event["headers"]
    # Another account needs a statement.
    target, headers = signed(url, {"id": "111122223333", "secret": "test"})
    assert url.ask(target, **headers)[0].status == 403
    allow(client, "url-iam", "AWS_IAM", "111122223333")
    assert url.event(target, **headers)["requestContext"]["accountId"] == "111122223333"
    target, headers = signed(url, {"id": "test", "secret": "test", "service": "s3"})
    assert url.ask(target, **headers)[0].status == 403


def test_signatures_are_verified(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({"auth.mode": "verify"})
    keys = root_keys(server)
    client = server.client(access_key=keys["id"], secret_key=keys["secret"])
    create_function(client, "iam", {"index.py": PYTHON})
    create_function(client, "open", {"index.py": PYTHON})
    url = Url(client.create_function_url_config(FunctionName="iam", AuthType="AWS_IAM")["FunctionUrl"])
    for in_query in (False, True):
        target, headers = signed(url, keys, in_query=in_query)
        assert url.event(target, **headers)["rawPath"] == "/x"
        target, headers = signed(url, {**keys, "secret": "wrong"}, in_query=in_query)
        answer, body = url.ask(target, **headers)
        assert (answer.status, answer.headers["x-amzn-ErrorType"]) == (403, "InvalidSignatureException")
        assert "does not match the signature you provided" in json.loads(body)["message"]
    assert url.ask()[0].status == 403
    # A public URL needs no signature, large bodies included.
    public = public_url(client, "open")
    assert public.ask("/", "POST", json.dumps({"answer": 1, "x": "x" * 300_000}))[1] == b"1"


def root_keys(server: LambentServer) -> dict[str, str]:
    """Make an access key with the command line."""
    command = [str(server.executable), "keys", "create", "--set", f"data_dir={server.data_dir}"]
    made = subprocess.run(command, capture_output=True, text=True, check=True, env=clean_environment()).stdout
    keys = json.loads(made)
    return {"id": keys["AccessKeyId"], "secret": keys["SecretAccessKey"]}


def test_a_streamed_answer(node: Url) -> None:
    answer, body = node.ask()
    assert (answer.status, body) == (201, b"Hello, world!")
    assert (answer.headers["Content-Type"], answer.headers["X-Mine"]) == ("text/html", "y")
    assert answer.headers.get_all("Set-Cookie") == ["a=b; Secure", "c=d"]
    assert answer.headers["Transfer-Encoding"] == "chunked"
    answer, body = node.ask("/?bare=1")
    assert (answer.status, answer.headers["Content-Type"], body) == (200, "text/plain", b"Hello, world!")


def test_a_streamed_answer_leaves_as_it_is_written(node: Url) -> None:
    parts = urlsplit(node.url)
    with socket.create_connection(("127.0.0.1", parts.port or 0), timeout=30) as connection:
        connection.sendall(f"GET /?pause=1500 HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        begun, seen = time.monotonic(), b""
        while b"Hello," not in seen:
            seen += connection.recv(65_536)
        first = time.monotonic() - begun
        while not seen.endswith(b"0\r\n\r\n"):
            seen += connection.recv(65_536)
        assert time.monotonic() - begun > first + 1
        assert b" world!" in seen


def test_streams_that_fail(node: Url) -> None:
    for asked in ("early", "garbage"):
        answer, body = node.ask(f"/?{asked}=1")
        assert (answer.status, body) == (502, b"Internal Server Error")
    for asked in ("late", "exit"):
        # It was 201 already; that it is not whole is told by the connection's end.
        with pytest.raises(http.client.IncompleteRead) as broken:
            node.ask(f"/?{asked}=1")
        assert broken.value.partial == b"Hello,"
    assert node.ask()[1] == b"Hello, world!"


def test_a_buffered_function_behind_a_streaming_url(client: Any) -> None:
    create_function(client, "url-raw", {"index.py": PYTHON})
    url = public_url(client, "url-raw", InvokeMode="RESPONSE_STREAM")
    value = {"statusCode": 418, "body": "x"}
    answer, body = url.answered(value)
    assert (answer.status, json.loads(body)) == (200, value)


def test_a_streaming_function_behind_a_buffered_url(client: Any) -> None:
    handler = """
export const handler = awslambda.streamifyResponse(async (event, stream) => {
  stream.write('{"statusCode": 201,');
  stream.write('"body": "whole"}');
  stream.end();
});
"""
    files = {"index.mjs": handler}
    create_function(client, "url-whole", files, Runtime="nodejs20.x")
    answer, body = public_url(client, "url-whole").ask()
    assert (answer.status, body) == (201, b"whole")


def test_head_and_http_1_0(python: Url, node: Url) -> None:
    answer, body = python.ask("/", "HEAD")
    assert (answer.status, body) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 100
    assert node.ask("/", "HEAD")[0].status == 201
    for url, wanted in ((python, b"HTTP/1.0"), (node, b"Hello, world!")):
        parts = urlsplit(url.url)
        with socket.create_connection(("127.0.0.1", parts.port or 0), timeout=30) as connection:
            connection.sendall(f"GET / HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode())
            seen = b""
            while data := connection.recv(65_536):
                seen += data
        assert wanted in seen
        assert b"Transfer-Encoding" not in seen


def test_a_restart_knows_the_urls(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({})
    create_function(server.client(), "kept", {"index.py": PYTHON})
    url = public_url(server.client(), "kept")
    server.kill()
    server.start()
    assert url.ask()[0].status == 200


def test_a_custom_runtime_answers_with_anything(client: Any) -> None:
    """Text that is no JSON is no answer: 502, and the runtime serves on."""
    bootstrap = """#!/bin/bash
api="http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation"
while true; do
  headers=$(mktemp)
  event=$(curl -sS -D "$headers" "$api/next")
  id=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$headers" | tr -d '[:space:]' | cut -d: -f2)
  case "$event" in *plain*) answer='no json';; *) answer='{"statusCode":202}';; esac
  curl -sS -o /dev/null -X POST "$api/$id/response" -d "$answer"
done
"""
    client.create_function(
        FunctionName="url-bash",
        Runtime="provided.al2023",
        Handler="bootstrap",
        Role="arn:aws:iam::000000000000:role/test",
        Code={"ZipFile": make_zip_bytes({"bootstrap": (bootstrap, 0o755)})},
    )
    client.get_waiter("function_active_v2").wait(FunctionName="url-bash", WaiterConfig={"Delay": 1})
    url = public_url(client, "url-bash")
    assert url.ask("/plain")[0].status == 502
    assert url.ask("/else")[0].status == 202
