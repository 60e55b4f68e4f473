"""Extensions for tests: written in Python, put into a layer, told what to do by a few lines of their own."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from tests.running import create_function, make_zip_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# What every extension of these tests begins with. What it writes to standard output is in the function's log.
PRELUDE = """#!/usr/bin/env python3
import http.server, json, os, socket, socketserver, sys, threading, time, urllib.error, urllib.request

NAME = os.path.basename(sys.argv[0])
API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"]
IDENTITY = {}


def ask(method, path, body=None, headers=None):
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(API + path, data, {**IDENTITY, **(headers or {})}, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, error.headers, json.loads(error.read() or b"null")


def register(*events, name=NAME, **headers):
    names = {"Lambda-Extension-Name": name, **{key.replace("_", "-"): value for key, value in headers.items()}}
    status, answered, body = ask("POST", "/2020-01-01/extension/register", {"events": events}, names)
    if status == 200:
        IDENTITY["Lambda-Extension-Identifier"] = answered["Lambda-Extension-Identifier"]
    return status, body


def next_event():
    return ask("GET", "/2020-01-01/extension/event/next")[2]


def report(kind, error_type):
    headers = {"Lambda-Extension-Function-Error-Type": error_type}
    return ask("POST", f"/2020-01-01/extension/{kind}/error", {"errorMessage": "m"}, headers)[::2]


def say(*words):
    print(*words, flush=True)


def note(path, text):
    with open("/tmp/" + path, "a") as file:
        file.write(text + "\\n")


class Receiver(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.status == 200:
            for event in json.loads(data):
                note("telemetry", json.dumps(event))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


def listen(port=8080):
    server = http.server.ThreadingHTTPServer(("sandbox.localdomain", port), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def subscribe(*types, path="/2022-07-01/telemetry", schema="2022-12-13", port=8080, protocol="HTTP", **buffering):
    destination = {"protocol": protocol}
    destination |= {"URI": f"http://sandbox.localdomain:{port}/"} if protocol == "HTTP" else {"port": port}
    body = {"schemaVersion": schema, "types": types, "destination": destination}
    body["buffering"] = {"timeoutMs": 25, "maxItems": 1000, "maxBytes": 262144, **buffering}
    return ask("PUT", path, body)[::2]


def run():
    while True:
        event = next_event()
        if event["eventType"] == "SHUTDOWN":
            say("shutdown", event["shutdownReason"], event["deadlineMs"] > time.time() * 1000)
            sys.exit(0)
"""

# Returns the file of /tmp that it is asked for, line by line as JSON.
READER = """
import json, os
def handler(event, context):
    if event.get("sleep"):
        import time
        time.sleep(event["sleep"])
    if event.get("exit") is not None:
        os._exit(event["exit"])
    try:
        with open("/tmp/" + event.get("read", "notes")) as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []
"""
SECONDS_MAX = 20.0


def layer(client: Any, name: str, extensions: Mapping[str, str | tuple[bytes, int]]) -> str:
    """Publish a layer with extensions, base name → what they do after the prelude (or bytes and mode); its ARN."""
    files: dict[str, tuple[str | bytes, int]] = {}
    for base_name, body in extensions.items():
        files[f"extensions/{base_name}"] = (PRELUDE + body, 0o755) if isinstance(body, str) else body
    content = {"ZipFile": make_zip_bytes(files)}
    return str(client.publish_layer_version(LayerName=name, Content=content)["LayerVersionArn"])


def extended_function(client: Any, name: str, body: str, code: str = READER, **members: Any) -> None:
    """Create a function with one extension called `watcher`."""
    arn = layer(client, name, {"watcher": body})
    create_function(client, name, {"index.py": code}, Layers=[arn], **members)


def call(client: Any, name: str, event: object = None) -> tuple[Any, str | None]:
    """Invoke; return the decoded payload and the function error."""
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event or {}))
    return json.loads(answer["Payload"].read() or b"null"), answer.get("FunctionError")


def log_of(server: Any, name: str) -> str:
    """Return the messages of a function's log, each on its line."""
    status, body = server.get(f"/_lambent/v1/logs?function={name}")
    assert status == 200
    return "\n".join(json.loads(line)["message"] for line in body.splitlines())


def said(server: Any, name: str, text: str) -> str:
    """Return a function's log once it holds `text`: it is written some moments after the answer."""
    return str(wait_for(lambda: (log := log_of(server, name)) and text in log and log, repr(text)))


def wait_for(find: Callable[[], Any], what: str) -> Any:
    """Return the first true answer of `find`."""
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        found = find()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"no {what} within {SECONDS_MAX} s")


def retire(client: Any, name: str) -> None:
    """End the idle environments of a function, as a new configuration does."""
    client.update_function_configuration(FunctionName=name, MemorySize=192)
