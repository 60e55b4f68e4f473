"""Batches over real sockets: cut, delivered in order, tried again, dropped and said."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from lambent.environments.extensions.subscriber import Subscriber
from lambent.environments.extensions.subscriptions import Api, Category, Destination, Subscription
from tests.loops import run_apart

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.slow


class Network:
    """The test's own loopback."""

    async def wait_running(self) -> None:
        return

    async def make_socket(self) -> socket.socket:
        made = socket.socket()
        made.setblocking(False)
        return made

    def now_text(self) -> str:
        return "now"


class Listener:
    """Answers `statuses` one after another, the last for ever."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.bodies: list[bytes] = []
        self.got = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await reader.readexactly(size)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status == 200:
            self.bodies.append(body)
            self.got.set()
        writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()


def subscription(port: int, path: str | None = "/", **changes: Any) -> Subscription:
    values: dict[str, Any] = {"items_max": 1_000, "bytes_max": 262_144, "timeout_ms": 25, **changes}
    return Subscription(Api.TELEMETRY, "e", "2022-12-13", tuple(Category), Destination(port, path), **values)


def with_listener(listener: Any, scenario: Callable[[Subscriber], Awaitable[None]], **changes: Any) -> None:
    async def main() -> None:
        server = await asyncio.start_server(listener, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            subscriber = Subscriber(subscription(port, **changes), Network())
            tasks.create_task(subscriber.run())
            await scenario(subscriber)
            subscriber.end()
        server.close()
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.01)

    run_apart(main())


def test_a_batch_is_cut_when_its_time_is_over() -> None:
    listener = Listener(200)

    async def scenario(subscriber: Subscriber) -> None:
        subscriber.add(b'{"a":1}')
        subscriber.add(b'{"a":2}')
        assert not subscriber.is_empty
        await subscriber.wait_empty()
        assert [json.loads(body) for body in listener.bodies] == [[{"a": 1}, {"a": 2}]]

    with_listener(listener, scenario)


def test_a_batch_is_cut_when_it_is_full() -> None:
    listener = Listener(200)

    async def scenario(subscriber: Subscriber) -> None:
        for number in range(2_500):
            subscriber.add(b"%d" % number)
        await subscriber.wait_empty()
        assert [len(json.loads(body)) for body in listener.bodies] == [1_000, 1_000, 500]
        assert [item for body in listener.bodies for item in json.loads(body)] == list(range(2_500))

    with_listener(listener, scenario, timeout_ms=30_000)


def test_what_is_refused_is_tried_again_in_order() -> None:
    listener = Listener(500, 503, 200)

    async def scenario(subscriber: Subscriber) -> None:
        subscriber.add(b"1")
        subscriber.cut()
        subscriber.add(b"2")
        await subscriber.wait_empty()
        assert listener.bodies == [b"[1]", b"[2]"]

    with_listener(listener, scenario)


def test_what_is_given_up_is_said_with_the_next() -> None:
    listener = Listener(500, 500, 500, 200)

    async def scenario(subscriber: Subscriber) -> None:
        subscriber.add(b'"lost"')
        await subscriber.wait_empty()
        subscriber.add(b'"kept"')
        await subscriber.wait_empty()
        kept, dropped = json.loads(listener.bodies[0])
        assert kept == "kept"
        assert dropped["type"] == "platform.logsDropped"
        assert dropped["record"]["droppedRecords"] == 1
        assert dropped["record"]["droppedBytes"] == 6

    with_listener(listener, scenario)


def test_what_was_said_in_a_batch_that_is_lost_is_said_again() -> None:
    listener = Listener(*[500] * 6, 200)

    async def scenario(subscriber: Subscriber) -> None:
        for word in (b'"first"', b'"second"', b'"kept"'):
            subscriber.add(word)
            await subscriber.wait_empty()
        kept, dropped = json.loads(listener.bodies[0])
        assert kept == "kept"
        assert dropped["record"]["droppedRecords"] == 2
        assert dropped["record"]["droppedBytes"] == 15

    with_listener(listener, scenario)


def test_who_never_answers_gets_no_more_than_fits() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
                subscriber = Subscriber(subscription(deaf.getsockname()[1]), Network())
                tasks.create_task(subscriber.run())
                for _ in range(100):
                    subscriber.add(b'"' + b"x" * 99_998 + b'"')
                assert subscriber._waiting_bytes <= 4 * 262_144
                assert subscriber._dropped_records == 90
                subscriber.end()

    run_apart(main())


def test_lines_over_tcp() -> None:
    lines: list[bytes] = []

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            lines.append(line)
        writer.close()

    async def scenario(subscriber: Subscriber) -> None:
        subscriber.add(b"1")
        await subscriber.wait_empty()
        subscriber.add(b"2")
        await subscriber.wait_empty()
        while len(lines) < 2:
            await asyncio.sleep(0.01)
        assert lines == [b"1\n", b"2\n"]

    with_listener(read, scenario, path=None)


def test_nobody_listens() -> None:
    async def main() -> None:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
                subscriber = Subscriber(subscription(bound.getsockname()[1]), Network())
                tasks.create_task(subscriber.run())
                subscriber.add(b"1")
                await subscriber.wait_empty()
                assert subscriber._dropped_records == 1
                subscriber.end()

    run_apart(main())
