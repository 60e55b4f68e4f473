"""ExecutionEnvironment: the one owner of a sandbox, from Init through invocations to Shutdown."""

from __future__ import annotations

import asyncio
import signal
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lambent.environments.lifecycle import EnvironmentState
from lambent.environments.log_writer import LogWriter, iso_time
from lambent.environments.outcomes import (
    TRUNCATED,
    RuntimeFailure,
    exit_error_type,
    exit_failure,
    oversize_failure,
    timeout_failure,
    truncated_failure,
)
from lambent.environments.report import (
    write_init_report,
    write_init_start,
    write_report,
    write_start,
)
from lambent.environments.runtime_api import RuntimeConnection, next_message
from lambent.environments.sandbox.sandbox import SandboxError
from lambent.environments.session import (
    Answered,
    DeadlinePassed,
    Exited,
    InitFailed,
    Lost,
    Outcome,
    RuntimeSession,
    Truncated,
)
from lambent.model import quotas
from lambent.model.compute import vcpus_for_memory
from lambent.model.environment import InitializationType
from lambent.model.invocation import FunctionErrorKind, InvocationResult
from lambent.model.platform_event import (
    EnvironmentEnded,
    InitReport,
    InitStart,
    InvocationFigures,
    InvokeReport,
    InvokeStart,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from lambent.clock import Clock
    from lambent.environments.answers.response_stream import ResponseStream
    from lambent.environments.sandbox.sandbox import Sandbox
    from lambent.model.concurrency import ConcurrencyLease
    from lambent.model.function import FunctionVersion
    from lambent.model.invocation import Invocation
    from lambent.model.platform_event import EnvironmentReference, TelemetrySink

    OnStream = Callable[[InvocationResult], None]

_MEMORY_SAMPLE_NS = 100_000_000
_TAIL_SECONDS = 0.1


class EndpointDoor(Protocol):
    """Who answers AWS_ENDPOINT_URL inside sandboxes: the API door, given by app.py."""

    async def serve_listener(self, listener: socket.socket) -> None:
        """Serve connections of a listening socket made inside a sandbox."""

    def stop_listener(self, listener: socket.socket) -> None:
        """Stop; connections that are open live on."""


@dataclass(frozen=True, slots=True)
class EnvironmentRules:
    """Times and bounds that hold for every environment: seconds, milliseconds, bytes."""

    init_seconds: float = 10.0
    shutdown_grace_ms: int = 500
    log_bytes_per_invocation_max: int = 64 * 1024 * 1024
    is_init_billed: bool = True
    streamed_response_bytes_max: int = quotas.STREAMED_RESPONSE_BYTES.value


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an environment is handed by its pool. `on_broken`: its runtime ended while it was idle."""

    sink: TelemetrySink
    clock: Clock
    rules: EnvironmentRules
    on_settling: Callable[[ExecutionEnvironment], None]
    on_settled: Callable[[ExecutionEnvironment], None]
    on_broken: Callable[[ExecutionEnvironment], None]
    on_ended: Callable[[ExecutionEnvironment], None]


class ExecutionEnvironment:
    """One sandbox running one configuration of one function version, one invocation at a time.

    Scope: node. After a crash of the daemon nothing of it is left: the supervisor kills the sandbox.
    """

    def __init__(
        self, sandbox: Sandbox, reference: EnvironmentReference, runtime_version: str, around: Surroundings
    ) -> None:
        self.reference = reference
        self.version: FunctionVersion = reference.version
        self.is_provisioned = reference.initialization_type is InitializationType.PROVISIONED_CONCURRENCY
        self.pool_key = pool_key(reference.version, is_provisioned=self.is_provisioned)
        self.idle_since_ns = 0
        self.is_frozen = False
        self.is_retired = False
        self.is_cpu_limited = False
        self.memory_peak_mib = 0
        self._sandbox = sandbox
        self._runtime_version = runtime_version
        self._around = around
        self._clock = around.clock
        self._session = RuntimeSession(self._runtime_free, around.rules.streamed_response_bytes_max)
        self._log = LogWriter(reference, around.sink, around.clock, around.rules.log_bytes_per_invocation_max)
        self._server: asyncio.Server | None = None
        # Those that are open, for the transports keep them.
        self._connections: weakref.WeakSet[RuntimeConnection] = weakref.WeakSet()
        self._endpoint: EndpointDoor | None = None
        self._lease: ConcurrencyLease | None = None
        self._started_ns = around.clock.monotonic_ns()
        self._init_duration_ms: float | None = None
        self._restarts = 0
        self._memory_sampled_ns = 0
        self._settles = 0
        # True until it was idle once, and from an invocation's begin until its REPORT is written: only then does an
        # idle runtime make the environment free.
        self._is_invoking = True
        self._is_init_reported = False
        self._running = asyncio.Event()
        self._running.set()

    @property
    def state(self) -> EnvironmentState:
        """Where in its life it is."""
        return self._session.state

    @property
    def is_usable(self) -> bool:
        """Whether an invocation can be given to it now (a broken one is restarted inside that invocation)."""
        return self._session.state in (EnvironmentState.IDLE, EnvironmentState.BROKEN, EnvironmentState.COLD)

    async def open_door(self, endpoint: EndpointDoor | None) -> None:
        """Serve the Runtime API and the AWS endpoint inside, watch the log pipe. Before the runtime starts."""
        loop = asyncio.get_running_loop()
        listener = self._sandbox.runtime_listener
        self._server = await loop.create_server(self._connected, sock=listener)
        if endpoint is not None and self._sandbox.endpoint_listener is not None:
            self._endpoint = endpoint
            await endpoint.serve_listener(self._sandbox.endpoint_listener)
        loop.add_reader(self._sandbox.log_fd, self._log_readable)

    def init_started(self, version_arn: str | None, notice: str | None) -> None:
        """Write INIT_START; the runtime process is about to start."""
        initialization_type = self.reference.initialization_type
        self._started_ns = self._clock.monotonic_ns()
        self._around.sink.emit(
            InitStart(self.reference, self._clock.time_ms(), initialization_type, self._runtime_version)
        )
        write_init_start(self._log, self.version, initialization_type, (self._runtime_version, version_arn or ""))
        if notice is not None:
            self._log.platform(f"{notice}\n", "platform.notice", {"message": notice}, "WARN")

    async def run(self) -> None:
        """Watch the runtime process until the sandbox is gone. Started in the pool's task group; never raises."""
        while self.state not in (EnvironmentState.ENDED, EnvironmentState.SHUTDOWN):
            restarts = self._restarts
            try:
                ended = await self._sandbox.wait_exited()
            except SandboxError as error:
                self._end(str(error))
                break
            # An exit of an older run of the runtime (a reset killed it) is no news.
            if restarts == self._restarts:
                self._running.clear()
                self._runtime_exited(Exited(ended))
            await self._running.wait()
        await self._close()

    async def invoke(
        self, invocation: Invocation, lease: ConcurrencyLease, on_stream: OnStream | None = None
    ) -> InvocationResult:
        """Run one invocation to its answer. The lease ends when the environment is idle or gone, not here.

        The caller's task must not be cancelled while this runs, for the time-out is kept here. `on_stream` gets a
        response that the runtime streams, as soon as it begins; without, such a response is collected.

        Raises:
            SandboxError: the sandbox failed; `is_started` says whether the handler may have begun.
        """
        self._is_invoking = True
        if self.is_frozen:
            self.thaw()
        self._log.begin_invocation(wants_tail=invocation.wants_log_tail)
        try:
            if not self._is_init_reported:
                await self._first_init(self._around.rules.init_seconds)
            begun_ns = self._clock.monotonic_ns()
            begun_ms = self._clock.time_ms()
            self._around.sink.emit(
                InvokeStart(self.reference, begun_ms, invocation.request_id, invocation.trace_header)
            )
            write_start(self._log, invocation.request_id, self.version.version)
            outcome = await self._exchange(invocation, lease, begun_ms, on_stream)
        except SandboxError as error:
            self._end(str(error))
            await self._close()
            raise
        duration_ms = (self._clock.monotonic_ns() - begun_ns) / 1e6
        if invocation.wants_log_tail and self.state is EnvironmentState.SETTLING:
            # What the runtime says after its answer belongs to this invocation's log, and a tail was asked for.
            await self._session.wait_settled(_TAIL_SECONDS)
        self._read_log()
        if isinstance(outcome, Lost):
            self._end(outcome.reason)
            await self._close()
            raise SandboxError(outcome.reason, is_started=True)
        result = self._conclude(invocation, outcome, duration_ms)
        self._is_invoking = False
        if self.state is EnvironmentState.SETTLING:
            left_seconds = self.version.timeout_seconds - duration_ms / 1000
            asyncio.get_running_loop().call_later(max(left_seconds, 0.0), self._settling_overdue, self._settles)
            if self._lease is not None:
                self._lease.begin_settling()
            self._around.on_settling(self)
        else:
            self._settle()
        return result

    async def _exchange(
        self, invocation: Invocation, lease: ConcurrencyLease, begun_ms: int, on_stream: OnStream | None
    ) -> Outcome:
        timeout_seconds = self.version.timeout_seconds
        timer = asyncio.get_running_loop().call_later(timeout_seconds, self._session.deadline_passed)
        try:
            if self.state is EnvironmentState.BROKEN:
                failed = await self._restart()
                if isinstance(failed, Lost):
                    raise SandboxError(failed.reason)
                if failed is not None:
                    return failed
            if self.state is not EnvironmentState.IDLE:
                raise SandboxError("the environment ended before the invocation began")
            lease.hand_over()
            self._lease = lease
            message = next_message(invocation, begun_ms + timeout_seconds * 1000)
            begun = None if on_stream is None else self._stream_begun(on_stream)
            return await self._session.deliver(invocation.request_id, message, begun)
        finally:
            timer.cancel()

    def _stream_begun(self, on_stream: OnStream) -> Callable[[ResponseStream], None]:
        return lambda stream: on_stream(InvocationResult(b"", self.version.version, stream=stream))

    async def initialize(self, init_seconds: float) -> str | None:
        """Run Init before any invocation, as provisioned concurrency does; the environment is idle afterwards.

        Returns None, or what ended Init in AWS's words; then it must be shut down.

        Raises:
            SandboxError: the sandbox failed; the environment is gone.
        """
        try:
            failed = await self._first_init(init_seconds)
        except SandboxError as error:
            self._end(str(error))
            await self._close()
            raise
        if failed is not None:
            status, error_type = _init_status(failed)
            return error_type or status
        self._is_invoking = False
        self._settle()
        return None

    async def _first_init(self, init_seconds: float) -> Outcome | None:
        # A failed Init is not the end: it is repeated inside the first invocation (developer guide, "Init phase").
        timer = asyncio.get_running_loop().call_later(init_seconds, self._session.deadline_passed)
        try:
            failed = await self._session.wait_ready()
        finally:
            timer.cancel()
        if isinstance(failed, Lost):
            raise SandboxError(failed.reason)
        self._is_init_reported = True
        self._report_init("init", failed, self._started_ns)
        return failed

    async def _restart(self) -> Outcome | None:
        started_ns = self._clock.monotonic_ns()
        self._restarts += 1
        self._running.clear()
        if self.is_frozen:
            self.thaw()
        await self._sandbox.reset()
        self._session.restarted()
        self._running.set()
        failed = await self._session.wait_ready()
        self._report_init("invoke", failed, started_ns)
        return failed

    def _report_init(self, phase: str, failed: Outcome | None, started_ns: int) -> None:
        duration_ms = (self._clock.monotonic_ns() - started_ns) / 1e6
        status, error_type = _init_status(failed)
        initialization_type = self.reference.initialization_type
        self._around.sink.emit(
            InitReport(
                self.reference, self._clock.time_ms(), initialization_type, phase, status, duration_ms, error_type
            )
        )
        self._read_log()
        if failed is not None:
            write_init_report(self._log, phase, status, error_type, duration_ms)
        elif phase == "init":
            self._init_duration_ms = duration_ms

    def _conclude(self, invocation: Invocation, outcome: Outcome, duration_ms: float) -> InvocationResult:
        failure = self._failure(invocation, outcome)
        if failure is not None:
            payload, is_error, error_type = failure.payload, True, failure.error_type
            if isinstance(outcome, Exited) and self._session.stream is not None:
                error_type = TRUNCATED
            self._log.text(failure.log_text)
        else:
            assert isinstance(outcome, Answered | InitFailed)
            payload, error_type = outcome.body, outcome.error_type
            is_error = isinstance(outcome, InitFailed) or outcome.is_error
        self._log.end_invocation()
        self._write_report(invocation, failure, outcome, duration_ms)
        error = FunctionErrorKind.UNHANDLED if is_error else None
        return InvocationResult(payload, self.version.version, error, self._log.take_tail(), error_type)

    def _failure(self, invocation: Invocation, outcome: Outcome) -> RuntimeFailure | None:
        match outcome:
            case Exited(ended):
                return exit_failure(invocation.request_id, ended)
            case DeadlinePassed():
                now = iso_time(self._clock.time_ms())
                return timeout_failure(invocation.request_id, self.version.timeout_seconds, now)
            case Answered(is_oversize=True, bytes_max=bytes_max):
                return oversize_failure(bytes_max)
            case Truncated():
                return truncated_failure(invocation.request_id)
            case _:
                return None

    def _write_report(
        self, invocation: Invocation, failure: RuntimeFailure | None, outcome: Outcome, duration_ms: float
    ) -> None:
        self._sample_memory()
        status = failure.status if failure is not None else "success"
        error_type = failure.error_type if failure is not None else None
        if isinstance(outcome, InitFailed):
            status, error_type = "error", outcome.error_type or "Runtime.Unknown"
        figures = InvocationFigures(
            request_id=invocation.request_id,
            trace_header=invocation.trace_header,
            status=status,
            error_type=error_type,
            duration_ms=duration_ms,
            init_duration_ms=self._init_duration_ms,
            # Of provisioned concurrency Init is paid by the time that it stands ready.
            is_init_billed=self._around.rules.is_init_billed and not self.is_provisioned,
            memory_size_mib=self.version.memory_mib,
            max_memory_used_mib=min(self.memory_peak_mib, self.version.memory_mib),
        )
        self._init_duration_ms = None
        write_report(self._log, figures)
        self._around.sink.emit(InvokeReport(self.reference, self._clock.time_ms(), figures))

    def _sample_memory(self) -> None:
        # Two small file reads; a peak cannot shrink, so ten samples a second are enough.
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._memory_sampled_ns > _MEMORY_SAMPLE_NS:
            self._memory_sampled_ns = now_ns
            self.memory_peak_mib = max(self.memory_peak_mib, self._sandbox.memory_peak_mib())

    def _runtime_exited(self, exited: Exited) -> None:
        self._read_log()
        state = self.state
        if state in (EnvironmentState.ENDED, EnvironmentState.SHUTDOWN):
            self._running.set()
            return
        self._session.fail(exited)
        if state is EnvironmentState.SETTLING:
            self._runtime_free()
        elif state is EnvironmentState.IDLE and not self._is_invoking:
            self._around.on_broken(self)

    def _settling_overdue(self, settles: int) -> None:
        # The runtime answered and never came back for the next one: its time is over like any other.
        if settles == self._settles and self.state is EnvironmentState.SETTLING:
            self._session.fail(DeadlinePassed())
            self._settle()

    def _runtime_free(self) -> None:
        if not self._is_invoking:
            self._settle()

    def _end(self, reason: str) -> None:
        self._session.end(reason)
        self._running.set()

    def _settle(self) -> None:
        self._settles += 1
        if self.state is EnvironmentState.BROKEN:
            # What is left inside stays stopped; the next invocation resets it.
            self.freeze()
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()
        self.idle_since_ns = self._clock.monotonic_ns()
        self._around.on_settled(self)

    async def limit_cpu(self) -> None:
        """Apply the function's CPU share; once, after Init, because AWS runs Init with full CPU."""
        if not self.is_cpu_limited:
            self.is_cpu_limited = True
            await self._sandbox.apply_cpu_limit(vcpus_for_memory(self.version.memory_mib))

    def freeze(self) -> None:
        """Stop everything inside until the next invocation."""
        if not self.is_frozen:
            self.is_frozen = True
            self._sandbox.freeze()

    def thaw(self) -> None:
        """Let it run."""
        self.is_frozen = False
        self._sandbox.thaw()

    async def shut_down(self) -> None:
        """Shutdown phase: SIGTERM, the grace, then the end. Idempotent."""
        if self.state in (EnvironmentState.ENDED, EnvironmentState.SHUTDOWN):
            return
        has_runtime = self.state is not EnvironmentState.BROKEN
        self._session.begin_shutdown()
        if has_runtime:
            if self.is_frozen:
                self.thaw()
            self._sandbox.signal_runtime(signal.SIGTERM)
            try:
                async with asyncio.timeout(self._around.rules.shutdown_grace_ms / 1000):
                    await self._sandbox.wait_exited()
            except (TimeoutError, SandboxError):
                pass
            self._read_log()
        self._running.set()
        await self._close()

    async def discard(self) -> None:
        """End an environment whose sandbox failed before anything ran in it."""
        self._end("the sandbox failed")
        await self._close()

    async def _close(self) -> None:
        loop = asyncio.get_running_loop()
        if self._server is not None:
            server, self._server = self._server, None
            loop.remove_reader(self._sandbox.log_fd)
            self._log.drain(self._sandbox.log_fd)
            self._log.end_invocation()
            # A connection that is being accepted at this moment must still find its server.
            loop.remove_reader(self._sandbox.runtime_listener)
            await asyncio.sleep(0)
            server.close()
            if self._endpoint is not None and self._sandbox.endpoint_listener is not None:
                self._endpoint.stop_listener(self._sandbox.endpoint_listener)
            self._session.end("the environment ended")
            try:
                await self._sandbox.close()
            finally:
                self._gone()

    def _gone(self) -> None:
        for connection in list(self._connections):
            connection.abort()
        self._around.sink.emit(EnvironmentEnded(self.reference, self._clock.time_ms(), "shutdown"))
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()
        self._around.on_ended(self)

    def _connected(self) -> RuntimeConnection:
        connection = RuntimeConnection(self._session)
        self._connections.add(connection)
        return connection

    def _log_readable(self) -> None:
        if not self._log.drain(self._sandbox.log_fd):
            asyncio.get_running_loop().remove_reader(self._sandbox.log_fd)

    def _read_log(self) -> None:
        # What the runtime wrote before it answered is in the pipe now; it must stand before END.
        if self._server is not None:
            self._log.drain(self._sandbox.log_fd)


def pool_key(version: FunctionVersion, *, is_provisioned: bool) -> str:
    """Return what environments have in common that may stand in for each other."""
    return f"{version.configuration_id}/provisioned" if is_provisioned else version.configuration_id


def _init_status(failed: Outcome | None) -> tuple[str, str | None]:
    match failed:
        case None:
            return "success", None
        case InitFailed(error_type=error_type):
            return "error", error_type or "Runtime.Unknown"
        case Exited(ended):
            return "error", exit_error_type(ended)
        case DeadlinePassed():
            return "timeout", None
        case _:
            return "failure", "Sandbox.Failure"
