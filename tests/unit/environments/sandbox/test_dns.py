"""The name server of the sandboxes, with real sockets on loopback."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import pytest

from lambent.environments.sandbox.dns import APIS_ADDRESS, HOST_NAME, DnsForwarder, parse_resolv_conf
from tests.loops import run_apart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from pathlib import Path

RESOLVERS = "nameserver 127.0.0.1\n"


def run(test: Coroutine[None, None, None]) -> None:
    run_apart(test)


def query(name: str, kind: int = 1, identifier: int = 0x1234) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", identifier, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def code(answer: bytes) -> int:
    return answer[3] & 0x0F


class Resolver(asyncio.DatagramProtocol):
    """A resolver of the test's own: answers the question with a tail that names it, or stays silent."""

    def __init__(self, *, is_silent: bool = False) -> None:
        self.is_silent = is_silent
        self.asked: list[bytes] = []
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        self.asked.append(data)
        if self.is_silent or self.transport is None:
            return
        wrong_id = bytes([data[0] ^ 1, data[1]])
        self.transport.sendto(wrong_id + b"\x81\x80" + data[4:] + b"forged", addr)
        self.transport.sendto(data[:2] + b"\x81\x80" + data[4:] + b"answer", addr)


@asynccontextmanager
async def resolver_on(host: str = "127.0.0.1", port: int = 0, *, is_silent: bool = False) -> AsyncIterator[Resolver]:
    loop = asyncio.get_running_loop()
    transport, resolver = await loop.create_datagram_endpoint(
        lambda: Resolver(is_silent=is_silent), local_addr=(host, port)
    )
    try:
        yield resolver
    finally:
        transport.close()


def port_of(resolver: Resolver) -> int:
    assert resolver.transport is not None
    name: tuple[str, int] = resolver.transport.get_extra_info("sockname")
    return name[1]


class Client:
    """What runs inside: a socket that asks the door's."""

    def __init__(self) -> None:
        self.door_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.door_socket.bind(("127.0.0.1", 0))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(self.door_socket.getsockname())
        self._socket.setblocking(False)

    def send(self, data: bytes) -> None:
        self._socket.send(data)

    async def receive(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self._socket, 65_535)

    async def ask(self, data: bytes) -> bytes:
        self.send(data)
        return await self.receive()

    def close(self) -> None:
        for each in (self.door_socket, self.listener, self._socket):
            each.close()


@asynccontextmanager
async def door(forwarder: DnsForwarder) -> AsyncIterator[Client]:
    client = Client()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(forwarder.run())
        await asyncio.sleep(0)
        served = forwarder.serve(client.door_socket, client.listener)
        try:
            yield client
        finally:
            served.close()
            served.close()
            client.close()
            task.cancel()


def resolv_conf(directory: Path, text: str = RESOLVERS) -> Path:
    path = directory / "resolv.conf"
    path.write_text(text)
    return path


