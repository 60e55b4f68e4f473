"""One attempt of an event: may it still run, run it, decide what follows, tell those who are to be told, settle."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from lambent.events import records, retries
from lambent.events.destinations import DestinationError
from lambent.model.errors import LambdaError
from lambent.model.event import Condition, EventFate, EventOutcome, Response, TargetKind
from lambent.model.invocation import InvokeRequest
from lambent.model.platform_event import AsyncEventAged, AsyncEventDropped, EventDeliveryFailed, RecursionStopped

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager
    from typing import Protocol

    from lambent.clock import Clock
    from lambent.events.configs import EventConfigs
    from lambent.events.delivery import Delivery
    from lambent.events.destinations import Destinations
    from lambent.events.pacing.lanes import Attempt, Lane
    from lambent.events.retries import Verdict
    from lambent.model.arn import FunctionArn
    from lambent.model.event import AsyncEvent, Destination
    from lambent.model.invocation import InvocationResult
    from lambent.model.platform_event import TelemetrySink
    from lambent.store.events import EventStore

    class Invokes(Protocol):
        """What is needed of the data plane; see Invoker."""

        def invoke(self, request: InvokeRequest) -> AbstractAsyncContextManager[InvocationResult]:
            """Run one invocation; its result is valid inside the block."""


_log = logging.getLogger(__name__)

# A destination that does not answer is tried for an hour; then its record is given up.
_DESTINATION_MS_MAX = 3_600_000
_SETTLE_AGAIN_SECONDS = 0.2
_SETTLE_AGAIN_SECONDS_MAX = 2.0
# The status of Invoke that stands in records and dead letters. Everything else is our fault.
_STATUS_CODES = {
    "TooManyRequestsException": 429,
    "ResourceNotFoundException": 404,
    "ResourceConflictException": 409,
    "RecursiveInvocationException": 400,
}


class AttemptParts(NamedTuple):
    """What an attempt needs. `is_switched_off(function)`: its reserved concurrency is 0.

    `next_trace_header(received, function)` is RecursionGuard.next_header.
    """

    store: EventStore
    invoker: Invokes
    configs: EventConfigs
    destinations: Destinations
    is_switched_off: Callable[[FunctionArn], bool]
    next_trace_header: Callable[[str, FunctionArn], str]
    sink: TelemetrySink
    clock: Clock
    random_bytes: Callable[[int], bytes]


class Attempts:
    """Scope: node. Keeps no state: the store does."""

    def __init__(self, parts: AttemptParts) -> None:
        self._parts = parts

    async def attempt(self, delivery: Delivery, lane: Lane, attempt: Attempt) -> None:
        """Do one attempt and settle the event. Raises nothing but for bugs and cancellation."""
        event = attempt.event
        outcome = event.outcome
        if outcome is None:
            verdict = await self._run(delivery, lane, attempt)
            event = verdict.event
            if verdict.condition is None:
                delivery.finished(lane, attempt)
                await self._put_back(delivery, lane, attempt, event, verdict.delay_ms)
                return
            outcome = self._outcome(event, verdict.condition)
        delivery.finished(lane, attempt)
        outcome = await self._tell(event, outcome)
        if outcome.targets:
            limits = self._parts.configs.limits(event.function)
            delay_ms = retries.setback_ms(outcome.tries, limits.base_seconds)
            waiting = replace(event, outcome=replace(outcome, tries=outcome.tries + 1))
            await self._put_back(delivery, lane, attempt, waiting, delay_ms)
            return
        fate = EventFate.DROPPED
        if outcome.condition is Condition.SUCCESS:
            fate = EventFate.SUCCEEDED
        elif outcome.is_delivered:
            fate = EventFate.DEAD_LETTERED
        lease = attempt.lease
        assert lease is not None
        is_mine = await self._settle(lambda: self._parts.store.remove(lease, fate))
        if is_mine and fate is not EventFate.SUCCEEDED:
            function = event.function
            self._parts.sink.emit(
                AsyncEventDropped(
                    function.account_id, function.region, function.name, self._parts.clock.time_ms(), outcome.condition
                )
            )

    async def _run(self, delivery: Delivery, lane: Lane, attempt: Attempt) -> Verdict:
        """Run the function, unless that is out of the question; return what follows."""
        parts, event = self._parts, attempt.event
        limits = parts.configs.limits(event.function)
        now_ms = parts.clock.time_ms()
        if retries.is_too_old(event, limits, now_ms):
            return retries.Verdict(event, Condition.EVENT_AGE_EXCEEDED)
        if parts.is_switched_off(event.function):
            return retries.Verdict(event, Condition.ZERO_RESERVED_CONCURRENCY)
        function = event.function
        age_ms = max(0, now_ms - event.accepted_ms)
        parts.sink.emit(AsyncEventAged(function.account_id, function.region, function.name, now_ms, age_ms))
        request = InvokeRequest(function, event.request_id, event.payload, trace_header=event.trace_header)
        try:
            async with parts.invoker.invoke(request) as result:
                error = None if result.function_error is None else result.function_error.value
                response = Response(200, result.payload, result.executed_version, error)
        except LambdaError as error:
            return self._refused(delivery, lane, attempt, error)
        lane.ran(asyncio.get_running_loop().time() - attempt.started)
        return retries.after_run(event, response, limits, parts.clock.time_ms())

    def _refused(self, delivery: Delivery, lane: Lane, attempt: Attempt, error: LambdaError) -> Verdict:
        parts, event = self._parts, attempt.event
        limits, now_ms = parts.configs.limits(event.function), parts.clock.time_ms()
        response = Response(_STATUS_CODES.get(error.code, 500), message=error.message)
        if error.code == "RecursiveInvocationException":
            function = event.function
            parts.sink.emit(RecursionStopped(function.account_id, function.region, function.name, now_ms))
            failed = replace(event, response=replace(response, function_error=error.code))
            return retries.Verdict(failed, Condition.RECURSIVE_INVOCATION)
        if error.code == "ResourceNotFoundException":
            return retries.after_run(event, response, limits, now_ms)
        if response.status_code == 500:
            # Not the function's doing, and it may have begun: whoever counts runs wants to know.
            _log.warning("event %s of %s could not be run: %s", event.request_id, event.function.name, error.message)
        if response.status_code == 429:
            delivery.finished(lane, attempt)
            lane.throttled(asyncio.get_running_loop().time())
        return retries.after_setback(event, response, limits, now_ms)

    def _outcome(self, event: AsyncEvent, condition: Condition) -> EventOutcome:
        targets = self._parts.configs.targets(event.function, condition)
        return EventOutcome(condition, self._parts.clock.time_ms(), targets)

    async def _tell(self, event: AsyncEvent, outcome: EventOutcome) -> EventOutcome:
        """Send to every target that has not taken its message; return the outcome with those that are left."""
        left = []
        is_delivered = outcome.is_delivered
        for target in outcome.targets:
            try:
                await self._send(event, outcome, target)
                is_delivered = True
            except DestinationError as error:
                self._note_failure(event, target, error)
                is_over = self._parts.clock.time_ms() - outcome.at_ms > _DESTINATION_MS_MAX
                left += [] if error.is_final or is_over else [target]
        return replace(outcome, targets=tuple(left), is_delivered=is_delivered) if outcome.targets else outcome

    async def _send(self, event: AsyncEvent, outcome: EventOutcome, target: Destination) -> None:
        event = self._traced(event)
        if target.kind is TargetKind.DEAD_LETTER:
            message = records.dead_letter_message(event, outcome)
        else:
            message = records.destination_message(event, outcome, target.arn, self._parts.random_bytes(16))
        function = event.function
        await self._parts.destinations.send(target.arn, message, function.account_id, function.region)

    def _traced(self, event: AsyncEvent) -> AsyncEvent:
        """Return the event with the trace header that its function was given: what is sent is the next of the chain."""
        if event.trace_header is None:
            return event
        try:
            return replace(event, trace_header=self._parts.next_trace_header(event.trace_header, event.function))
        except LambdaError:
            return event

    def _note_failure(self, event: AsyncEvent, target: Destination, error: DestinationError) -> None:
        _log.warning("event %s of %s: %s", event.request_id, event.function.name, error)
        function = event.function
        self._parts.sink.emit(
            EventDeliveryFailed(
                function.account_id, function.region, function.name, self._parts.clock.time_ms(), target.kind
            )
        )

    async def _put_back(
        self, delivery: Delivery, lane: Lane, attempt: Attempt, event: AsyncEvent, delay_ms: int
    ) -> None:
        lease = attempt.lease
        assert lease is not None
        if await self._settle(lambda: self._parts.store.put_back(lease, event, delay_ms)):
            delivery.note_due(lane, delay_ms)

    async def _settle(self, settle: Callable[[], Awaitable[bool]]) -> bool:
        """Settle, as often as it takes: a full disk or a database that is away shall cost no second run."""
        seconds = _SETTLE_AGAIN_SECONDS
        while True:
            try:
                return await settle()
            except LambdaError as error:
                _log.warning("an event that is done cannot be settled: %s", error.message)
            await asyncio.sleep(seconds)
            seconds = min(2 * seconds, _SETTLE_AGAIN_SECONDS_MAX)
