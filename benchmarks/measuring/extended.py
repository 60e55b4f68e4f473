"""What telemetry adds to a warm invoke: the same function with and without an extension that subscribes."""

from __future__ import annotations

import base64
import io
import json
import statistics
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.measuring import codes
from benchmarks.measuring.daemon import Code, Daemon
from benchmarks.measuring.generator import LoadError, LoadPlan
from benchmarks.measuring.rows import Row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.measuring.context import Context

# Rounds alternate, so that what else the machine does meets both.
_ROUNDS = 6
_SUBSCRIBER = b"""#!/usr/bin/env python3
import http.server, json, os, sys, threading, urllib.request
api = 'http://' + os.environ['AWS_LAMBDA_RUNTIME_API']
def ask(method, path, body, headers):
    request = urllib.request.Request(api + path, body, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        answer.read()
        return answer.headers
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.end_headers()
    def log_message(self, *arguments):
        pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 8080), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
name = {'Lambda-Extension-Name': os.path.basename(sys.argv[0])}
answered = ask('POST', '/2020-01-01/extension/register', b'{"events": ["SHUTDOWN"]}', name)
identity = {'Lambda-Extension-Identifier': answered['Lambda-Extension-Identifier']}
wanted = {'schemaVersion': '2022-12-13', 'types': ['platform', 'function', 'extension']}
wanted['destination'] = {'protocol': 'HTTP', 'URI': 'http://sandbox.localdomain:8080/'}
ask('PUT', '/2022-07-01/telemetry', json.dumps(wanted).encode(), identity)
ask('GET', '/2020-01-01/extension/event/next', None, identity)
"""


@dataclass(frozen=True, slots=True)
class _Extended(Code):
    """Code with a layer."""

    layer: str = ""

    def members(self) -> dict[str, object]:
        """CreateFunction's members."""
        return Code.members(self) | {"Layers": [self.layer]}


def rows(context: Context) -> list[Row]:
    """One daemon, two functions, one client, alternately."""
    daemon = Daemon({"neighbours.enabled": "false"}).start()
    try:
        plain = codes.python()
        daemon.create("bare", plain)
        members = (plain.runtime, plain.handler, plain.files, plain.executables, plain.memory_mib)
        daemon.create("observed", _Extended(*members, layer=_publish(daemon)))
        figures: dict[str, list[float]] = {"bare": [], "observed": []}
        seconds = max(2, context.seconds // 4)
        for name in (*figures, *(name for _ in range(_ROUNDS) for name in figures)):
            requests = daemon.caller.invokes(name)
            load = context.programs.send(daemon.port, requests, LoadPlan(1, seconds, 0.0)).check(name)
            figures[name].append(load.p50_us)
        # The first round of each makes its environment.
        bare, observed = (statistics.median(found[1:]) / 1000 for found in figures.values())
    finally:
        daemon.close()
    return [
        Row("telemetry_bare_p50", "warm invoke without extensions, 1 client: p50", bare, "ms"),
        Row("telemetry_p50", "the same beside an extension that takes all telemetry: p50", observed, "ms"),
        Row("telemetry_overhead", "telemetry's share of a warm invoke", (observed / bare - 1) * 100, "%", 5.0),
    ]


def _publish(daemon: Daemon) -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo("extensions/subscriber", (2026, 1, 1, 0, 0, 0))
        entry.external_attr = 0o100755 << 16
        archive.writestr(entry, _SUBSCRIBER)
    content = {"ZipFile": base64.b64encode(buffer.getvalue()).decode()}
    body = json.dumps({"Content": content}).encode()
    status, _, answer = daemon.call("POST", "/2018-10-31/layers/subscriber/versions", body)
    if status != 201:
        raise LoadError(f"PublishLayerVersion: {status} {answer[:500]!r}")
    published: Mapping[str, str] = json.loads(answer)
    return published["LayerVersionArn"]