def test_a_question_is_passed_on_with_an_id_of_our_own_and_the_answer_back_with_theirs(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with resolver_on() as resolver:
            forwarder = DnsForwarder(resolv_conf(tmp_path), host_ipv4=None, is_open=True, port=port_of(resolver))
            async with door(forwarder) as client:
                asked = query("example.com")
                answer = await client.ask(asked)
                assert answer == asked[:2] + b"\x81\x80" + asked[4:] + b"answer"
                assert resolver.asked[0][2:] == asked[2:]
                assert forwarder.query_count == 0

    run(scenario())


def test_the_next_resolver_is_asked_when_one_refuses(tmp_path: Path) -> None:
    async def scenario() -> None:
        text = "# a comment\nnameserver 127.0.0.2\nnameserver nonsense\nnameserver 127.0.0.3\n"
        async with resolver_on("127.0.0.3") as resolver:
            path = resolv_conf(tmp_path, text)
            forwarder = DnsForwarder(path, host_ipv4=None, is_open=True, port=port_of(resolver))
            async with door(forwarder) as client:
                assert (await client.ask(query("example.com"))).endswith(b"answer")

    run(scenario())


def test_without_an_answer_the_question_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        monkeypatch.setattr("lambent.environments.sandbox.dns._ATTEMPT_SECONDS", 0.01)
        async with resolver_on(is_silent=True) as resolver:
            forwarder = DnsForwarder(resolv_conf(tmp_path), host_ipv4=None, is_open=True, port=port_of(resolver))
            async with door(forwarder) as client:
                answer = await client.ask(query("example.com"))
                assert code(answer) == 2
                assert answer[:2] == b"\x12\x34"
                assert forwarder.query_count == 0

    run(scenario())


@pytest.mark.parametrize(
    ("kind", "expected_code", "has_address"),
    [(1, 0, True), (28, 0, False), (16, 0, False)],
)
def test_the_hosts_own_name(tmp_path: Path, kind: int, expected_code: int, has_address: bool) -> None:
    async def scenario() -> None:
        forwarder = DnsForwarder(resolv_conf(tmp_path), host_ipv4="198.18.0.1", is_open=False)
        async with door(forwarder) as client:
            answer = await client.ask(query(HOST_NAME.upper(), kind))
            assert code(answer) == expected_code
            assert struct.unpack_from("!H", answer, 6)[0] == int(has_address)
            assert answer.endswith(socket.inet_aton("198.18.0.1")) is has_address

    run(scenario())


@pytest.mark.parametrize(("kind", "has_address"), [(1, True), (28, False)])
def test_names_below_localhost_are_never_asked(tmp_path: Path, kind: int, has_address: bool) -> None:
    async def scenario() -> None:
        async with door(DnsForwarder(resolv_conf(tmp_path), host_ipv4=None, is_open=False)) as client:
            for name in ("localhost", "id.lambda-url.us-east-1.LOCALHOST"):
                answer = await client.ask(query(name, kind))
                assert code(answer) == 0
                assert answer.endswith(socket.inet_aton("127.0.0.1")) is has_address
            assert code(await client.ask(query("notlocalhost"))) == 2

    run(scenario())


def test_closed_egress_fails_at_once_and_knows_no_host(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with door(DnsForwarder(resolv_conf(tmp_path), host_ipv4=None, is_open=False)) as client:
            assert code(await client.ask(query("example.com"))) == 2
            assert code(await client.ask(query(HOST_NAME))) == 3

    run(scenario())


def test_without_a_resolver_names_fail_until_there_is_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "resolv.conf"
        async with resolver_on() as resolver:
            forwarder = DnsForwarder(path, host_ipv4=None, is_open=True, port=port_of(resolver))
            async with door(forwarder) as client:
                assert code(await client.ask(query("example.com"))) == 2
                resolv_conf(tmp_path)
                assert (await client.ask(query("example.com"))).endswith(b"answer")

    run(scenario())


@pytest.mark.parametrize(
    "nonsense",
    [
        query("a.b")[:2] + b"\x81\x80" + query("a.b")[4:],
        query("a.b")[:4] + b"\0\2" + query("a.b")[6:],
        query("a.b")[:-3],
        query("a.b")[:12] + b"\xc0\x0c\0\1\0\1",
        os.urandom(2) + b"\0" * 10,
    ],
)
def test_nonsense_is_a_format_error(tmp_path: Path, nonsense: bytes) -> None:
    async def scenario() -> None:
        async with door(DnsForwarder(resolv_conf(tmp_path), host_ipv4=None, is_open=True)) as client:
            client.send(b"x")
            assert code(await client.ask(nonsense)) == 1

    run(scenario())


def test_a_flood_is_bounded_and_answers_resume(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with resolver_on(is_silent=True) as resolver:
            forwarder = DnsForwarder(resolv_conf(tmp_path), host_ipv4=None, is_open=True, port=port_of(resolver))
            async with door(forwarder) as client:
                for number in range(150):
                    client.send(query("example.com", identifier=number))
                # Over the bound of questions under way, which nobody answers, the rest fails at once.
                for _ in range(150 - 64):
                    assert code(await client.receive()) == 2
                assert forwarder.query_count == 64
        assert forwarder.query_count == 0

    run(scenario())


def test_names_by_tcp(tmp_path: Path) -> None:
    async def answer_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        asked = await reader.readexactly(length)
        answer = asked[:2] + b"\x81\x80" + asked[4:] + b"x" * 5_000
        writer.write(struct.pack("!H", len(answer)) + answer)
        await writer.drain()
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(answer_stream, "127.0.0.1", 0)
        port: int = server.sockets[0].getsockname()[1]
        async with door(DnsForwarder(resolv_conf(tmp_path), host_ipv4=None, is_open=True, port=port)) as client:
            reader, writer = await asyncio.open_connection(*client.listener.getsockname())
            for _ in range(2):
                asked = query("example.com")
                writer.write(struct.pack("!H", len(asked)) + asked)
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                assert (await reader.readexactly(length)).endswith(b"x" * 5_000)
            writer.close()
            await writer.wait_closed()
        server.close()
        await server.wait_closed()

    run(scenario())


def test_tcp_connections_are_bounded(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with door(DnsForwarder(resolv_conf(tmp_path), host_ipv4=None, is_open=True)) as client:
            streams = [await asyncio.open_connection(*client.listener.getsockname()) for _ in range(5)]
            reader, _ = streams[-1]
            assert await reader.read() == b""
            for _, writer in streams:
                writer.close()

    run(scenario())


def test_resolv_conf_gives_at_most_three_addresses() -> None:
    text = "search x\nnameserver 10.0.0.1\nnameserver\nnameserver fe80::1%eth0\n;nameserver 9.9.9.9\n" + RESOLVERS * 3
    assert parse_resolv_conf(text) == ("10.0.0.1", "fe80::1%eth0", "127.0.0.1")


@pytest.mark.parametrize(("kind", "has_address"), [(1, True), (28, False), (65, False)])
def test_names_that_lead_here_are_never_asked(tmp_path: Path, kind: int, has_address: bool) -> None:
    async def scenario() -> None:
        async with resolver_on() as resolver:
            forwarder = DnsForwarder(
                resolv_conf(tmp_path),
                host_ipv4=None,
                is_open=True,
                port=port_of(resolver),
                is_led=lambda name: name.endswith(".amazonaws.com"),
            )
            async with door(forwarder) as client:
                answer = await client.ask(query("SQS.us-east-1.amazonaws.com", kind))
                assert code(answer) == 0
                assert answer.endswith(socket.inet_aton(APIS_ADDRESS)) is has_address
                assert resolver.asked == []
                assert (await client.ask(query("example.com", kind))).endswith(b"answer")

    run(scenario())


def test_who_has_no_link_asks_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with resolver_on() as resolver:
            forwarder = DnsForwarder(
                resolv_conf(tmp_path),
                host_ipv4=None,
                is_open=True,
                port=port_of(resolver),
                is_led=lambda name: name == "here.amazonaws.com",
            )
            assert code(forwarder.answer_now(query("example.com"), has_link=False) or b"") == 2
            led = forwarder.answer_now(query("here.amazonaws.com"), has_link=False)
            assert led is not None
            assert led.endswith(socket.inet_aton(APIS_ADDRESS))
            # Roots of images do not trust who answers here.
            assert forwarder.answer_now(query("here.amazonaws.com"), is_leading=False) is None
            assert resolver.asked == []

    run(scenario())
