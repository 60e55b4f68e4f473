"""ActiveMQ over STOMP. A batch that failed is redelivered here, as AWS's consumer does it, then dead-lettered."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from lambent.events.sources.brokers.inbox import Inbox
from lambent.events.sources.brokers.stomp import Frame, StompConnection, StompError
from lambent.events.sources.source import SourceError, SourceRecord, Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lambent.clock import Clock
    from lambent.events.sources.brokers.addresses import BrokerAddress, Login
    from lambent.model.configs.event_source import EventSourceMapping

_OPEN_SECONDS = 15.0
_CLOSE_SECONDS = 5.0
# Source: developer guide, "Troubleshoot Amazon MQ event source mapping errors": ActiveMQ's default redelivery policy
# (a second before each), with maximumRedeliveries 6.
_REDELIVERIES_MAX = 6
_SUBSCRIPTION = "lambent"
# Source: ActiveMQ, "Stomp": what a consumer leaves with it, counted in messages.
_PREFETCH_MAX = 32_766
# Headers that are of STOMP and of JMS itself; all others are properties of the message.
_OWN = frozenset(
    (
        "ack", "content-length", "content-type", "correlation-id", "destination", "expires", "message-id", "persistent",
        "priority", "receipt", "redelivered", "reply-to", "subscription", "timestamp", "transaction", "type",
    )
)  # fmt: skip
_KINDS = ("/queue/", "/topic/", "/temp-queue/", "/temp-topic/")


class ActiveMq:
    """One consumer of one queue. Scope: mapping and connection.

    Source: developer guide: of ActiveMQ five batches may be with the function at one time.
    """

    concurrency_max = 5
    failed_seconds: Sequence[float] = (1.0,)

    def __init__(self, mapping: EventSourceMapping, address: BrokerAddress, login: Login, clock: Clock) -> None:
        self.inbox = Inbox(clock)
        self._clock = clock
        self._mapping = mapping
        self._queue = (mapping.queues or ("",))[0]
        self._address = address
        self._login = login
        self._connection = StompConnection()

    async def open(self) -> None:
        """See Broker."""
        address, login = self._address, self._login
        prefetch = min((self.concurrency_max + 1) * (self._mapping.batch_size or 1), _PREFETCH_MAX)
        subscription = {
            "id": _SUBSCRIPTION,
            "destination": f"/queue/{self._queue}",
            "ack": "client-individual",
            "activemq.prefetchSize": str(prefetch),
            # ActiveMQ answers when it has subscribed; a refusal comes instead.
            "receipt": _SUBSCRIPTION,
        }
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                tls = await address.tls()
                await self._connection.open(address.host, address.port, tls, (login.user, login.password))
                await self._connection.send(Frame("SUBSCRIBE", subscription))
                while (frame := await self._connection.read()) is None or frame.command != "RECEIPT":
                    if frame is None:
                        raise StompError("the connection was closed")
                    self._take(frame)
        except TimeoutError as error:
            raise SourceError(f"{self._place} does not answer") from error
        except (StompError, OSError, ValueError) as error:
            raise self._error(error) from error

    async def watch(self) -> None:
        """See Broker."""
        try:
            async with asyncio.TaskGroup() as tasks:
                beating = tasks.create_task(self._beat())
                while (frame := await self._connection.read()) is not None:
                    self._take(frame)
                beating.cancel()
            self.inbox.fail(SourceError(f"{self._place}: the connection was lost"))
        except* StompError as errors:
            self.inbox.fail(self._error(errors.exceptions[0]))

    async def remove(self, records: Sequence[SourceRecord]) -> None:
        """See Broker."""
        await self._each("ACK", records)

    async def refuse(self, records: Sequence[SourceRecord]) -> None:
        """See Broker. Source: ActiveMQ, "Stomp": a NACK sends a message to the dead-letter queue."""
        await self._each("NACK", records)

    async def failed(self, records: Sequence[SourceRecord], tries: int) -> Sequence[SourceRecord] | None:
        """See Broker."""
        if tries > _REDELIVERIES_MAX:
            await self.refuse(records)
            return None
        return [replace(one, document={**one.document, "redelivered": True}) for one in records]

    async def close(self) -> None:
        """See Broker."""
        with contextlib.suppress(TimeoutError, OSError, StompError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._connection.send(Frame("DISCONNECT", {}))
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._connection.close()

    def event(self, records: Sequence[SourceRecord]) -> dict[str, Any]:
        """See Broker. Source: developer guide, "Example Amazon MQ record events", ActiveMQ."""
        return {
            "eventSource": "aws:mq",
            "eventSourceArn": self._mapping.event_source_arn,
            "messages": [record.document for record in records],
        }

    @property
    def _place(self) -> str:
        return f"ActiveMQ at {self._address.host}:{self._address.port}"

    def _take(self, frame: Frame) -> None:
        if frame.command == "MESSAGE":
            self.inbox.put(activemq_record(frame, self._clock.time_ms()))

    async def _beat(self) -> None:
        seconds = self._connection.send_seconds
        while seconds is not None:
            await asyncio.sleep(seconds)
            await self._connection.beat()

    async def _each(self, command: str, records: Sequence[SourceRecord]) -> None:
        try:
            await self._connection.send(*(Frame(command, {"id": record.receipt}) for record in records))
        except StompError as error:
            raise self._error(error) from error

    def _error(self, error: Exception) -> SourceError:
        text = str(error) or type(error).__name__
        trouble = None
        if isinstance(error, StompError) and error.is_refusal:
            # Source: ActiveMQ's SimpleAuthenticationBroker and AuthorizationBroker, as observed.
            if "password" in text or "credentials" in text:
                trouble = Trouble.AUTHENTICATION
            elif "not authorized" in text:
                trouble = Trouble.AUTHORIZATION
        return SourceError(f"{self._place}: {text}", trouble=trouble)


def activemq_record(frame: Frame, now_ms: int) -> SourceRecord:
    """Return a MESSAGE frame as a record; its receipt is what acknowledges it. `now_ms`: when it came.

    ActiveMQ gives bytes messages a length, and text messages none. STOMP has no time at which the broker took a message
    in: that is when it was sent. AWS's guide names the correlation id in three ways over the years, its libraries
    read each of them: so all are there.
    """
    headers = frame.headers
    timestamp_ms = _number(headers.get("timestamp"))
    correlation = headers.get("correlation-id")
    document: dict[str, Any] = {
        "messageID": headers.get("message-id"),
        "messageType": "jms/bytes-message" if "content-length" in headers else "jms/text-message",
        "deliveryMode": 2 if headers.get("persistent") == "true" else 1,
        "replyTo": _destination(headers.get("reply-to")),
        "type": headers.get("type"),
        "expiration": _number(headers.get("expires")),
        "priority": _number(headers.get("priority")),
        "correlationId": correlation,
        "correlationID": correlation,
        "connectionId": correlation,
        "redelivered": headers.get("redelivered") == "true",
        "destination": {"physicalName": (_destination(headers.get("destination")) or "").partition("://")[2]},
        "data": base64.b64encode(frame.body).decode(),
        "timestamp": timestamp_ms,
        "brokerInTime": timestamp_ms,
        "brokerOutTime": now_ms,
        "properties": {name: value for name, value in headers.items() if name not in _OWN},
    }
    try:
        text: str | None = frame.body.decode()
    except ValueError:
        text = None
    size_bytes = len(json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode())
    receipt = headers.get("ack", headers.get("message-id", ""))
    return SourceRecord(document, {**document, "data": text}, document["messageID"] or "", size_bytes, receipt)


def _destination(text: str | None) -> str | None:
    """Return a destination as JMS writes it: /queue/a is queue://a."""
    for kind in _KINDS:
        if text is not None and text.startswith(kind):
            return f"{kind.strip('/')}://{text[len(kind) :]}"
    return text


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.lstrip("-").isdigit() else 0
