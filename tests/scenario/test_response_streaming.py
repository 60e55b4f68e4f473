"""Point 8: a response leaves byte by byte, at the pace of the slower side, and every way it can end is told."""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import shutil
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.running import create_function, invoke, make_zip_bytes
from tests.runtimes.native_programs import FIXTURES, build_go, build_rust

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

NODE = """
import fs from 'node:fs';
const state = globalThis.state ??= { calls: 0 };
export const handler = awslambda.streamifyResponse(async (event, stream) => {
  state.calls += 1;
  if (event.ask) {
    stream.write(JSON.stringify({ calls: state.calls, ended: fs.existsSync('/tmp/ended') }));
    return stream.end();
  }
  fs.rmSync('/tmp/ended', { force: true });
  if (event.throwEarly) throw new RangeError('too early');
  if (event.type) stream.setContentType(event.type);
  if (event.prelude) stream = awslambda.HttpResponseStream.from(stream, event.prelude);
  const part = Buffer.alloc(event.bytes ?? 4, 'a');
  for (let index = 0; index < (event.parts ?? 1); index += 1) {
    if (!stream.write(part)) await new Promise((resolve) => stream.once('drain', resolve));
    if (event.gate) while (!fs.existsSync(`/tmp/gate${index}`)) await new Promise((r) => setTimeout(r, 5));
    if (event.pause) await new Promise((resolve) => setTimeout(resolve, event.pause));
  }
  if (event.throwAside) setTimeout(() => { throw new SyntaxError('aside'); }, 1);
  if (event.throwLate) throw new TypeError('too late');
  if (event.exit !== undefined) process.exit(event.exit);
  if (event.kill) process.kill(process.pid, 'SIGKILL');
  if (event.hang) await new Promise(() => setInterval(() => {}, 1000));
  fs.writeFileSync('/tmp/ended', 'yes');
  stream.end();
  await stream.finished?.();
});
"""
# A custom runtime with no more than curl and bash: the Runtime API's streaming mode as AWS documents it.
BASH = """#!/bin/bash
api="http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation"
while true; do
  headers=$(mktemp)
  event=$(curl -sS -D "$headers" "$api/next")
  id=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$headers" | tr -d '[:space:]' | cut -d: -f2)
  (echo -n "one "; sleep 0.2; echo -n "two $event") | curl -sS -o /dev/null -X POST -T - \
    -H 'Lambda-Runtime-Function-Response-Mode: streaming' -H 'Transfer-Encoding: chunked' \
    -H 'Content-Type: text/plain' "$api/$id/response"
done
"""
# A custom runtime that does with its sockets what the event says.
RAW = """#!/usr/bin/env python3
import json, os, socket, time
host, port = os.environ['AWS_LAMBDA_RUNTIME_API'].split(':')
BASE = '/2018-06-01/runtime/invocation/'
def connect():
    found = socket.create_connection((host, int(port)))
    found.settimeout(30)
    return found
def ask(connection, head, body=b''):
    connection.sendall(head.encode() + body)
    file = connection.makefile('rb')
    status = int(file.readline().split()[1])
    headers = {}
    while (line := file.readline().strip()):
        name, _, value = line.decode().partition(':')
        headers[name.lower()] = value.strip()
    return status, headers, file.read(int(headers.get('content-length', 0)))
def response(id, mode='streaming'):
    return (f'POST {BASE}{id}/response HTTP/1.1\\r\\nHost: x\\r\\nContent-Type: text/plain\\r\\n'
            f'Lambda-Runtime-Function-Response-Mode: {mode}\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n')
def chunk(data):
    return b'%x\\r\\n%b\\r\\n' % (len(data), data)
seen = []
while True:
    _, headers, body = ask(connect(), f'GET {BASE}next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')
    id, event = headers['lambda-runtime-aws-request-id'], json.loads(body)
    what = event.get('what')
    connection = connect()
    if what == 'statuses':
        ask(connection, response(id), chunk(json.dumps(seen).encode()) + b'0\\r\\n\\r\\n')
        seen.clear()
    elif what == 'trailers':
        error = base = __import__('base64').b64encode(b'{"errorType":"Mine","errorMessage":"m"}')
        ask(connection, response(id), chunk(b'part') + b'0\\r\\nLambda-Runtime-Function-Error-Type: Mine\\r\\n'
            b'Lambda-Runtime-Function-Error-Body: ' + error + b'\\r\\n\\r\\n')
    elif what == 'twice':
        seen.append(ask(connection, response(id), chunk(b'first') + b'0\\r\\n\\r\\n')[0])
        seen.append(ask(connect(), response(id), chunk(b'second') + b'0\\r\\n\\r\\n')[0])
    elif what == 'meanwhile':
        connection.sendall(response(id).encode() + chunk(b'first'))
        time.sleep(0.05)
        seen.append(ask(connect(), response(id), chunk(b'second') + b'0\\r\\n\\r\\n')[0])
        seen.append(ask(connection, '', b'0\\r\\n\\r\\n')[0])
    elif what == 'wrong id':
        seen.append(ask(connect(), response('8f5fe0b8-0000-4000-8000-000000000000'), chunk(b'x') + b'0\\r\\n\\r\\n')[0])
        ask(connection, response(id), chunk(b'right') + b'0\\r\\n\\r\\n')
    elif what == 'large':
        data = chunk(bytes(1_048_576)) * event['mib']
        seen.append(ask(connection, response(id), data + b'0\\r\\n\\r\\n')[0])
    elif what == 'cut':
        connection.sendall(response(id).encode() + chunk(b'part'))
        time.sleep(0.05)
        connection.close()
    elif what == 'garbage':
        connection.sendall(response(id).encode() + chunk(b'part'))
        time.sleep(0.05)
        seen.append(ask(connection, 'not a chunk size\\r\\n')[0])
    elif what == 'mode':
        seen.append(ask(connection, response(id, 'trickling'), b'0\\r\\n\\r\\n')[0])
    elif what == 'garbage http':
        connection.sendall(b'\\x16\\x03\\x01 what is this\\r\\n\\r\\n')
        seen.append(int(connection.makefile('rb').readline().split()[1]))
        ask(connect(), response(id), chunk(b'after all') + b'0\\r\\n\\r\\n')
    elif what == 'late':
        connection.sendall(response(id).encode() + chunk(b'part'))
        time.sleep(event['seconds'])
        connection.sendall(chunk(b'late') + b'0\\r\\n\\r\\n')
"""


