"""The meeting point of one environment: the door above awaits an answer, the runtime below asks and answers.

Nothing calls upward: the runtime's requests only move the state table and complete futures that somebody above waits
for. All methods run on the event loop and never suspend.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgspec import Struct

from lambent.environments.answers.response_stream import ResponseStream
from lambent.environments.lifecycle import EnvironmentEvent, EnvironmentState, IllegalTransitionError, next_state
from lambent.model import quotas

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.environments.sandbox.sandbox import RuntimeExit


class Answered(NamedTuple):
    """The runtime answered the invocation. `is_error`: with an error; `is_oversize`: body over `bytes_max`.

    Of a response that went into a stream `body` is what is left to say: the error it ended with, if it did.
    """

    body: bytes
    is_error: bool = False
    error_type: str | None = None
    is_oversize: bool = False
    bytes_max: int = quotas.RESPONSE_BYTES.value


class InitFailed(NamedTuple):
    """The runtime reported an error of its Init."""

    body: bytes
    error_type: str | None


class Exited(NamedTuple):
    """The runtime process ended."""

    exit: RuntimeExit


class Truncated(Struct, frozen=True):
    """The runtime broke off the response that it was streaming."""


class ExtensionFailed(NamedTuple):
    """An extension could not be started, or its process ended. `error_type` is AWS's, as Extension.Crash."""

    error_type: str
    reason: str


class DeadlinePassed(Struct, frozen=True):
    """Time ran out."""


class Lost(NamedTuple):
    """The sandbox is gone and the function is not to blame."""

    reason: str


Outcome = Answered | InitFailed | Exited | Truncated | ExtensionFailed | DeadlinePassed | Lost


class NextConnection(Protocol):
    """A connection of the runtime on which GET next waits."""

    def send_invocation(self, message: bytes) -> None:
        """Write the HTTP answer of GET next."""


class UnknownRequestError(Exception):
    """The runtime answered an invocation that is not the current one."""


