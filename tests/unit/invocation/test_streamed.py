"""Streamed invocations run to their end, whoever listens."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from lambent.invocation.streamed import StreamedInvocations
from lambent.model.arn import FunctionArn
from lambent.model.errors import ServiceError, TooManyRequestsError
from lambent.model.invocation import InvocationResult, InvokeRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

REQUEST = InvokeRequest(FunctionArn("0" * 12, "us-east-1", "f"), "id", b"{}", wants_stream=True)
RESULT = InvocationResult(b"done", "1")


class Stream:
    content_type: str | None = None

    def __init__(self) -> None:
        self.ending: InvocationResult | None = None
        self.is_abandoned = False

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration

    def end(self, result: InvocationResult) -> None:
        self.ending = result

    def abandon(self) -> None:
        self.is_abandoned = True


class Function:
    """Runs when `begin` and ends when `finish` is set."""

    def __init__(self, error: Exception | None = None, *, is_streaming: bool = True) -> None:
        self.begin, self.finish = asyncio.Event(), asyncio.Event()
        self.stream = Stream()
        self.error = error
        self.is_streaming = is_streaming
        self.has_ended = asyncio.Event()

    async def __call__(
        self, request: InvokeRequest, on_stream: Callable[[InvocationResult], None] | None = None
    ) -> InvocationResult:
        try:
            await self.begin.wait()
            if self.is_streaming:
                assert on_stream is not None
                on_stream(InvocationResult(b"", "1", stream=self.stream))
            await self.finish.wait()
            if self.error is not None:
                raise self.error
            return RESULT
        finally:
            self.has_ended.set()


@asynccontextmanager
async def running(function: Function) -> AsyncIterator[StreamedInvocations]:
    streamed = StreamedInvocations(function)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(streamed.run())
        await asyncio.sleep(0)
        yield streamed
        task.cancel()


async def test_the_result_comes_before_the_end() -> None:
    function = Function()
    async with running(function) as streamed:
        function.begin.set()
        result = await streamed.begin(REQUEST)
        assert result.stream is function.stream
        assert function.stream.ending is None
        function.finish.set()
        await function.has_ended.wait()
        await asyncio.sleep(0)
        assert function.stream.ending is RESULT


async def test_a_response_that_is_not_streamed() -> None:
    function = Function(is_streaming=False)
    async with running(function) as streamed:
        function.begin.set()
        function.finish.set()
        assert await streamed.begin(REQUEST) is RESULT


async def test_a_refusal() -> None:
    function = Function(TooManyRequestsError("Rate Exceeded."), is_streaming=False)
    async with running(function) as streamed:
        function.begin.set()
        function.finish.set()
        with pytest.raises(TooManyRequestsError):
            await streamed.begin(REQUEST)


async def test_an_environment_lost_in_the_middle() -> None:
    function = Function(ServiceError("lost"))
    async with running(function) as streamed:
        function.begin.set()
        await streamed.begin(REQUEST)
        function.finish.set()
        await function.has_ended.wait()
        await asyncio.sleep(0)
        ending = function.stream.ending
        assert ending is not None
        assert (ending.error_type, ending.function_error) == ("Sandbox.Failure", "Unhandled")


async def test_who_asked_goes_before_the_first_byte() -> None:
    function = Function()
    async with running(function) as streamed, asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(streamed.begin(REQUEST))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.sleep(0)
        function.begin.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert function.stream.is_abandoned
        assert not function.has_ended.is_set()
        function.finish.set()
        await function.has_ended.wait()


async def test_nothing_begins_before_the_server_runs() -> None:
    with pytest.raises(ServiceError):
        await StreamedInvocations(Function()).begin(REQUEST)
