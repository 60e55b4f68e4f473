"""Names for functions: the daemon answers on 127.0.0.1:53 of every sandbox and asks the host's resolvers.

The sockets were made inside the sandboxes, so no address of the host is reachable and no firewall rule is needed. The
messages pass through as bytes; only the names are read that mean something here: `host.lambent.internal`, `localhost`
with all below it, and those by which AWS's APIs are called.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import secrets
import socket
import struct
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOST_NAME = "host.lambent.internal"
# Where AWS's APIs are inside: an address of the loopback that nothing else uses.
APIS_ADDRESS = "127.0.0.2"
_PORT = 53
_LOOPBACK = "127.0.0.1"
_MESSAGE_BYTES_MAX = 65_535
_DATAGRAM_BYTES_MAX = 4_096
_HEADER_BYTES = 12
_RESOLVERS_MAX = 3
_ATTEMPT_SECONDS = 2.0
_TCP_SECONDS = 10.0
_QUERIES_MAX = 512
_QUERIES_PER_DOOR_MAX = 64
_CONNECTIONS_MAX = 64
_CONNECTIONS_PER_DOOR_MAX = 4
# One sandbox may ask this often; what it sends beyond waits in its own socket and is then dropped by the kernel.
_DATAGRAMS_PER_TURN = 64
_TURN_SECONDS = 0.1
_HOST_NAME_TTL_SECONDS = 60
_NO_ERROR, _FORMAT_ERROR, _SERVER_FAILURE, _NO_SUCH_NAME = 0, 1, 2, 3
_TYPE_A = 1


class DnsForwarder:
    """Asks the host's resolvers on behalf of sandboxes. Scope: node. A crash loses only questions under way.

    `resolv_conf` is read again whenever it changes. `host_ipv4` is what `host.lambent.internal` means, None when no
    port of the host is opened. With `is_open` False every other name is a SERVFAIL. `is_led` says which names are
    `APIS_ADDRESS`; None means none are.
    """

    def __init__(
        self,
        resolv_conf: Path,
        *,
        host_ipv4: str | None,
        is_open: bool,
        port: int = _PORT,
        is_led: Callable[[str], bool] | None = None,
    ) -> None:
        self._resolv_conf = resolv_conf
        self._host_ipv4 = host_ipv4
        self._is_open = is_open
        self._is_led = is_led
        self._port = port
        self._resolvers: tuple[str, ...] = ()
        self._read_at: tuple[int, int] | None = None
        self._slots = asyncio.Semaphore(_CONNECTIONS_MAX)
        self._tasks: asyncio.TaskGroup | None = None
        self.query_count = 0

    async def run(self) -> None:
        """Own the connections of DNS over TCP until cancelled; UDP needs no task."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._tasks = None

    def serve(self, datagrams: socket.socket, listener: socket.socket | None, *, has_link: bool = True) -> DnsDoor:
        """Answer on a sandbox's two sockets, which stay its own; close the door before they are closed.

        For one without a link nobody else is asked: what it may not reach it may not tell in a name either.
        """
        return DnsDoor(self, datagrams, listener, has_link=has_link)

    def answer_now(self, query: bytes, *, has_link: bool = True, is_leading: bool = True) -> bytes | None:
        """Return the answer that needs no resolver, or None when one must be asked.

        With `is_leading` False AWS's names mean what they mean elsewhere.
        """
        question = _question(query)
        if question is None:
            return _reply(query, _FORMAT_ERROR, with_question=False) if len(query) >= _HEADER_BYTES else b""
        if question.name == HOST_NAME:
            if self._host_ipv4 is None:
                return _reply(query, _NO_SUCH_NAME)
            address = self._host_ipv4 if question.kind == _TYPE_A else None
            return _reply(query, _NO_ERROR, address=address)
        if question.name == "localhost" or question.name.endswith(".localhost"):
            # RFC 6761, section 6.3: never asked of others. Function URLs are such names, and lead to AWS_ENDPOINT_URL.
            return _reply(query, _NO_ERROR, address=_LOOPBACK if question.kind == _TYPE_A else None)
        if is_leading and self._is_led is not None and self._is_led(question.name):
            return _reply(query, _NO_ERROR, address=APIS_ADDRESS if question.kind == _TYPE_A else None)
        if not has_link or not self._is_open or not self.resolvers():
            return _reply(query, _SERVER_FAILURE)
        return None

    def resolvers(self) -> tuple[str, ...]:
        """Return the addresses of the host's resolvers, at most three."""
        try:
            status = self._resolv_conf.stat()
            if self._read_at != (status.st_mtime_ns, status.st_ino):
                self._read_at = (status.st_mtime_ns, status.st_ino)
                self._resolvers = parse_resolv_conf(self._resolv_conf.read_text(errors="replace"))
        except OSError:
            self._read_at, self._resolvers = None, ()
        return self._resolvers

    @property
    def port(self) -> int:
        """The port that resolvers listen on."""
        return self._port

    def start_connection(self, door: DnsDoor, connection: socket.socket) -> bool:
        """Serve one TCP connection in a task; False when there are too many or `run` does not run."""
        if self._tasks is None or self._slots.locked():
            return False
        self._tasks.create_task(self._serve_connection(door, connection))
        return True

    async def _serve_connection(self, door: DnsDoor, connection: socket.socket) -> None:
        async with self._slots:
            try:
                async with asyncio.timeout(_TCP_SECONDS):
                    await self._answer_stream(door, connection)
            except (OSError, asyncio.IncompleteReadError, ValueError):
                pass  # a name server owes nothing to a connection that broke or says nonsense
            finally:
                connection.close()
                door.end_connection(connection)

    async def _answer_stream(self, door: DnsDoor, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            (length,) = struct.unpack("!H", await _receive_exactly(connection, 2))
            query = await _receive_exactly(connection, length)
            answer = self.answer_now(query, has_link=door.has_link, is_leading=door.is_leading)
            if answer is None:
                answer = await self._ask_by_stream(query)
            await loop.sock_sendall(connection, struct.pack("!H", len(answer)) + answer)

    async def _ask_by_stream(self, query: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        for resolver in self.resolvers():
            family = socket.AF_INET6 if ":" in resolver else socket.AF_INET
            with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as upstream:
                try:
                    async with asyncio.timeout(_ATTEMPT_SECONDS):
                        await loop.sock_connect(upstream, (resolver, self._port))
                        await loop.sock_sendall(upstream, struct.pack("!H", len(query)) + query)
                        (length,) = struct.unpack("!H", await _receive_exactly(upstream, 2))
                        return await _receive_exactly(upstream, length)
                except (OSError, asyncio.IncompleteReadError):
                    continue
        return _reply(query, _SERVER_FAILURE)


class DnsDoor:
    """One sandbox's name server. Scope: one environment. Bounded in questions under way and in questions a second."""

    def __init__(
        self, forwarder: DnsForwarder, datagrams: socket.socket, listener: socket.socket | None, *, has_link: bool
    ) -> None:
        self.has_link = has_link
        self.is_leading = True
        self._forwarder = forwarder
        self._datagrams = datagrams
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._queries: set[_Query] = set()
        self._connections: set[socket.socket] = set()
        self._turn_ends_at = 0.0
        self._left_in_turn = _DATAGRAMS_PER_TURN
        self._resume: asyncio.TimerHandle | None = None
        datagrams.setblocking(False)
        self._loop.add_reader(datagrams, self._hear)
        if listener is not None:
            listener.setblocking(False)
            self._loop.add_reader(listener, self._accept)

    def close(self) -> None:
        """Stop listening and forget all questions under way; the two sockets stay open. Idempotent."""
        self._loop.remove_reader(self._datagrams)
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener = None
        for query in list(self._queries):
            query.end()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def end_query(self, query: _Query, answer: bytes) -> None:
        """Send a resolver's answer, or our own when there was none."""
        self._queries.discard(query)
        self._send(answer, query.client)

    def forget_query(self, query: _Query) -> None:
        """Drop a question without an answer."""
        self._queries.discard(query)

    def end_connection(self, connection: socket.socket) -> None:
        """Note that a TCP connection is closed."""
        self._connections.discard(connection)

    def _hear(self) -> None:
        now = self._loop.time()
        if now >= self._turn_ends_at:
            self._turn_ends_at, self._left_in_turn = now + _TURN_SECONDS, _DATAGRAMS_PER_TURN
        while self._left_in_turn:
            try:
                query, client = self._datagrams.recvfrom(_DATAGRAM_BYTES_MAX)
            except OSError:
                return
            self._left_in_turn -= 1
            self._take(query, client)
        self._loop.remove_reader(self._datagrams)
        self._resume = self._loop.call_at(self._turn_ends_at, self._listen_again)

    def _listen_again(self) -> None:
        self._resume = None
        self._loop.add_reader(self._datagrams, self._hear)

    def _take(self, query: bytes, client: tuple[str, int]) -> None:
        answer = self._forwarder.answer_now(query, has_link=self.has_link, is_leading=self.is_leading)
        if answer is None and len(self._queries) >= _QUERIES_PER_DOOR_MAX:
            answer = _reply(query, _SERVER_FAILURE)
        if answer is None and self._forwarder.query_count >= _QUERIES_MAX:
            answer = _reply(query, _SERVER_FAILURE)
        if answer is None:
            self._queries.add(_Query(self._forwarder, self, query, client))
        elif answer:
            self._send(answer, client)

    def _send(self, answer: bytes, client: tuple[str, int]) -> None:
        with contextlib.suppress(OSError):
            self._datagrams.sendto(answer, client)

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        is_room = len(self._connections) < _CONNECTIONS_PER_DOOR_MAX
        if is_room and self._forwarder.start_connection(self, connection):
            self._connections.add(connection)
        else:
            connection.close()


class _Query:
    """One question under way: its own socket (an unguessable port), its own id, one resolver after the other."""

    def __init__(self, forwarder: DnsForwarder, door: DnsDoor, query: bytes, client: tuple[str, int]) -> None:
        self.client = client
        self._forwarder = forwarder
        self._door = door
        self._query = query
        self._id = secrets.token_bytes(2)
        self._loop = asyncio.get_running_loop()
        self._untried = list(forwarder.resolvers())
        self._socket: socket.socket | None = None
        self._deadline: asyncio.TimerHandle | None = None
        forwarder.query_count += 1
        # Not at once: whoever makes a question must have noted it before it can end.
        self._deadline = self._loop.call_later(0, self._ask_next)

    def end(self) -> None:
        """Drop the question."""
        self._release()
        self._forwarder.query_count -= 1
        self._door.forget_query(self)

    def _ask_next(self) -> None:
        self._release()
        while self._untried:
            resolver = self._untried.pop(0)
            family = socket.AF_INET6 if ":" in resolver else socket.AF_INET
            upstream = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            try:
                upstream.connect((resolver, self._forwarder.port))
                upstream.send(self._id + self._query[2:])
            except OSError:
                upstream.close()
                continue
            self._socket = upstream
            self._loop.add_reader(upstream, self._hear)
            self._deadline = self._loop.call_later(_ATTEMPT_SECONDS, self._ask_next)
            return
        self._finish(_reply(self._query, _SERVER_FAILURE))

    def _hear(self) -> None:
        if self._socket is None:
            return
        try:
            answer = self._socket.recv(_MESSAGE_BYTES_MAX)
        except BlockingIOError:
            return
        except OSError:
            self._ask_next()
            return
        if len(answer) >= _HEADER_BYTES and answer[:2] == self._id and answer[2] & 0x80:
            self._finish(self._query[:2] + answer[2:])

    def _finish(self, answer: bytes) -> None:
        self._release()
        self._forwarder.query_count -= 1
        self._door.end_query(self, answer)

    def _release(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None


class _Question(Struct, frozen=True):
    name: str
    kind: int
    end: int


def parse_resolv_conf(text: str) -> tuple[str, ...]:
    """Return the resolvers' addresses, at most three; what is no address is left out. Source: resolv.conf(5)."""
    found: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            with contextlib.suppress(ValueError):
                found.append(str(ipaddress.ip_address(words[1])))
    return tuple(found[:_RESOLVERS_MAX])


def _question(query: bytes) -> _Question | None:
    """Read the one question of a query; None when it is anything else."""
    if len(query) < _HEADER_BYTES + 5 or query[2] & 0x80 or struct.unpack_from("!H", query, 4)[0] != 1:
        return None
    labels: list[bytes] = []
    at = _HEADER_BYTES
    while at < len(query) and query[at]:
        length = query[at]
        if length > 63 or len(labels) > 127:
            return None
        labels.append(query[at + 1 : at + 1 + length])
        at += 1 + length
    if at + 5 > len(query):
        return None
    name = b".".join(labels).decode("latin-1").lower()
    return _Question(name, struct.unpack_from("!H", query, at + 1)[0], at + 5)


def _reply(query: bytes, code: int, *, address: str | None = None, with_question: bool = True) -> bytes:
    question = _question(query) if with_question else None
    echoed = query[_HEADER_BYTES : question.end] if question is not None else b""
    flags = 0x8080 | (query[2] & 0x79) << 8 | code
    counts = (1 if echoed else 0, 1 if address else 0, 0, 0)
    header = query[:2] + struct.pack("!HHHHH", flags, *counts)
    if address is None:
        return header + echoed
    # The name is a pointer to the question's.
    record = struct.pack("!HHHIH", 0xC00C, _TYPE_A, 1, _HOST_NAME_TTL_SECONDS, 4) + socket.inet_aton(address)
    return header + echoed + record


async def _receive_exactly(connection: socket.socket, count: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < count:
        piece = await loop.sock_recv(connection, count - len(data))
        if not piece:
            raise asyncio.IncompleteReadError(data, count)
        data += piece
    return data
