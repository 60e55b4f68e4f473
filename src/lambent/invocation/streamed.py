"""Invocations whose response is read while the function writes it: each runs in a task of its own, to its end."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Protocol

from lambent.model.errors import LambdaError, ServiceError
from lambent.model.invocation import FunctionErrorKind, InvocationResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.model.invocation import InvokeRequest, ResponseBody

_log = logging.getLogger(__name__)


class RunsInvocation(Protocol):
    """What runs an invocation: Invoker.run."""

    async def __call__(
        self, request: InvokeRequest, on_stream: Callable[[InvocationResult], None] | None = None
    ) -> InvocationResult:
        """Run it to its answer; `on_stream` gets a result with a stream when the function begins to respond."""


class StreamedInvocations:
    """Scope: node. After a crash nothing is left: the environments are gone too.

    The caller may go at any time; the function runs on and keeps its environment and its lease until it has ended.
    """

    def __init__(self, invoke: RunsInvocation) -> None:
        self._invoke = invoke
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Own the tasks. Runs until cancelled; never raises."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await asyncio.get_running_loop().create_future()

    async def begin(self, request: InvokeRequest) -> InvocationResult:
        """Return when the response begins, or the invocation is over. Raises as Invoker.invoke."""
        if self._tasks is None:
            raise ServiceError("The server is not ready for streamed invocations.")
        first: asyncio.Future[InvocationResult] = asyncio.get_running_loop().create_future()
        self._tasks.create_task(self._see_through(request, first))
        return await first

    async def _see_through(self, request: InvokeRequest, first: asyncio.Future[InvocationResult]) -> None:
        stream: ResponseBody | None = None

        def begun(result: InvocationResult) -> None:
            nonlocal stream
            stream = result.stream
            if not first.done():
                first.set_result(result)
            elif stream is not None:
                # Who asked has gone before the first byte.
                stream.abandon()

        try:
            result = await self._invoke(request, begun)
        except Exception as error:
            if stream is None:
                _set_exception(first, error)
                return
            if not isinstance(error, LambdaError):
                _log.exception("request %s failed", request.request_id)
            result = _lost(request)
        if stream is not None:
            stream.end(result)
        elif not first.done():
            first.set_result(result)


def _set_exception(first: asyncio.Future[InvocationResult], error: Exception) -> None:
    if not first.done():
        first.set_exception(error)


def _lost(request: InvokeRequest) -> InvocationResult:
    """Return how a response ends whose environment was lost."""
    text = f"RequestId: {request.request_id} Error: The execution environment was lost"
    payload = json.dumps({"errorType": "Sandbox.Failure", "errorMessage": text}).encode()
    return InvocationResult(payload, "", FunctionErrorKind.UNHANDLED, error_type="Sandbox.Failure")
