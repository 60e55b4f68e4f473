"""A Runtime API for runtime clients under test: hands out invocations, records what comes back."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

_PREFIX = "/2018-06-01/runtime/"
_ACCEPTED = b'HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"status":"OK"}\n'
WAIT_SECONDS = 30.0
INVOKED_ARN = "arn:aws:lambda:us-east-1:000000000000:function:table:live"


@dataclass(frozen=True)
class Event:
    """One invocation to hand out; `headers` are added to the usual ones."""

    body: bytes
    request_id: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Posted:
    """One thing that a runtime sent. `path` is below /2018-06-01/runtime/; header names are lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class FakeRuntimeApi:
    """Serves any number of connections, pipelined requests included, until closed."""

    def __init__(self, events: Sequence[Event] = (), *, timeout_ms: int = 60_000) -> None:
        self._events = list(events)
        self._timeout_ms = timeout_ms
        self._lock = threading.Condition()
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.posted: list[Posted] = []
        self.waits = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> FakeRuntimeApi:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._connections:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def wait(self, is_done: Callable[[FakeRuntimeApi], bool]) -> bool:
        """Wait until `is_done`, looked at whenever something came; False when it took too long."""
        with self._lock:
            return self._lock.wait_for(lambda: is_done(self), WAIT_SECONDS)

    def add(self, event: Event) -> None:
        """Hand out one more."""
        with self._lock:
            self._events.append(event)
            self._lock.notify_all()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            stream = connection.makefile("rb")
            while line := stream.readline():
                method, target, _ = line.decode("ascii").split(" ")
                headers = _headers(stream)
                body = _body(stream, headers)
                if method == "GET" and target == _PREFIX + "invocation/next":
                    self._hand_out(connection)
                    continue
                with self._lock:
                    self.posted.append(Posted(target.removeprefix(_PREFIX), headers, body))
                    connection.sendall(_ACCEPTED)
                    self._lock.notify_all()

    def _hand_out(self, connection: socket.socket) -> None:
        with self._lock:
            self.waits += 1
            self._lock.notify_all()
            self._lock.wait_for(lambda: bool(self._events))
            event = self._events.pop(0)
        deadline_ms = int(time.time() * 1000) + self._timeout_ms
        lines = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": event.request_id,
            "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": INVOKED_ARN,
            "Lambda-Runtime-Trace-Id": f"Root=1-{event.request_id};Parent=0;Sampled=0",
            **event.headers,
            "Content-Length": str(len(event.body)),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head.encode() + b"\r\n" + event.body)


@dataclass
class Ran:
    """What one run of a runtime left: its posts, its output, and its exit code if it ended by itself."""

    posted: list[Posted]
    output: str
    code: int | None


def run_runtime(argv: Sequence[str], variables: Mapping[str, str], directory: Path, events: Sequence[Event]) -> Ran:
    """Run a runtime until it has answered every event and waits for more, or has ended by itself."""
    output = directory.parent / f"{directory.name}.output"
    with FakeRuntimeApi(events) as api, output.open("wb") as sink:
        environment = {"PATH": os.environ["PATH"], "LANG": "en_US.UTF-8", **variables}
        environment["AWS_LAMBDA_RUNTIME_API"] = api.address
        process = subprocess.Popen(
            list(argv), cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
        )
        threading.Thread(target=_notice_end, args=(process, api), daemon=True).start()
        done = api.wait(lambda it: it.waits > len(events) or process.poll() is not None)
        code = process.poll()
        if code is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        posted = list(api.posted)
    text = output.read_bytes().decode()
    assert done, f"the runtime did not finish: {text}"
    return Ran(posted, text, code)


def _notice_end(process: subprocess.Popen[bytes], api: FakeRuntimeApi) -> None:
    process.wait()
    with api._lock:
        api._lock.notify_all()


def _headers(stream: BinaryIO) -> dict[str, str]:
    headers = {}
    while (header := stream.readline()) not in (b"\r\n", b""):
        name, _, value = header.decode("utf-8").partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers


def _body(stream: BinaryIO, headers: dict[str, str]) -> bytes:
    """Return the body; trailers join the headers."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        pieces = []
        while size := int(stream.readline(), 16):
            pieces.append(stream.read(size))
            stream.readline()
        headers.update(_headers(stream))
        return b"".join(pieces)
    return stream.read(int(headers.get("content-length", "0")))