class RuntimeSession:
    """State and pending exchange of one environment. Scope: environment. Ends with it.

    `on_idle` is called each time the runtime is ready for the next invocation, `on_broken` when it failed.
    `streamed_bytes_max` bounds a streamed response. `stream` is that of the present invocation, if it has begun one;
    `wants_stream`: its caller reads whatever the runtime responds as it comes, as AWS's own Go library counts on.
    """

    __slots__ = (
        "_broken_by",
        "_is_cut",
        "_is_responding",
        "_message",
        "_on_idle",
        "_on_stream",
        "_outcome",
        "_ready",
        "_request_id",
        "_waiting",
        "state",
        "stream",
        "streamed_bytes_max",
        "wants_stream",
    )

    def __init__(
        self, on_idle: Callable[[], None], streamed_bytes_max: int = quotas.STREAMED_RESPONSE_BYTES.value
    ) -> None:
        self.state = EnvironmentState.COLD
        self.streamed_bytes_max = streamed_bytes_max
        self.stream: ResponseStream | None = None
        self.wants_stream = False
        self._on_stream: Callable[[ResponseStream], None] | None = None
        self._is_responding = self._is_cut = False
        self._on_idle = on_idle
        self._waiting: NextConnection | None = None
        self._message: bytes | None = None
        self._request_id = ""
        self._outcome: asyncio.Future[Outcome] | None = None
        self._ready: asyncio.Future[Outcome | None] | None = None
        self._broken_by: Outcome | None = None

    # From above.

    def deliver(
        self, request_id: str, message: bytes, on_stream: Callable[[ResponseStream], None] | None = None
    ) -> asyncio.Future[Outcome]:
        """Hand the finished HTTP answer of GET next to the runtime; the future gets the invocation's outcome.

        `on_stream` gets the response when its runtime begins to stream it; without, it is collected.
        """
        self.state = next_state(self.state, EnvironmentEvent.INVOKED)
        self._request_id = request_id
        self._on_stream = on_stream
        self.wants_stream = on_stream is not None
        self._is_responding = self._is_cut = False
        self.stream = None
        self._outcome = asyncio.get_running_loop().create_future()
        if self._waiting is None:
            self._message = message
        else:
            connection, self._waiting = self._waiting, None
            connection.send_invocation(message)
        return self._outcome

    async def wait_ready(self) -> Outcome | None:
        """Return None once the runtime is idle, or what ended its Init."""
        if self.state is EnvironmentState.IDLE:
            return None
        if self.state in (EnvironmentState.BROKEN, EnvironmentState.ENDED, EnvironmentState.SHUTDOWN):
            return self._broken_by or Lost("the environment ended")
        if self._ready is None:
            self._ready = asyncio.get_running_loop().create_future()
        return await self._ready

    async def wait_settled(self, seconds_max: float) -> None:
        """Return when the runtime that has answered asks for the next invocation, or fails, or time is over."""
        if self._ready is None:
            self._ready = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._ready], timeout=seconds_max)

    def restarted(self) -> None:
        """The runtime process was started again after a failure."""
        self.state = next_state(self.state, EnvironmentEvent.RESTARTED)
        self._broken_by = None
        self._waiting = None
        self._message = None

    def fail(self, outcome: Outcome) -> None:
        """The runtime failed (exit, init error, deadline): complete whoever waits."""
        if self.state in (EnvironmentState.SHUTDOWN, EnvironmentState.ENDED, EnvironmentState.BROKEN):
            return
        self.state = next_state(self.state, EnvironmentEvent.RUNTIME_FAILED)
        self._complete(outcome)

    def deadline_passed(self) -> None:
        """Time ran out for the Init or the invocation that somebody waits for; nothing if it just ended."""
        if self.state in (EnvironmentState.COLD, EnvironmentState.RESTARTING, EnvironmentState.INVOKE):
            self.fail(DeadlinePassed())

    def begin_shutdown(self) -> None:
        """No further invocation will be delivered."""
        self.state = next_state(self.state, EnvironmentEvent.SHUTDOWN_BEGUN)
        self._complete(Lost("the environment is shutting down"))

    def end(self, reason: str) -> None:
        """The sandbox is gone."""
        if self.state is not EnvironmentState.ENDED:
            self.state = next_state(self.state, EnvironmentEvent.SANDBOX_GONE)
            self._complete(Lost(reason))

    # From inside.

    def next(self, connection: NextConnection) -> None:
        """The runtime asks for work. Raises IllegalTransitionError when an invocation has no answer yet."""
        if self._is_cut and self.state is EnvironmentState.INVOKE:
            # It lives, so what it broke off will not be explained by its end.
            self._answered(Truncated())
        if self._message is not None and self._waiting is None and self.state is EnvironmentState.INVOKE:
            message, self._message = self._message, None
            connection.send_invocation(message)
            return
        if self.state is EnvironmentState.IDLE and self._waiting is None:
            self._waiting = connection
            return
        self.state = next_state(self.state, EnvironmentEvent.RUNTIME_NEXT)
        self._waiting = connection
        if self._ready is not None:
            ready, self._ready = self._ready, None
            if not ready.done():
                ready.set_result(None)
        self._on_idle()

    def answer(self, request_id: str, answered: Answered) -> None:
        """The runtime answers. Raises UnknownRequestError, IllegalTransitionError."""
        if self.state is EnvironmentState.INVOKE and request_id != self._request_id:
            raise UnknownRequestError(request_id)
        if self._is_responding:
            raise IllegalTransitionError(self.state, EnvironmentEvent.ANSWERED)
        self._answered(answered)

    def begin_response(
        self, request_id: str, content_type: str | None, on_room: Callable[[], None]
    ) -> ResponseStream | None:
        """The runtime begins to stream its answer: return where to, None when it is to be collected.

        Nobody else can answer from now on: `end_response` or `truncated` follows. Raises as `answer`.
        """
        if self.state is EnvironmentState.INVOKE and request_id != self._request_id:
            raise UnknownRequestError(request_id)
        if self._is_responding or self.state is not EnvironmentState.INVOKE:
            raise IllegalTransitionError(self.state, EnvironmentEvent.ANSWERED)
        self._is_responding = True
        if self._on_stream is not None:
            self.stream = ResponseStream(content_type, on_room)
            self._on_stream(self.stream)
        return self.stream

    def end_response(self, request_id: str, answered: Answered) -> None:
        """The answer begun is over; nothing if the invocation has ended in another way."""
        if self._is_begun(request_id):
            self._answered(answered)

    def response_lost(self, request_id: str) -> None:
        """The connection of the answer begun is gone; why, the process's end or the next question will tell."""
        self._is_cut = self._is_begun(request_id)

    def truncated(self, request_id: str) -> None:
        """The answer begun was broken off; nothing if the invocation has ended in another way."""
        if self._is_begun(request_id):
            self._answered(Truncated())

    def _is_begun(self, request_id: str) -> bool:
        return self._is_responding and self.state is EnvironmentState.INVOKE and request_id == self._request_id

    def _answered(self, outcome: Answered | Truncated) -> None:
        self.state = next_state(self.state, EnvironmentEvent.ANSWERED)
        waiting, self._outcome = self._outcome, None
        if waiting is not None and not waiting.done():
            waiting.set_result(outcome)

    def connection_lost(self, connection: NextConnection) -> None:
        """A connection closed; it no longer waits."""
        if self._waiting is connection:
            self._waiting = None

    def _complete(self, outcome: Outcome) -> None:
        self._broken_by = outcome
        self._message = None
        for future in (self._outcome, self._ready):
            if future is not None and not future.done():
                future.set_result(outcome)
        self._outcome = self._ready = None
