"""An endpoint that remembers what reached it, and a way there: the real forwarding, without the child."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from lambent.neighbours import Endpoints, Forwarder
from lambent.settings import NeighbourSettings, NeighboursSettings
from lambent.wire.http_client import ClientRules, HttpClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lambent.clock import Clock


@dataclass(frozen=True)
class Reached:
    """A request as it arrived; header names lower case."""

    method: str
    target: str
    headers: dict[str, str]
    sha256: str
    size_bytes: int
    is_whole: bool


class Upstream(ThreadingHTTPServer):
    """Answers `status`, `headers`, `body` to everything. `is_early`: before it has read the request's body."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Asked)
        self.reached: list[Reached] = []
        self._clients: list[HttpClient] = []
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.reached.clear()
        self.status = 200
        self.headers: list[tuple[str, str]] = []
        self.body: bytes = b""
        self.is_chunked = False
        self.is_early = False

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def forwarder(self, clock: Clock, *, credentials: tuple[str, str] = ("", "")) -> Forwarder:
        """Return the way here for every service that tests ask."""
        one = NeighbourSettings(self.url, "", *credentials)
        services = dict.fromkeys(("s3", "sqs", "sns", "dynamodb", "cloudwatch"), one)
        places = Endpoints(NeighboursSettings(enabled=False, services=services), None)
        self._clients.append(HttpClient(ClientRules(silence_seconds=20)))
        return Forwarder(places, self._clients[-1], clock)

    def leave(self) -> None:
        """Close the ways here of the loop that calls."""
        self._clients.pop().close()


class _Asked(BaseHTTPRequestHandler):
    server: Upstream
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        server = self.server
        if server.is_early:
            self.close_connection = True
            self._send()
            return
        digest, size, is_whole = hashlib.sha256(), 0, True
        for part in self._parts():
            if part is None:
                is_whole = False
                break
            digest.update(part)
            size += len(part)
        headers = {name.lower(): value for name, value in self.headers.items()}
        server.reached.append(Reached(self.command, self.path, headers, digest.hexdigest(), size, is_whole))
        if is_whole:
            self._send()

    def _send(self) -> None:
        server = self.server
        # The test may change it as soon as the head has arrived.
        body = server.body
        self.send_response(server.status)
        for name, value in server.headers:
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        if server.is_chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif server.status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD" or server.status in (204, 304):
            return
        with contextlib.suppress(OSError):
            if not server.is_chunked:
                self.wfile.write(body)
                return
            for part in (body[:1], body[1:]):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")

    def _parts(self) -> Iterator[bytes | None]:
        if self.headers.get("transfer-encoding") == "chunked":
            while size := int(self.rfile.readline() or b"-1", 16):
                if size < 0:
                    yield None
                    return
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("content-length", 0))
        while left:
            part = b""
            with contextlib.suppress(ConnectionError):
                part = self.rfile.read(min(left, 65_536))
            if not part:
                yield None
                return
            left -= len(part)
            yield part

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = answer

    def log_message(self, *_: object) -> None:
        return


@contextlib.contextmanager
def serving() -> Iterator[Upstream]:
    """A running endpoint."""
    with Upstream() as upstream:
        thread = threading.Thread(target=upstream.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield upstream
        finally:
            upstream.shutdown()
            thread.join()
