"""ExecutionEnvironment: the one owner of a sandbox, from Init through invocations to Shutdown."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from lambent.environments.door import InsideDoor
from lambent.environments.extensions.shutdown import end_processes
from lambent.environments.lifecycle import EnvironmentState
from lambent.environments.log_writer import LogWriter
from lambent.environments.outcomes import TRUNCATED, failure_of, init_status
from lambent.environments.report import EnvironmentReporter, Invoked
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
)
from lambent.model import quotas
from lambent.model.compute import vcpus_for_memory
from lambent.model.environment import InitializationType
from lambent.model.invocation import FunctionErrorKind, InvocationResult
from lambent.model.platform_event import EnvironmentEnded, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from lambent.clock import Clock
    from lambent.environments.answers.response_stream import ResponseStream
    from lambent.environments.door import EndpointDoor
    from lambent.environments.extensions.host import ExtensionHost
    from lambent.environments.http_requests import InsideRequest
    from lambent.environments.sandbox.sandbox import Sandbox
    from lambent.model.concurrency import ConcurrencyLease
    from lambent.model.function import FunctionVersion
    from lambent.model.invocation import Invocation
    from lambent.model.platform_event import EnvironmentReference, TelemetrySink

    OnStream = Callable[[InvocationResult], None]

_MEMORY_SAMPLE_NS = 100_000_000
_TAIL_SECONDS = 0.1
# The role's credentials are good for twelve hours; an environment ends before they do.
_LIFE_NS_MAX = 11 * 3_600 * 10**9


class EnvironmentRules(NamedTuple):
    """Times and bounds that hold for every environment: seconds, milliseconds, bytes."""

    init_seconds: float = 10.0
    shutdown_grace_ms: int = 500
    log_bytes_per_invocation_max: int = 64 * 1024 * 1024
    is_init_billed: bool = True
    streamed_response_bytes_max: int = quotas.STREAMED_RESPONSE_BYTES.value


class Surroundings(NamedTuple):
    """What an environment is handed by its pool. `on_broken`: its runtime ended while it was idle.

    `spawn` owns background work; `on_settled` says that it is idle.
    """

    sink: TelemetrySink
    clock: Clock
    rules: EnvironmentRules
    on_settling: Callable[[ExecutionEnvironment], None]
    on_settled: Callable[[ExecutionEnvironment], None]
    on_broken: Callable[[ExecutionEnvironment], None]
    on_ended: Callable[[ExecutionEnvironment], None]
    spawn: Callable[[Coroutine[None, None, None]], None]


class EnvironmentStart(NamedTuple):
    """What runs in an environment.

    `runtime` is (Runtime Version, Runtime Version ARN), `notice` is said once in the log. `extensions` are the base
    names of the files in /opt/extensions. `variables()` returns the runtime's and the extensions' environment, each
    time with fresh credentials.
    """

    runtime: tuple[str, str]
    notice: str | None
    extensions: tuple[str, ...]
    variables: Callable[[], tuple[Mapping[str, str], Mapping[str, str]]]


class ExecutionEnvironment:
    """One sandbox running one configuration of one function version, one invocation at a time.

    Scope: node. After a crash of the daemon nothing of it is left: the supervisor kills the sandbox.
    """

    def __init__(
        self, sandbox: Sandbox, reference: EnvironmentReference, start: EnvironmentStart, around: Surroundings
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
        self._start = start
        self._around = around
        self._clock = around.clock
        self._session = RuntimeSession(self._runtime_free, around.rules.streamed_response_bytes_max)
        self._log = LogWriter(reference, around.sink, around.clock, around.rules.log_bytes_per_invocation_max)
        self._reporter = EnvironmentReporter(reference, self._log, around.sink, around.clock)
        self._door = InsideDoor(sandbox, lambda: RuntimeConnection(self._session, self._extension_asks))
        self._extensions: ExtensionHost | None = None
        if start.extensions:
            self._host()
        self._lease: ConcurrencyLease | None = None
        self._started_ns = self._told_ns = around.clock.monotonic_ns()
        self._expires_ns = self._started_ns + _LIFE_NS_MAX
        self._restarts = 0
        self._memory_sampled_ns = 0
        self._settles = 0
        # True until it was idle once, and from an invocation's begin until its answer is taken: only then does an
        # idle runtime make the environment free.
        self._is_invoking = True
        self._is_init_reported = False
        # Answered, but extensions have not finished: its REPORT is due.
        self._unfinished: Invoked | None = None
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

    @property
    def is_freezable(self) -> bool:
        """Whether freezing would hold nothing up: telemetry has been delivered, or was waited for long enough."""
        return self._extensions is None or self._extensions.is_flushed()

    async def open_door(self, endpoint: EndpointDoor | None) -> None:
        """Serve the Runtime API and the AWS endpoint inside, watch the log pipe. Before the runtime starts."""
        await self._door.open(endpoint)
        asyncio.get_running_loop().add_reader(self._sandbox.log_fd, self._log_readable)

    def init_started(self) -> None:
        """Write INIT_START; the runtime process is about to start."""
        self._started_ns = self._clock.monotonic_ns()
        self._reporter.init_started(self._start.runtime, self._start.notice)

    def note_part(self, name: str, from_ns: int, duration_ns: int) -> None:
        """Remember a part of the cold start, by the monotonic clock; Init begins where the last one ends."""
        self._told_ns = now_ns = self._clock.monotonic_ns()
        start_ms = self._clock.time_ms() - (now_ns - from_ns) // 1_000_000
        self._reporter.parts.append(Span(name, start_ms, duration_ns / 1e6))

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
        if self.state is not EnvironmentState.SHUTDOWN:
            # Else extensions may still be about their end, and `shut_down` closes.
            await self._close()

    async def invoke(
        self, invocation: Invocation, lease: ConcurrencyLease, on_stream: OnStream | None = None
    ) -> InvocationResult:
        """Run one invocation to its answer. The lease ends when the environment is idle or gone, not here.

        The caller's task must not be cancelled while this runs, for the time-out is kept here. `on_stream` gets what
        the runtime responds as soon as it begins; without, it is collected.

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
            outcome = await self._exchange(invocation, lease, on_stream)
        except SandboxError as error:
            self._end(str(error))
            await self._close()
            raise
        answered_ns = self._clock.monotonic_ns()
        if invocation.wants_log_tail and self.state is EnvironmentState.SETTLING:
            # What the runtime says after its answer belongs to this invocation's log, and a tail was asked for.
            await self._session.wait_settled(_TAIL_SECONDS)
        self._read_log()
        if isinstance(outcome, Lost):
            self._end(outcome.reason)
            await self._close()
            raise SandboxError(outcome.reason, is_started=True)
        timeout_seconds = self.version.timeout_seconds
        failure = failure_of(outcome, invocation.request_id, timeout_seconds, self._clock.time_ms())
        invoked = Invoked(invocation, outcome, failure, begun_ns, answered_ns, stream=self._session.stream)
        result = await self._conclude(invoked)
        self._is_invoking = False
        if self.state is EnvironmentState.SETTLING or self._unfinished is not None:
            left_seconds = timeout_seconds - (answered_ns - begun_ns) / 1e9
            asyncio.get_running_loop().call_later(max(left_seconds, 0.0), self._settling_overdue, self._settles)
            if self._lease is not None:
                self._lease.begin_settling()
            self._around.on_settling(self)
        elif self.state is EnvironmentState.BROKEN:
            self._break_down(outcome)
        else:
            self._settle()
        return result

    async def _exchange(self, invocation: Invocation, lease: ConcurrencyLease, on_stream: OnStream | None) -> Outcome:
        begun_ms = self._clock.time_ms()
        timeout_seconds = self.version.timeout_seconds
        timer = asyncio.get_running_loop().call_later(timeout_seconds, self._deadline_passed)
        try:
            failed = await self._restart() if self.state is EnvironmentState.BROKEN else None
            # As on AWS, START follows an Init that had to be repeated.
            self._reporter.invoke_started(invocation, begun_ms)
            if failed is not None:
                if isinstance(failed, Lost):
                    raise SandboxError(failed.reason)
                return failed
            if self.state is not EnvironmentState.IDLE:
                raise SandboxError("the environment ended before the invocation began")
            lease.hand_over()
            self._lease = lease
            deadline_ms = begun_ms + timeout_seconds * 1000
            message = next_message(invocation, deadline_ms)
            if self._extensions is not None:
                self._extensions.invoke(invocation, deadline_ms)
            begun = None if on_stream is None else partial(self._stream_begun, on_stream)
            return await self._session.deliver(invocation.request_id, message, begun)
        finally:
            timer.cancel()

    def _stream_begun(self, on_stream: OnStream, stream: ResponseStream) -> None:
        stream.begun_ns = self._clock.monotonic_ns()
        on_stream(InvocationResult(b"", self.version.version, stream=stream))

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
            status, error_type = init_status(failed)
            return error_type or status
        self._is_invoking = False
        self._settle()
        return None

    async def _first_init(self, init_seconds: float) -> Outcome | None:
        # A failed Init is not the end: it is repeated inside the first invocation (developer guide, "Init phase").
        timer = asyncio.get_running_loop().call_later(init_seconds, self._deadline_passed)
        try:
            failed = await self._start_up()
        finally:
            timer.cancel()
        if isinstance(failed, Lost):
            raise SandboxError(failed.reason)
        self._is_init_reported = True
        self._report_init("init", failed)
        return failed

    async def _restart(self) -> Outcome | None:
        """Repeat Init after a failure, with everything killed before. /tmp stays."""
        self._started_ns = self._told_ns = self._clock.monotonic_ns()
        self._restarts += 1
        self._running.clear()
        if self.is_frozen:
            self.thaw()
        if self._extensions is not None:
            self._extensions.begin()
        self._reporter.restarted()
        await self._sandbox.reset(self._start.variables()[0])
        self._session.restarted()
        self._running.set()
        failed = await self._start_up()
        self._report_init("invoke", failed)
        return failed

    async def _start_up(self) -> Outcome | None:
        """Return None when the runtime and every extension wait for their first invocation, or what ended Init."""
        failed: Outcome | None = None
        if self._start.extensions:
            failed = await self._launch(self._host())
        if failed is None:
            failed = await self._session.wait_ready()
        if failed is None and self._extensions is not None:
            failed = await self._extensions.wait_ready()
        if failed is not None:
            self._session.fail(failed)
        return failed

    async def _launch(self, host: ExtensionHost) -> Outcome | None:
        begun_ns = self._clock.monotonic_ns()
        failed = await host.launch(self._start.variables()[1])
        registered_ns = self._clock.monotonic_ns()
        self.note_part("extensions", begun_ns, registered_ns - begun_ns)
        if failed is None:
            await self._sandbox.start_runtime()
            self.note_part("runtime", registered_ns, self._clock.monotonic_ns() - registered_ns)
        return failed

    def _deadline_passed(self) -> None:
        if self._extensions is not None:
            self._extensions.fail(DeadlinePassed())
        self._session.deadline_passed()

    def _report_init(self, phase: str, failed: Outcome | None) -> None:
        now_ns = self._clock.monotonic_ns()
        duration_ms = (now_ns - self._started_ns) / 1e6
        self._read_log()
        self._reporter.init_runtime_done(phase, failed)
        if self._extensions is not None:
            self._extensions.init_ended()
        self.note_part("init", self._told_ns, now_ns - self._told_ns)
        self._reporter.init_reported(phase, failed, duration_ms)

    async def _conclude(self, invoked: Invoked) -> InvocationResult:
        outcome, failure = invoked.outcome, invoked.failure
        error_type: str | None
        if failure is not None:
            is_error, error_type = True, failure.error_type
            if isinstance(outcome, Exited) and self._session.stream is not None:
                error_type = TRUNCATED
            self._reporter.fault(failure.log_text)
        else:
            assert isinstance(outcome, Answered | InitFailed)
            error_type = outcome.error_type
            is_error = isinstance(outcome, InitFailed) or outcome.is_error
        payload = invoked.payload
        if self._extensions is None:
            self._report(invoked)
        else:
            self._unfinished = invoked
            if not self._is_finished() and invoked.invocation.wants_log_tail:
                await self._extensions.wait_idle(_TAIL_SECONDS)
                self._is_finished()
            if self.state is EnvironmentState.BROKEN:
                # It failed as the answer came, or has failed since.
                self._report_failed(None if failure is not None else self._extensions.failed)
        error = FunctionErrorKind.UNHANDLED if is_error else None
        return InvocationResult(payload, self.version.version, error, self._log.take_tail(), error_type)

    def _is_finished(self) -> bool:
        """Write what is due of the invocation that was answered; True when that was all."""
        invoked, host = self._unfinished, self._extensions
        if invoked is None or host is None or self.state is not EnvironmentState.IDLE:
            return False
        self._reporter.runtime_done(invoked)
        if not host.is_idle:
            return False
        self._unfinished = None
        self._report(invoked)
        return True

    def _report(self, invoked: Invoked) -> None:
        self._log.end_invocation()
        self._sample_memory()
        # Of provisioned concurrency Init is paid by the time that it stands ready.
        is_init_billed = self._around.rules.is_init_billed and not self.is_provisioned
        self._reporter.invoke_reported(invoked, self.memory_peak_mib, is_init_billed=is_init_billed)

    def _sample_memory(self) -> None:
        # Two small file reads; a peak cannot shrink, so ten samples a second are enough.
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._memory_sampled_ns > _MEMORY_SAMPLE_NS:
            self._memory_sampled_ns = now_ns
            self.memory_peak_mib = max(self.memory_peak_mib, self._sandbox.memory_peak_mib())

    def _runtime_exited(self, exited: Exited) -> None:
        self._read_log()
        if self.state in (EnvironmentState.ENDED, EnvironmentState.SHUTDOWN):
            self._running.set()
            return
        self._failed(exited)

    def _failed(self, outcome: Outcome) -> None:
        """The runtime or an extension failed, whatever the environment was doing."""
        state = self.state
        if state in (EnvironmentState.ENDED, EnvironmentState.SHUTDOWN, EnvironmentState.BROKEN):
            return
        self._session.fail(outcome)
        if self._extensions is not None:
            self._extensions.fail(outcome)
        if self._is_invoking:
            return
        if self._unfinished is not None:
            self._report_failed(outcome)
            self._break_down(outcome)
        elif state is EnvironmentState.SETTLING:
            self._settle()
        elif state is EnvironmentState.IDLE:
            self._around.on_broken(self)

    def _settling_overdue(self, settles: int) -> None:
        # The runtime answered and never came back for the next one, or an extension did not: time is over.
        if settles == self._settles and (self.state is EnvironmentState.SETTLING or self._unfinished is not None):
            self._failed(DeadlinePassed())

    def _report_failed(self, late: Outcome | None) -> None:
        """The caller has its answer; what failed afterwards, `late`, is said in the log."""
        invoked, self._unfinished = self._unfinished, None
        if invoked is None:
            return
        if late is not None and isinstance(invoked.outcome, Answered):
            invoked.outcome = late
            request_id, now_ms = invoked.invocation.request_id, self._clock.time_ms()
            invoked.failure = failure_of(late, request_id, self.version.timeout_seconds, now_ms)
            if invoked.failure is not None:
                self._reporter.fault(invoked.failure.log_text)
        self._report(invoked)

    def _runtime_free(self) -> None:
        if self._is_invoking:
            return
        if self._unfinished is None or self._is_finished():
            self._settle()

    def _extensions_changed(self) -> None:
        if not self._is_invoking and self._unfinished is not None and self._is_finished():
            self._settle()

    def _extension_asks(self, connection: RuntimeConnection, request: InsideRequest) -> bool:
        return self._host().answer(connection, request)

    def _host(self) -> ExtensionHost:
        """Return the host of extensions; one that has none gets it when something inside first asks for it."""
        if self._extensions is None:
            # Few functions have extensions: what serves them is loaded for the first that has.
            from lambent.environments.extensions.host import ExtensionHost, HostParts

            around = self._around
            log = LogWriter(self.reference, around.sink, self._clock, around.rules.log_bytes_per_invocation_max)
            parts = HostParts(
                self._sandbox, self.reference, self._clock, self._log, log, self._start.extensions, around.spawn
            )
            is_open = self.state in (EnvironmentState.COLD, EnvironmentState.RESTARTING)
            self._extensions = ExtensionHost(parts, self._extensions_changed, self._failed, is_open=is_open)
            self._reporter.attach(self._extensions.telemetry)
        return self._extensions

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
        if self.idle_since_ns > self._expires_ns:
            self.is_retired = True
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
            if self._extensions is not None:
                self._extensions.frozen(is_frozen=True)

    def thaw(self) -> None:
        """Let it run."""
        self.is_frozen = False
        self._sandbox.thaw()
        if self._extensions is not None:
            self._extensions.frozen(is_frozen=False)

    async def shut_down(self) -> None:
        """Shutdown phase: SIGTERM, the grace, then the end. Idempotent."""
        if self.state in (EnvironmentState.ENDED, EnvironmentState.SHUTDOWN):
            return
        has_runtime = self.state is not EnvironmentState.BROKEN
        invoked, self._unfinished = self._unfinished, None
        if invoked is not None:
            self._report(invoked)
        self._session.begin_shutdown()
        try:
            if has_runtime:
                if self.is_frozen:
                    self.thaw()
                await self._end_processes("spindown")
        finally:
            self._running.set()
            await self._close()

    async def _end_processes(self, reason: str) -> None:
        grace_seconds = self._around.rules.shutdown_grace_ms / 1000
        await end_processes(self._sandbox, self._extensions, grace_seconds, reason, self._clock)
        self._read_log()

    def _break_down(self, outcome: Outcome) -> None:
        """What failed ends in the background, extensions as in a shutdown; then the environment is idle."""
        host = self._extensions
        if host is None or not host.has_external:
            self._settle()
            return
        if self._lease is not None:
            self._lease.begin_settling()
        self._around.spawn(self._wind_down("timeout" if isinstance(outcome, DeadlinePassed) else "failure"))

    async def _wind_down(self, reason: str) -> None:
        await self._end_processes(reason)
        if self.state is EnvironmentState.BROKEN:
            self._settle()

    async def discard(self) -> None:
        """End an environment whose sandbox failed before anything ran in it."""
        self._end("the sandbox failed")
        await self._close()

    async def _close(self) -> None:
        if self._door.is_open:
            closing = self._door.close()
            asyncio.get_running_loop().remove_reader(self._sandbox.log_fd)
            self._log.drain(self._sandbox.log_fd)
            self._log.end_invocation()
            if self._extensions is not None:
                self._extensions.end()
            await closing
            self._session.end("the environment ended")
            try:
                await self._sandbox.close()
            finally:
                self._gone()

    def _gone(self) -> None:
        self._door.abort()
        self._around.sink.emit(EnvironmentEnded(self.reference, self._clock.time_ms(), "shutdown"))
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()
        self._around.on_ended(self)

    def _log_readable(self) -> None:
        if not self._log.drain(self._sandbox.log_fd):
            asyncio.get_running_loop().remove_reader(self._sandbox.log_fd)

    def _read_log(self) -> None:
        # What the runtime wrote before it answered is in the pipe now; it must stand before END.
        if self._door.is_open:
            self._log.drain(self._sandbox.log_fd)


def pool_key(version: FunctionVersion, *, is_provisioned: bool) -> str:
    """Return what environments have in common that may stand in for each other."""
    return f"{version.configuration_id}/provisioned" if is_provisioned else version.configuration_id