@pytest.fixture(scope="module")
def server(lambent_server_factory: ServerFactory) -> LambentServer:
    """A server with a small bound for streamed responses, so that it is reached soon."""
    found = lambent_server_factory({"quotas.streamed_response_bytes": str(8 * 1_048_576)})
    client = found.client()
    create_function(
        client, "node", {"index.mjs": NODE}, Runtime="nodejs20.x", Handler="index.handler", Timeout=30, MemorySize=256
    )
    create_function(client, "node-brief", {"index.mjs": NODE}, Runtime="nodejs20.x", Timeout=1)
    create_function(client, "python", {"index.py": "def handler(event, context): return event\n"})
    for name, bootstrap, timeout in (("bash", BASH, 10), ("raw", RAW, 10), ("raw-brief", RAW, 1)):
        client.create_function(
            FunctionName=name,
            Runtime="provided.al2023",
            Handler="bootstrap",
            Role="arn:aws:iam::000000000000:role/test",
            Timeout=timeout,
            Code={"ZipFile": make_zip_bytes({"bootstrap": (bootstrap, 0o755)})},
        )
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    return found


def events(server: LambentServer, name: str, event: dict[str, Any], **members: Any) -> Iterator[dict[str, Any]]:
    answer = server.client().invoke_with_response_stream(FunctionName=name, Payload=json.dumps(event), **members)
    assert answer["ExecutedVersion"] == "$LATEST"
    assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
    try:
        yield from answer["EventStream"]
    finally:
        answer["EventStream"].close()


def streamed(server: LambentServer, name: str, **event: Any) -> tuple[bytes, dict[str, Any]]:
    """Call a function whose environment is idle again: what one invocation kept, the next one finds."""
    wait_nothing_runs(server)
    *chunks, last = events(server, name, event)
    return b"".join(chunk["PayloadChunk"]["Payload"] for chunk in chunks), last["InvokeComplete"]


