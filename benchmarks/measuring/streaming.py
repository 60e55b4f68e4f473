"""Streamed responses against a raw socket, first bytes after their write, and what a function URL adds to a call."""

from __future__ import annotations

import json
import multiprocessing
import socket
import statistics
import struct
import time
from typing import TYPE_CHECKING

from benchmarks.measuring.daemon import Code, Daemon
from benchmarks.measuring.generator import LoadError, LoadPlan
from benchmarks.measuring.rows import Row, missing

if TYPE_CHECKING:
    from benchmarks.measuring.context import Context

_STREAM_PATH = "/2021-11-15/functions/{}/response-streaming-invocations"
_MIB = 1_048_576
_STREAMED_BYTES = 150 * _MIB
_PART_BYTES = 65_536
_FIRST_BYTES = 200
_PAUSE_SECONDS = 0.02
_READ_BYTES = 262_144
# Streams bytes, or what time it was when it wrote: system time is one inside and outside of a sandbox.
_BOOTSTRAP = b"""#!/usr/bin/env python3
import json, os, socket, struct, time
host, port = os.environ['AWS_LAMBDA_RUNTIME_API'].split(':')
base = '/2018-06-01/runtime/invocation/'
connection = socket.create_connection((host, int(port)))
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
reader = connection.makefile('rb')
def answer():
    length, headers = 0, {}
    reader.readline()
    while line := reader.readline().strip():
        name, _, value = line.decode().partition(':')
        headers[name.lower()] = value.strip()
    return headers, reader.read(int(headers.get('content-length', 0)))
while True:
    connection.sendall(f'GET {base}next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'.encode())
    headers, event = answer()
    asked = json.loads(event)
    head = (f"POST {base}{headers['lambda-runtime-aws-request-id']}/response HTTP/1.1\\r\\nHost: x\\r\\n"
            'Lambda-Runtime-Function-Response-Mode: streaming\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n')
    connection.sendall(head.encode())
    if 'bytes' in asked:
        part = b'%x\\r\\n' % asked['part'] + bytes(asked['part']) + b'\\r\\n'
        for _ in range(asked['bytes'] // asked['part']):
            connection.sendall(part)
    else:
        for _ in range(asked['count']):
            time.sleep(asked['pause'])
            connection.sendall(b'8\\r\\n' + struct.pack('>Q', time.time_ns()) + b'\\r\\n')
    connection.sendall(b'0\\r\\n\\r\\n')
    answer()
"""
_NODE = b"""
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  const part = Buffer.alloc(event.part);
  for (let left = event.bytes; left > 0; left -= event.part) {
    if (!stream.write(part)) await new Promise((resolve) => stream.once('drain', resolve));
  }
  stream.end();
});
"""
_URL = b"def handler(event, context):\n    return None\n"


def rows(context: Context) -> list[Row]:
    """All rows about streams and URLs."""
    daemon = Daemon()
    try:
        daemon.start()
        custom = Code("provided.al2023", "unused", {"bootstrap": _BOOTSTRAP}, frozenset({"bootstrap"}), 1_769)
        daemon.create("stream-custom", custom)
        daemon.create("stream-node", Code("nodejs20.x", "app.handler", {"app.js": _NODE}, memory_mib=1_769))
        return [*_throughput(daemon), *_first_bytes(daemon), *_url(context, daemon)]
    finally:
        daemon.close()


def _throughput(daemon: Daemon) -> list[Row]:
    raw = max(_raw_bytes_per_second() for _ in range(3))
    found = [Row("stream_raw", "raw socket, one sender to one reader", raw / _MIB, "MiB/s")]
    for name, what in (("stream-custom", "custom runtime"), ("stream-node", "Node.js")):
        event: dict[str, object] = {"bytes": _STREAMED_BYTES, "part": _PART_BYTES}
        best = max(_stream(daemon, name, event) for _ in range(3))
        key = name.replace("-", "_")
        found += [
            Row(key, f"streamed response, {what}", best / _MIB, "MiB/s", is_high_good=True),
            Row(
                f"{key}_ratio",
                f"streamed response, {what}, as a share of the raw socket",
                best / raw,
                "",
                is_high_good=True,
            ),
        ]
    return found


