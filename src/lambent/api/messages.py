"""Requests and answers of HTTP as values: what passes between a connection and what answers it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from lambent.api.transport.spool import IncomingBody, SpooledBody

Headers = tuple[tuple[str, str], ...]

_REASONS = {status.value: status.phrase for status in HTTPStatus}


class HttpLimits(NamedTuple):
    """Bounds of one connection, and of all together: how many, and the memory that their bodies take.

    Times in seconds. The longest target that AWS takes names an event source by 10,000 bytes.
    """

    request_line_bytes_max: int = 16_384
    header_count_max: int = 100
    headers_bytes_max: int = 65_536
    slow_client_seconds: float = 30.0
    idle_seconds: float = 300.0
    pipelined_max: int = 16
    body_memory_bytes_max: int = 1_073_741_824
    connections_max: int = 10_000


class BodyPlan(NamedTuple):
    """How a body is taken: kept in memory up to `memory_bytes_max`, in a file beyond it, refused over `bytes_max`.

    `spool_directory` None: nothing is spooled, and `memory_bytes_max` alone counts. `is_streamed`: the body is handed
    on as it arrives (`HttpRequest.incoming`), at the reader's pace.
    """

    memory_bytes_max: int
    bytes_max: int
    spool_directory: Path | None = None
    is_streamed: bool = False


class Peer(NamedTuple):
    """How a request came: `local_host` is our own address as the client reached it; scheme http or https.

    `remote_host` is the client's address, empty where it has none.
    """

    scheme: str
    local_host: str
    local_port: int
    remote_host: str = ""


class HttpRequest:
    """One request. `target` is ASCII as received; header names lower case, repeated ones joined by commas.

    `body` is the whole body unless `spooled` holds it. `is_oversize`: the body was over its plan and was not kept.
    `incoming` is a body that is still arriving: the connection's own, or the answerer's when the plan says streamed.
    """

    __slots__ = (
        "body",
        "headers",
        "incoming",
        "is_http_10",
        "is_last",
        "is_oversize",
        "method",
        "peer",
        "plan",
        "spooled",
        "target",
    )

    def __init__(self, method: str, target: str, headers: dict[str, str], peer: Peer) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.peer = peer
        self.body = b""
        self.plan: BodyPlan | None = None
        self.incoming: IncomingBody | None = None
        self.spooled: SpooledBody | None = None
        self.is_http_10 = False
        self.is_last = False
        self.is_oversize = False

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query without its question mark, percent-encoded as received."""
        return self.target.partition("?")[2]


class FileBody(NamedTuple):
    """A file as an answer's body; read in pieces, never whole."""

    path: Path
    size_bytes: int


class SizedStream(NamedTuple):
    """A stream whose length is known before it is sent. Shorter than promised, it breaks the connection."""

    parts: AsyncIterator[bytes]
    size_bytes: int


class HttpResponse(NamedTuple):
    """An answer. An iterator is sent chunked, as it yields; it is closed (`aclose`) when the client goes away.

    `is_forwarded`: somebody else's answer, whose headers are whole.
    """

    status: int
    headers: Headers = ()
    body: bytes | FileBody | SizedStream | AsyncIterator[bytes] = b""
    is_last: bool = False
    is_forwarded: bool = False

    @staticmethod
    def of_file(path: Path, size_bytes: int, headers: Headers = ()) -> HttpResponse:
        """Return an answer (200) whose body is a file of `size_bytes`, sent in pieces."""
        return HttpResponse(200, headers, FileBody(path, size_bytes))


class Answers(Protocol):
    """What a connection asks: the door behind it."""

    def plan_body(self, request: HttpRequest) -> BodyPlan:
        """Say how the body of a request whose head has arrived shall be taken. Never raises."""

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Return the answer. Never raises but for cancellation."""

    def refusal(self, status: int, reason: str) -> HttpResponse:
        """Return the answer to bytes that are no acceptable request; the connection ends after it."""


def encode_head(status: int, headers: Sequence[tuple[str, str]], framing: str) -> bytes:
    """Return an answer's head. `framing` is its last header lines, e.g. "Content-Length: 2\\r\\n"."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        lines = "".join([f"{name}: {_one_line(value)}\r\n" for name, value in headers])
    return f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\n{lines}{framing}\r\n".encode("latin-1", "replace")


def _one_line(value: str) -> str:
    return value.replace("\r", " ").replace("\n", " ")