def statuses(server: LambentServer) -> list[int]:
    body, complete = streamed(server, "raw", what="statuses")
    assert complete == {}
    found: list[int] = json.loads(body)
    return found


def nothing_runs(server: LambentServer) -> bool:
    pool = json.loads(server.get("/_lambent/v1/status")[1])["pool"]
    return not pool["environments_invoke"] and not pool["environments_settling"]


def wait_nothing_runs(server: LambentServer) -> None:
    deadline = time.monotonic() + 20
    while not nothing_runs(server):
        assert time.monotonic() < deadline, "something still runs"
        time.sleep(0.02)


def test_parts_arrive_while_the_function_runs(server: LambentServer) -> None:
    """The function goes on only when its caller, who has the part, calls it through another door."""
    arriving = events(server, "node", {"parts": 3, "pause": 150, "bytes": 10})
    seen = [(time.monotonic(), next(arriving)) for _ in range(3)]
    assert [event for _, event in seen] == [{"PayloadChunk": {"Payload": b"a" * 10}}] * 3
    assert not nothing_runs(server)
    # One after the other and not all at the end: the first had a head start of what the function paused in between.
    assert seen[2][0] - seen[0][0] > 0.2
    assert next(arriving) == {"InvokeComplete": {}}


def test_the_log_s_tail(server: LambentServer) -> None:
    *_, last = events(server, "node", {}, LogType="Tail")
    tail = base64.b64decode(last["InvokeComplete"]["LogResult"]).decode()
    assert tail.startswith("START RequestId: ")
    assert "REPORT RequestId: " in tail


def test_a_buffered_function(server: LambentServer) -> None:
    body, complete = streamed(server, "python", text="x" * 1_000_000)
    assert (json.loads(body), complete) == ({"text": "x" * 1_000_000}, {})


def test_a_streaming_function_invoked_as_usual(server: LambentServer) -> None:
    client = server.client()
    answer = client.invoke(FunctionName="node", Payload=json.dumps({"parts": 3}))
    assert (answer["Payload"].read(), "FunctionError" in answer) == (b"a" * 12, False)
    answer = client.invoke(FunctionName="node", Payload=json.dumps({"parts": 7, "bytes": 1_000_000}))
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"].read()) == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    }
    answer = client.invoke(FunctionName="node", Payload=json.dumps({"throwLate": True}))
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"].read())["errorMessage"] == "too late"


def test_a_dry_run(server: LambentServer) -> None:
    answer = server.client().invoke_with_response_stream(FunctionName="node", InvocationType="DryRun")
    assert answer["StatusCode"] == 204
    with pytest.raises(ClientError) as refused:
        server.client().invoke_with_response_stream(FunctionName="nobody", InvocationType="DryRun")
    assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_refusals_are_errors_of_the_api(server: LambentServer) -> None:
    client = server.client()
    for members, code in (
        ({"FunctionName": "nobody"}, "ResourceNotFoundException"),
        ({"FunctionName": "node", "Payload": b"no json"}, "InvalidRequestContentException"),
        ({"FunctionName": "node", "Payload": b'"' + b"x" * 6_291_456 + b'"'}, "RequestTooLargeException"),
        ({"FunctionName": "node", "Qualifier": "nobody"}, "ResourceNotFoundException"),
    ):
        with pytest.raises(ClientError) as refused:
            client.invoke_with_response_stream(**members)
        assert refused.value.response["Error"]["Code"] == code
    client.put_function_concurrency(FunctionName="python", ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError) as refused:
        client.invoke_with_response_stream(FunctionName="python")
    assert refused.value.response["Error"]["Code"] == "TooManyRequestsException"
    assert refused.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    client.delete_function_concurrency(FunctionName="python")


def test_who_may_call_is_who_may_invoke(server: LambentServer) -> None:
    own, other = server.client(), server.client(access_key="111122223333")
    arn = "arn:aws:lambda:us-east-1:000000000000:function:python"
    with pytest.raises(ClientError) as refused:
        other.invoke_with_response_stream(FunctionName=arn, Payload=b"1")
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    own.add_permission(FunctionName="python", StatementId="s", Action="lambda:InvokeFunction", Principal="111122223333")
    answer = other.invoke_with_response_stream(FunctionName=arn, Payload=b"1")
    first, last = answer["EventStream"]
    answer["EventStream"].close()
    assert (first, last) == ({"PayloadChunk": {"Payload": b"1"}}, {"InvokeComplete": {}})