def _first_bytes(daemon: Daemon) -> list[Row]:
    """How long after the function's write its bytes are with the caller."""
    request = _request(daemon, "stream-custom", {"count": _FIRST_BYTES, "pause": _PAUSE_SECONDS})
    late_us, held = [], b""
    with socket.create_connection(("127.0.0.1", daemon.port), 60) as connection:
        connection.sendall(request)
        while not held.endswith(b"0\r\n\r\n"):
            data = connection.recv(_READ_BYTES)
            now_ns = time.time_ns()
            if not data:
                raise LoadError(f"the stream ended early: {held[-200:]!r}")
            held += data
            at = data.find(b"application/octet-stream")
            if at >= 0:
                # Behind the event's headers (":message-type", 7, 5, "event") come the eight bytes that were written.
                written = data.find(b"\x00\x05event", at) + 7
                late_us.append((now_ns - struct.unpack(">Q", data[written : written + 8])[0]) / 1_000)
    late_us.sort()
    p99 = late_us[int(len(late_us) * 0.99)]
    return [
        Row(
            "stream_first_byte_p50",
            "a streamed part after its write: p50",
            statistics.median(late_us) / 1_000,
            "ms",
            5.0,
        ),
        Row("stream_first_byte_p99", "a streamed part after its write: p99", p99 / 1_000, "ms", 5.0),
    ]


def _url(context: Context, daemon: Daemon) -> list[Row]:
    name = "url-empty"
    daemon.create(name, Code("python3.11", "app.handler", {"app.py": _URL}))
    path = f"/2021-10-31/functions/{name}/url"
    status, _, answer = daemon.call("POST", path, b'{"AuthType":"NONE"}')
    if status != 201:
        return [missing("url_overhead", "what a function URL adds", "ms", f"{status} {answer[:200]!r}")]
    permission = {
        "StatementId": "u",
        "Action": "lambda:InvokeFunctionUrl",
        "Principal": "*",
        "FunctionUrlAuthType": "NONE",
    }
    daemon.call("POST", f"/2015-03-31/functions/{name}/policy", json.dumps(permission).encode())
    host = json.loads(answer)["FunctionUrl"].split("/")[2]
    asking = f"POST /a/b?c=d HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nUser-Agent: load\r\n"
    by_url = [f"{asking}Content-Length: 2\r\n\r\n{{}}".encode()]
    plan = LoadPlan(1, max(2, context.seconds // 2), 1.0)
    p50s: dict[str, list[float]] = {"direct": [], "url": []}
    # In turn, so that what else the machine does falls on both.
    for _ in range(3):
        for way, requests in (("direct", daemon.caller.invokes(name)), ("url", by_url)):
            p50s[way].append(context.programs.send(daemon.port, requests, plan).check(way).p50_us / 1_000)
    direct, url = (statistics.median(p50s[way]) for way in ("direct", "url"))
    return [
        Row("url_p50", "function URL, 1 client: p50", url, "ms", detail={"direct_p50_ms": direct}),
        Row("url_overhead", "what a function URL adds to a direct warm invoke: p50", url - direct, "ms", 0.5),
    ]


def _request(daemon: Daemon, name: str, event: dict[str, object]) -> bytes:
    return daemon.caller.request("POST", _STREAM_PATH.format(name), json.dumps(event).encode())


def _stream(daemon: Daemon, name: str, event: dict[str, object]) -> float:
    """Return bytes a second."""
    with socket.create_connection(("127.0.0.1", daemon.port), 60) as connection:
        connection.sendall(_request(daemon, name, event))
        first = connection.recv(1_024)
        if not first.startswith(b"HTTP/1.1 200 "):
            raise LoadError(f"{name}: {first!r}")
        return _drain(connection, b"0\r\n\r\n")


def _raw_bytes_per_second() -> float:
    """Send as much over a bare socket, from a process of its own, in parts of the same size."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        sender = multiprocessing.get_context("spawn").Process(target=_send, args=(port,))
        sender.start()
        connection, _ = listener.accept()
        with connection:
            connection.recv(1)
            rate = _drain(connection, b"")
        sender.join()
    return rate


def _send(port: int) -> None:
    part = bytes(_PART_BYTES)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for _ in range(_STREAMED_BYTES // _PART_BYTES):
            connection.sendall(part)


def _drain(connection: socket.socket, end: bytes) -> float:
    """Read to the end, which is `end` where the connection lives on; return bytes a second."""
    buffer, total, begun = bytearray(_READ_BYTES), 0, time.monotonic()
    while size := connection.recv_into(buffer):
        total += size
        if end and buffer[max(0, size - len(end)) : size] == end:
            break
    return total / (time.monotonic() - begun)
