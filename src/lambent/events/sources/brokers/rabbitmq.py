"""RabbitMQ over AMQP 0-9-1. A batch that failed goes back to its queue: the broker counts, and dead-letters."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, cast

from lambent.events.sources.brokers.inbox import Inbox
from lambent.events.sources.brokers.rabbitmq_records import rabbitmq_record
from lambent.events.sources.source import SourceError, Trouble

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from aiormq import Channel
    from aiormq.abc import DeliveredMessage

    from lambent.clock import Clock
    from lambent.events.sources.brokers.addresses import BrokerAddress, Login
    from lambent.events.sources.source import SourceRecord
    from lambent.model.configs.event_source import EventSourceMapping

_OPEN_SECONDS = 15.0
_CLOSE_SECONDS = 5.0
# A broker that is silent for three of them is lost.
_HEARTBEAT_SECONDS = 10
# The library's queue of frames is read by nobody any more when a connection breaks.
_SETTLE_SECONDS = 30.0
_LOOK_SECONDS = 5.0
# The broker's own bound of the field.
_PREFETCH_MAX = 65_535
_MISSING = "RabbitMQ needs the package aiormq: pip install 'lambent[mq]'"


class RabbitMq:
    """One consumer of one queue. Scope: mapping and connection.

    Source: developer guide: of RabbitMQ one batch at a time is with the function.
    """

    concurrency_max = 1
    failed_seconds: Sequence[float] = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

    def __init__(self, mapping: EventSourceMapping, address: BrokerAddress, login: Login, clock: Clock) -> None:
        """Raises SourceError when the library is not installed."""
        try:
            import aiormq
        except ImportError as error:
            raise SourceError(_MISSING, is_lasting=True) from error
        self._library = aiormq
        self.inbox = Inbox(clock)
        self._mapping = mapping
        self._queue = (mapping.queues or ("",))[0]
        self._address = address
        self._login = login
        self._connection: aiormq.Connection | None = None
        self._channel: Channel | None = None
        self._tag = f"lambent-{mapping.uuid}"

    async def open(self) -> None:
        """See Broker."""
        await self._bounded(self._open(), _OPEN_SECONDS)

    async def watch(self) -> None:
        """See Broker."""
        assert self._connection is not None
        assert self._channel is not None
        while True:
            done, _ = await asyncio.wait(
                (self._connection.closing, self._channel.closing),
                timeout=_LOOK_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if done:
                first = next(iter(done))
                error = None if first.cancelled() else first.exception()
                lost = SourceError(f"{self._place}: the connection was lost")
                self.inbox.fail(lost if error is None else self._error(error))
                return
            if self._tag not in self._channel.consumers:
                # The broker takes consumers away from a queue that is deleted; nobody else says so.
                self.inbox.fail(self._no_queue())
                return

    async def remove(self, records: Sequence[SourceRecord]) -> None:
        """See Broker."""
        await self._each(records, lambda channel, tag, wait: channel.basic_ack(tag, wait=wait))

    async def refuse(self, records: Sequence[SourceRecord]) -> None:
        """See Broker."""
        await self._each(records, lambda channel, tag, wait: channel.basic_nack(tag, requeue=False, wait=wait))

    async def failed(self, records: Sequence[SourceRecord], tries: int) -> Sequence[SourceRecord] | None:
        """See Broker."""
        await self._each(records, lambda channel, tag, wait: channel.basic_nack(tag, requeue=True, wait=wait))
        return None

    async def close(self) -> None:
        """See Broker."""
        if self._connection is None:
            return
        with contextlib.suppress(SourceError):
            # Whatever it says: what was not acknowledged goes back.
            await self._bounded(self._connection.close(), _CLOSE_SECONDS)

    def event(self, records: Sequence[SourceRecord]) -> dict[str, Any]:
        """See Broker. Source: developer guide, "Example Amazon MQ record events", RabbitMQ."""
        name = f"{self._queue}::{self._login.virtual_host}"
        return {
            "eventSource": "aws:rmq",
            "eventSourceArn": self._mapping.event_source_arn,
            "rmqMessagesByQueue": {name: [record.document for record in records]},
        }

    @property
    def _place(self) -> str:
        return f"RabbitMQ at {self._address.host}:{self._address.port}"

    async def _open(self) -> None:
        from yarl import URL

        address, login = self._address, self._login
        url = URL.build(
            scheme=address.scheme, user=login.user, password=login.password, host=address.host, port=address.port,
            query={"heartbeat": str(_HEARTBEAT_SECONDS)},
        )  # fmt: skip
        connection = self._library.Connection(url, context=await address.tls())
        connection.vhost = login.virtual_host
        await connection.connect()
        self._connection = connection
        self._channel = channel = cast("Channel", await connection.channel(publisher_confirms=False))
        # One batch is with the function while the next one is gathered.
        prefetch = min(2 * (self._mapping.batch_size or 1), _PREFETCH_MAX)
        await channel.basic_qos(prefetch_count=prefetch)
        await channel.basic_consume(self._queue, self._received, consumer_tag=self._tag)

    async def _received(self, message: DeliveredMessage) -> None:
        self.inbox.put(rabbitmq_record(message))

    async def _each(
        self, records: Sequence[SourceRecord], settle: Callable[[Channel, int, bool], Awaitable[None]]
    ) -> None:
        """Settle record by record; return when the last one is written. Raises SourceError."""
        channel = self._channel
        assert channel is not None

        async def settle_all() -> None:
            for record in records:
                if channel.is_closed:
                    raise SourceError(f"{self._place}: the connection was lost")
                await settle(channel, int(record.receipt), record is records[-1])

        await self._bounded(settle_all(), _SETTLE_SECONDS)

    async def _bounded(self, work: Awaitable[object], seconds: float) -> None:
        """Do something with the library. Raises SourceError, whatever goes wrong."""
        try:
            async with asyncio.timeout(seconds):
                await work
        except TimeoutError as error:
            raise SourceError(f"{self._place} does not answer") from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody has cancelled this task: the library ends its own waits so when a connection breaks.
            raise self._error(error) from error
        except (self._library.AMQPError, OSError, RuntimeError, ValueError) as error:
            raise self._error(error) from error

    def _error(self, error: BaseException) -> SourceError:
        """Return a refusal or a loss in the poller's words."""
        library = self._library.exceptions
        if isinstance(error, SourceError):
            return error
        if isinstance(error, asyncio.CancelledError):
            # So the library ends what belongs to a connection that it gave up.
            return SourceError(f"{self._place}: the connection was lost")
        if isinstance(error, library.ProbableAuthenticationError | library.AuthenticationError):
            return SourceError(f"{self._place} refused user name and password", trouble=Trouble.AUTHENTICATION)
        if isinstance(error, library.ChannelNotFoundEntity):
            return self._no_queue()
        if isinstance(error, library.InvalidFrameError):
            # The library does not hand on what the broker says when it closes instead of opening the virtual host.
            host, user = self._login.virtual_host, self._login.user
            text = f"there is no virtual host {host}, or {user} may not enter it"
            return SourceError(f"{self._place}: {text}", trouble=Trouble.CONFIG)
        is_forbidden = isinstance(error, library.ChannelAccessRefused)
        text = ": ".join(str(one) for one in error.args) or type(error).__name__
        return SourceError(f"{self._place}: {text}", trouble=Trouble.AUTHORIZATION if is_forbidden else None)

    def _no_queue(self) -> SourceError:
        host = self._login.virtual_host
        return SourceError(f"{self._place}: no queue {self._queue} in virtual host {host}", trouble=Trouble.CONFIG)