def test_errors_before_the_first_byte(server: LambentServer) -> None:
    body, complete = streamed(server, "node", throwEarly=True)
    assert (body, complete["ErrorCode"]) == (b"", "Unhandled")
    assert json.loads(complete["ErrorDetails"])["errorType"] == "RangeError"
    body, complete = streamed(server, "node-brief", parts=0, hang=True)
    assert (body, complete["ErrorCode"]) == (b"", "Unhandled")
    assert "Task timed out after 1.00 seconds" in complete["ErrorDetails"]


def test_errors_in_the_middle(server: LambentServer) -> None:
    body, complete = streamed(server, "node", throwLate=True)
    assert (body, complete["ErrorCode"]) == (b"aaaa", "TypeError")
    assert json.loads(complete["ErrorDetails"])["errorMessage"] == "too late"
    body, complete = streamed(server, "raw", what="trailers")
    assert (body, complete) == (
        b"part",
        {"ErrorCode": "Mine", "ErrorDetails": '{"errorType":"Mine","errorMessage":"m"}'},
    )


def test_an_error_beside_the_handler(server: LambentServer) -> None:
    """An exception that nobody catches ends the process; what it was is still told."""
    body, complete = streamed(server, "node", throwAside=True, hang=True)
    assert (body, complete["ErrorCode"]) == (b"aaaa", "SyntaxError")
    assert json.loads(complete["ErrorDetails"])["errorMessage"] == "aside"
    assert json.loads(streamed(server, "node", ask=True)[0])["calls"] == 1


def test_a_time_out_in_the_middle(server: LambentServer) -> None:
    body, complete = streamed(server, "node-brief", hang=True)
    assert (body, complete["ErrorCode"]) == (b"aaaa", "Sandbox.Timedout")
    details = json.loads(complete["ErrorDetails"])
    assert details["errorType"] == "Sandbox.Timedout"
    assert details["errorMessage"].endswith(" Error: Task timed out after 1.00 seconds")
    # Reset, and as good as new.
    assert json.loads(streamed(server, "node-brief", ask=True)[0])["calls"] == 1


@pytest.mark.parametrize(
    ("event", "reason"), [({"exit": 3}, "exit status 3"), ({"kill": True}, "signal: killed"), ({"exit": 0}, "")]
)
def test_a_runtime_that_dies_in_the_middle(server: LambentServer, event: dict[str, Any], reason: str) -> None:
    body, complete = streamed(server, "node", **event, pause=20)
    assert (body, complete["ErrorCode"]) == (b"aaaa", "Runtime.TruncatedResponse")
    details = json.loads(complete["ErrorDetails"])
    assert details["errorType"] == "Runtime.ExitError"
    assert reason in details["errorMessage"]
    assert json.loads(streamed(server, "node", ask=True)[0])["calls"] == 1


def test_more_than_may_be_streamed(server: LambentServer) -> None:
    body, complete = streamed(server, "raw", what="large", mib=8)
    assert (len(body), complete) == (8 * 1_048_576, {})
    body, complete = streamed(server, "raw", what="large", mib=9)
    assert len(body) == 8 * 1_048_576
    assert complete["ErrorCode"] == "Function.ResponseSizeTooLarge"
    text = "Response payload size exceeded maximum allowed payload size (8388608 bytes)."
    assert json.loads(complete["ErrorDetails"])["errorMessage"] == text
    assert statuses(server) == [202, 413]


def test_what_runtimes_do_wrong(server: LambentServer) -> None:
    """Each is told AWS's error, its caller gets an answer, and the next invocation is as good as ever."""
    assert streamed(server, "raw", what="twice") == (b"first", {})
    assert streamed(server, "raw", what="meanwhile") == (b"first", {})
    assert streamed(server, "raw", what="wrong id") == (b"right", {})
    assert streamed(server, "raw", what="garbage http") == (b"after all", {})
    assert statuses(server) == [202, 403, 403, 202, 400, 400]
    body, complete = streamed(server, "raw", what="mode")
    assert (body, complete["ErrorCode"]) == (b"", "Unhandled")
    for what in ("cut", "garbage"):
        body, complete = streamed(server, "raw", what=what)
        assert (body, complete["ErrorCode"]) == (b"part", "Runtime.TruncatedResponse")
    assert statuses(server) == [400, 400]
    body, complete = streamed(server, "raw-brief", what="late", seconds=2)
    assert (body, complete["ErrorCode"]) == (b"part", "Sandbox.Timedout")
    assert streamed(server, "raw-brief", what="statuses") == (b"[]", {})
    wait_nothing_runs(server)


