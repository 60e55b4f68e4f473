"""Sending messages to queues, topics, buses, buckets and functions: for events that ended, and for event sources."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, NamedTuple

from lambent.events.queue_urls import QueueUrls
from lambent.model.arn import parse_function_name
from lambent.model.errors import LambdaError, ServiceError
from lambent.wire.client import CallError, Principal
from lambent.wire.error_forms import NeighbourError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lambent.model.arn import FunctionArn
    from lambent.wire.client import OutwardClient

# Refusals that pass: the services' own words for "too fast" and "not now".
_PASSING_CODES = frozenset(
    {"Throttling", "ThrottlingException", "RequestThrottled", "KMSThrottlingException", "SlowDown", "RequestTimeout"}
    | {"InternalFailure", "InternalError", "ServiceUnavailable", "InternalException", "TooManyRequestsException"}
)


class Attribute(NamedTuple):
    """A message attribute of SQS and SNS."""

    name: str
    data_type: str
    value: str


class Message(NamedTuple):
    """What is sent. `body` is JSON text; `object_key` names it in a bucket, `detail_type` and `resources` on a bus."""

    body: bytes
    at_ms: int
    attributes: tuple[Attribute, ...] = ()
    object_key: str = ""
    detail_type: str = ""
    resources: tuple[str, ...] = ()
    trace_header: str | None = None


class DestinationError(Exception):
    """A message was not taken. `is_final`: it never will be, so trying again is of no use."""

    def __init__(self, text: str, *, is_final: bool) -> None:
        super().__init__(text)
        self.is_final = is_final


class Destinations:
    """Sends in the name of an account. Scope: node. Keeps nothing but the memory of its `queue_urls`.

    `enqueue(function, payload, trace_header)` is how a function that is the destination gets its event.
    """

    def __init__(
        self, client: OutwardClient, enqueue: Callable[[FunctionArn, bytes, str | None], Awaitable[None]]
    ) -> None:
        self._client = client
        self._enqueue = enqueue
        self.queue_urls = QueueUrls(client)
        self._senders: dict[str, Callable[[_Target, Message, Principal], Awaitable[None]]] = {
            "sqs": self._send_to_queue,
            "sns": self._send_to_topic,
            "events": self._send_to_bus,
            "s3": self._send_to_bucket,
            "lambda": self._send_to_function,
        }

    async def send(self, arn: str, message: Message, account_id: str, region: str) -> None:
        """Send a message to a destination in the name of an account; `region` where the ARN has none.

        Raises:
            DestinationError: it was not taken.
        """
        target = _Target.of(arn)
        sender = self._senders.get(target.service)
        if sender is None:
            raise DestinationError(f"{arn} is no destination", is_final=True)
        try:
            await sender(target, message, Principal(account_id, target.region or region))
        except CallError as error:
            is_passing = error.status >= 500 or error.status == 429 or error.code.rpartition(".")[2] in _PASSING_CODES
            raise DestinationError(f"{arn}: {error}", is_final=not is_passing) from error
        except NeighbourError as error:
            # 501: nobody answers for this service here, and no time will change that.
            raise DestinationError(f"{arn}: {error}", is_final=error.status == 501) from error

    async def _send_to_queue(self, target: _Target, message: Message, principal: Principal) -> None:
        # Source: developer guide: a FIFO queue is no destination of asynchronous invocations.
        if target.resource.endswith(".fifo"):
            raise DestinationError(f"{target.arn} is a FIFO queue, which takes no such message", is_final=True)
        body: dict[str, Any] = {
            "QueueUrl": await self.queue_urls.find(target.arn, principal),
            "MessageBody": _text(message),
        }
        if message.attributes:
            body["MessageAttributes"] = {
                one.name: {"DataType": one.data_type, "StringValue": one.value} for one in message.attributes
            }
        if message.trace_header:
            trace = {"DataType": "String", "StringValue": message.trace_header}
            body["MessageSystemAttributes"] = {"AWSTraceHeader": trace}
        try:
            await self._client.call("sqs", "SendMessage", body, principal)
        except CallError:
            self.queue_urls.forget(target.arn)
            raise

    async def _send_to_topic(self, target: _Target, message: Message, principal: Principal) -> None:
        parameters = {"Version": "2010-03-31", "TopicArn": target.arn, "Message": _text(message)}
        for number, one in enumerate(message.attributes, 1):
            entry = f"MessageAttributes.entry.{number}"
            parameters |= {
                f"{entry}.Name": one.name,
                f"{entry}.Value.DataType": one.data_type,
                f"{entry}.Value.StringValue": one.value,
            }
        await self._client.query("sns", "Publish", parameters, principal)

    async def _send_to_bus(self, target: _Target, message: Message, principal: Principal) -> None:
        entry: dict[str, object] = {
            "EventBusName": target.arn,
            "Source": "lambda",
            "DetailType": message.detail_type,
            "Detail": _text(message),
            "Resources": list(message.resources),
            "Time": message.at_ms / 1_000,
        }
        if message.trace_header:
            entry["TraceHeader"] = message.trace_header[:500]
        answer = await self._client.call("events", "PutEvents", {"Entries": [entry]}, principal)
        if answer.get("FailedEntryCount"):
            failed = (answer.get("Entries") or [{}])[0]
            raise CallError(str(failed.get("ErrorCode", "")), str(failed.get("ErrorMessage", "")), 400)

    async def _send_to_bucket(self, target: _Target, message: Message, principal: Principal) -> None:
        md5 = base64.b64encode(_md5(message.body)).decode()
        headers = {"content-type": "application/json", "content-md5": md5}
        await self._client.put_object(target.resource, message.object_key, message.body, headers, principal)

    async def _send_to_function(self, target: _Target, message: Message, principal: Principal) -> None:
        try:
            function = parse_function_name(target.arn, account_id=target.account_id, region=target.region)
            if function.account_id != principal.account_id:
                raise DestinationError(f"{target.arn} belongs to another account", is_final=True)
            await self._enqueue(function, message.body, message.trace_header)
        except LambdaError as error:
            is_passing = isinstance(error, ServiceError) or error.code == "TooManyRequestsException"
            raise DestinationError(f"{target.arn}: {error}", is_final=not is_passing) from error


class _Target(NamedTuple):
    """An ARN in parts."""

    arn: str
    service: str
    region: str
    account_id: str
    resource: str

    @staticmethod
    def of(arn: str) -> _Target:
        parts = [*arn.split(":", 5), "", "", "", "", ""]
        return _Target(arn, parts[2], parts[3], parts[4], parts[5])


def _text(message: Message) -> str:
    return message.body.decode("utf-8", "replace")


def _md5(body: bytes) -> bytes:
    import hashlib

    return hashlib.md5(body, usedforsecurity=False).digest()
