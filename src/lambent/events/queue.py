"""Where events enter: Invoke with InvocationType Event, and what has become of all that entered."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, NamedTuple, Protocol

from lambent.model.errors import RequestTooLargeError
from lambent.model.event import AsyncEvent
from lambent.model.invocation import InvokeRequest
from lambent.model.platform_event import AsyncEventReceived

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.clock import Clock
    from lambent.events.delivery import Delivery
    from lambent.model.arn import FunctionArn
    from lambent.model.platform_event import TelemetrySink

    class Checks(Protocol):
        """What is needed of the data plane; see Invoker."""

        def check_event(self, function: FunctionArn) -> object:
            """Do the checks that an event passes before it is taken."""


class EventRules(NamedTuple):
    """`payload_bytes_max`: what an event may have. `random_bytes` is os.urandom or a fake."""

    payload_bytes_max: int
    random_bytes: Callable[[int], bytes]


class AsyncInvocations:
    """Takes events. Scope: node; the queue behind it is the cluster's. After a crash: every event it took is there."""

    def __init__(
        self, delivery: Delivery, checks: Checks, rules: EventRules, sink: TelemetrySink, clock: Clock
    ) -> None:
        self._delivery = delivery
        self._checks = checks
        self._rules = rules
        self._sink = sink
        self._clock = clock

    async def accept(self, request: InvokeRequest, *, once: str = "") -> None:
        """Take an event; it is on disk when this returns. One with a name in `once` is taken once in two days.

        Raises:
            ResourceNotFoundError, ResourceConflictError: see Invoker.check_event.
            RequestTooLargeError: the payload is over its quota (413).
            TooManyRequestsError: the queue is full (429).
            ServiceError: it could not be kept (5xx).
        """
        if len(request.payload) > self._rules.payload_bytes_max:
            raise self.too_large()
        function = request.function
        self._checks.check_event(function)
        now_ms = self._clock.time_ms()
        trace_header = request.trace_header or self._new_trace_header(now_ms)
        event = AsyncEvent(function, request.request_id, request.payload, now_ms, trace_header)
        await self._delivery.put(event, once)
        self._sink.emit(AsyncEventReceived(function.account_id, function.region, function.name, now_ms))

    def too_large(self) -> RequestTooLargeError:
        """Return the error about a payload over its quota (413). Source: observed, with AWS's limit of today."""
        return RequestTooLargeError(
            f"Request must be smaller than {self._rules.payload_bytes_max} bytes for the InvokeFunction operation"
        )

    async def enqueue(self, function: FunctionArn, payload: bytes, trace_header: str | None) -> None:
        """Take an event that somebody here has for a function, under a request id of its own. Raises as `accept`."""
        request_id = str(uuid.UUID(bytes=self._rules.random_bytes(16), version=4))
        await self.accept(InvokeRequest(function, request_id, payload, trace_header=trace_header))

    async def enqueue_once(self, function: FunctionArn, payload: bytes, name: str) -> None:
        """Take an event under a name that is its request id too; a second one of that name is not taken.

        Raises: as `accept`.
        """
        await self.accept(InvokeRequest(function, name, payload), once=name)

    def _new_trace_header(self, now_ms: int) -> str:
        # Here and not when it runs: all attempts of an event are one trace, and so is what its records set going.
        random = self._rules.random_bytes(20).hex()
        return f"Root=1-{now_ms // 1000:08x}-{random[:24]};Parent={random[24:]};Sampled=0"