def test_a_custom_runtime_of_bash_and_curl(server: LambentServer) -> None:
    *chunks, last = events(server, "bash", {"a": 1})
    assert b"".join(chunk["PayloadChunk"]["Payload"] for chunk in chunks) == b'one two {"a": 1}'
    assert (last, len(chunks) >= 2) == ({"InvokeComplete": {}}, True)


@pytest.mark.skipif(shutil.which("go") is None, reason="no go on this machine")
def test_aws_s_own_go_library(server: LambentServer, tmp_path: Path) -> None:
    """aws-lambda-go from the module proxy, unchanged: a reader is streamed, its error ends up in the trailers."""
    bootstrap = build_go(FIXTURES / "go_streaming", tmp_path / "bootstrap", "-tags", "lambda.norpc").read_bytes()
    client = server.client()
    client.create_function(
        FunctionName="go",
        Runtime="provided.al2023",
        Handler="bootstrap",
        Role="arn:aws:iam::000000000000:role/test",
        Timeout=10,
        Code={"ZipFile": make_zip_bytes({"bootstrap": (bootstrap, 0o755)})},
    )
    client.get_waiter("function_active_v2").wait(FunctionName="go", WaiterConfig={"Delay": 1})
    assert streamed(server, "go", bare=True) == (b"one two three", {})
    body, complete = streamed(server, "go", bare=True, fail=True)
    assert body == b"one two three"
    assert (complete["ErrorCode"], json.loads(complete["ErrorDetails"])["errorMessage"]) == ("errorString", "too late")
    made = client.create_function_url_config(FunctionName="go", AuthType="NONE", InvokeMode="RESPONSE_STREAM")
    client.add_permission(
        FunctionName="go",
        StatementId="url",
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
    )
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", "/", headers={"Host": made["FunctionUrl"].split("/")[2]})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Content-Type"], answer.headers["Set-Cookie"]) == (201, "text/x-go", "a=b")
    assert answer.read() == b"one two three"
    connection.close()


@pytest.mark.long
@pytest.mark.skipif(shutil.which("cargo") is None, reason="no cargo on this machine")
def test_aws_s_own_crate(server: LambentServer, tmp_path: Path) -> None:
    """lambda_runtime for Rust, unchanged: its prelude and its parts."""
    bootstrap = build_rust(FIXTURES / "rust_streaming", tmp_path / "bootstrap").read_bytes()
    client = server.client()
    client.create_function(
        FunctionName="rust",
        Runtime="provided.al2023",
        Handler="bootstrap",
        Role="arn:aws:iam::000000000000:role/test",
        Timeout=10,
        Code={"ZipFile": make_zip_bytes({"bootstrap": (bootstrap, 0o755)})},
    )
    client.get_waiter("function_active_v2").wait(FunctionName="rust", WaiterConfig={"Delay": 1})
    *chunks, last = events(server, "rust", {})
    prelude, _, body = b"".join(chunk["PayloadChunk"]["Payload"] for chunk in chunks).partition(bytes(8))
    assert json.loads(prelude)["statusCode"] == 200
    assert (body, last, len(chunks) >= 3) == (b"one two three", {"InvokeComplete": {}}, True)
    body, complete = streamed(server, "rust", fail=True)
    # The crate writes the trailers of an error as a part of the body: that is what its caller gets.
    assert b"one two threeLambda-Runtime-Function-Error-Type: Runtime.StreamError" in body
    assert complete == {}
    assert streamed(server, "rust")[1] == {}


def test_the_prelude_is_a_part_of_the_stream(server: LambentServer) -> None:
    body, complete = streamed(server, "node", prelude={"statusCode": 201})
    assert (body, complete) == (b'{"statusCode":201}' + bytes(8) + b"aaaa", {})


