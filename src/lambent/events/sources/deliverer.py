"""From a batch to the function: one synchronous invocation, and what became of it in the pollers' words."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from lambent.events.sources.meter import Metric
from lambent.model.arn import parse_function_name
from lambent.model.errors import LambdaError, ResourceNotFoundError, TooManyRequestsError
from lambent.model.invocation import InvokeRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from lambent.events.sources.meter import Meter
    from lambent.model.configs.event_source import EventSourceMapping
    from lambent.model.invocation import InvocationResult

    Invoke = Callable[[InvokeRequest], AbstractAsyncContextManager[InvocationResult]]


class Verdict(StrEnum):
    """What became of one invocation of a batch."""

    SUCCEEDED = "OK"
    FAILED = "PROBLEM: Function call failed"
    # None of the function's code has run: the batch is as good as before.
    THROTTLED = "PROBLEM: Function throttled"
    NOT_RUN = "PROBLEM: Function could not be invoked"
    NO_FUNCTION = "PROBLEM: Function not found"


class Delivered(NamedTuple):
    """`result` is what the function answered, if it ran; `reason` says why it did not."""

    verdict: Verdict
    request_id: str
    result: InvocationResult | None = None
    reason: str = ""


class Deliverer:
    """Invokes functions for mappings, and counts for their metrics (`meter`). Scope: process; keeps nothing."""

    def __init__(self, invoke: Invoke, new_request_id: Callable[[], str], meter: Meter) -> None:
        self.meter = meter
        self._invoke = invoke
        self._new_request_id = new_request_id

    async def deliver(
        self,
        mapping: EventSourceMapping,
        event: Mapping[str, Any],
        trace_header: str | None = None,
        *,
        record_count: int = 0,
    ) -> Delivered:
        """Invoke the mapping's function with an event. Never raises; must not be cancelled while the function runs.

        `record_count` is what the mapping's metrics count.
        """
        delivered = await self._deliver(mapping, event, trace_header)
        self.meter.count(mapping, Metric.INVOKED, record_count)
        if delivered.verdict is not Verdict.SUCCEEDED:
            self.meter.count(mapping, Metric.FAILED_INVOKE, record_count)
            self.meter.count(mapping, Metric.INVOKE_ERROR)
        return delivered

    async def _deliver(
        self, mapping: EventSourceMapping, event: Mapping[str, Any], trace_header: str | None
    ) -> Delivered:
        request_id = self._new_request_id()
        function = parse_function_name(mapping.function_arn, account_id=mapping.account_id, region=mapping.region)
        payload = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
        request = InvokeRequest(function, request_id, payload, trace_header=trace_header)
        try:
            async with self._invoke(request) as result:
                verdict = Verdict.SUCCEEDED if result.function_error is None else Verdict.FAILED
                return Delivered(verdict, request_id, result)
        except TooManyRequestsError as error:
            return Delivered(Verdict.THROTTLED, request_id, reason=error.message)
        except ResourceNotFoundError as error:
            return Delivered(Verdict.NO_FUNCTION, request_id, reason=error.message)
        except LambdaError as error:
            return Delivered(Verdict.NOT_RUN, request_id, reason=error.message)