def open_stream(server: LambentServer, name: str, event: dict[str, Any]) -> socket.socket:
    """Send the request and leave the answer unread."""
    path = f"/2021-11-15/functions/{name}/response-streaming-invocations"
    body = json.dumps(event).encode()
    request = AWSRequest("POST", f"{server.url}{path}", data=body, headers={"Host": f"127.0.0.1:{server.port}"})
    SigV4Auth(Credentials("test", "test"), "lambda", "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.connect()
    # A small window: what the client does not read shall not hide in the kernel.
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    connection.request("POST", path, body, dict(request.headers))
    return connection.sock


def memory_kib(server: LambentServer) -> int:
    with open(f"/proc/{server.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


@pytest.mark.slow
def test_a_slow_client_holds_the_function_up_and_not_the_memory(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({})
    create_function(server.client(), "node", {"index.mjs": NODE}, Runtime="nodejs20.x", Timeout=60, MemorySize=512)
    create_function(server.client(), "python", {"index.py": "def handler(event, context): return event\n"})
    streamed(server, "node", parts=4, bytes=1_000_000)
    before_kib = memory_kib(server)
    clients = [open_stream(server, "node", {"parts": 100, "bytes": 1_000_000}) for _ in range(4)]
    for client in clients:
        assert client.recv(100)
    # They would be through by now if nobody held them up; others are served meanwhile.
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        assert invoke(server.client(), "python", 1) == 1
    pool = json.loads(server.get("/_lambent/v1/status")[1])["pool"]
    assert pool["environments_invoke"] == 4
    # Four streams and what came with them: 1 MiB each is the promise; the rest is the client library's noise.
    assert memory_kib(server) - before_kib < 16_384
    sizes = [0] * len(clients)
    for index, client in enumerate(clients):
        while data := client.recv(1_048_576):
            sizes[index] += len(data)
            if data.endswith(b"0\r\n\r\n"):
                break
        client.close()
    assert min(sizes) > 100_000_000
    wait_nothing_runs(server)


@pytest.mark.slow
def test_a_client_gone_leaves_the_function_running(server: LambentServer) -> None:
    for parts, pause in ((1, 700), (30, 20)):
        client = open_stream(server, "node", {"parts": parts, "pause": pause, "bytes": 100_000})
        assert client.recv(100)
        client.close()
        # Its environment and its concurrency stay taken until the function has ended.
        assert not nothing_runs(server)
        wait_nothing_runs(server)
        answer = json.loads(streamed(server, "node", ask=True)[0])
        assert answer["ended"]


def descriptors(server: LambentServer) -> int:
    return len(os.listdir(f"/proc/{server.pid}/fd"))


@pytest.mark.slow
def test_streams_cut_at_random_on_both_sides(server: LambentServer) -> None:
    chance = random.Random(8)
    streamed(server, "node")
    wait_nothing_runs(server)
    before = descriptors(server)
    for _ in range(25):
        event: dict[str, Any] = {"parts": chance.randrange(1, 40), "bytes": chance.randrange(1, 200_000)}
        event |= chance.choice([{}, {"exit": 1}, {"kill": True}, {"throwLate": True}, {"pause": 1}])
        client = open_stream(server, "node", event)
        wanted, read = chance.randrange(1, 2_000_000), 0
        while read < wanted and (data := client.recv(65_536)):
            read += len(data)
            if data.endswith(b"0\r\n\r\n"):
                break
        client.close()
        # One after the other, so that one environment has them all.
        wait_nothing_runs(server)
    assert streamed(server, "node", parts=2) == (b"a" * 8, {})
    assert server.output().count("Traceback") == 0
    # The environment was reset time and again; the daemon holds what it held, give or take a keep-alive connection.
    deadline = time.monotonic() + 20
    while (left := descriptors(server)) > before + 2:
        assert time.monotonic() < deadline, f"{left} descriptors, {before} before"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_stop_lets_streams_end(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({})
    create_function(server.client(), "node", {"index.mjs": NODE}, Runtime="nodejs20.x", Timeout=30)
    arriving = events(server, "node", {"parts": 10, "pause": 100})
    assert "PayloadChunk" in next(arriving)
    assert server.process is not None
    server.process.terminate()
    *_, last = arriving
    assert last == {"InvokeComplete": {}}
