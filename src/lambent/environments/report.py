"""What the platform itself says of an environment: events for observers, log lines, telemetry for extensions.

Source: recorded log events (lambda/test_lambda.json); developer guide, "Lambda Telemetry API Event schema reference";
system log levels: developer guide, "System log level event mapping".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from lambent.environments.extensions.records import compact, compact_text, spans_of, time_text
from lambent.environments.outcomes import init_status
from lambent.environments.session import Answered, InitFailed
from lambent.model.environment import InitializationType
from lambent.model.platform_event import InitReport, InitStart, InvocationFigures, InvokeReport, InvokeStart, Span

if TYPE_CHECKING:
    from lambent.clock import Clock
    from lambent.environments.answers.response_stream import ResponseStream
    from lambent.environments.extensions.telemetry import Telemetry
    from lambent.environments.log_writer import LogWriter
    from lambent.environments.outcomes import RuntimeFailure
    from lambent.environments.session import Outcome
    from lambent.model.function import FunctionVersion
    from lambent.model.invocation import Invocation
    from lambent.model.platform_event import EnvironmentReference, TelemetrySink


class Invoked(Struct):
    """An invocation that was delivered, up to its REPORT. Times are of the monotonic clock."""

    invocation: Invocation
    outcome: Outcome
    failure: RuntimeFailure | None
    begun_ns: int
    answered_ns: int
    runtime_done_ns: int = 0
    stream: ResponseStream | None = None

    @property
    def responded_ns(self) -> int:
        """When the first of the answer was there: of one that is not streamed, all of it."""
        return self.answered_ns if self.stream is None else self.stream.begun_ns

    @property
    def produced_bytes(self) -> int:
        """How much the runtime has answered."""
        return len(self.payload) if self.stream is None else self.stream.produced_bytes

    @property
    def payload(self) -> bytes:
        """What the caller is answered."""
        if self.failure is not None:
            return self.failure.payload
        return self.outcome.body if isinstance(self.outcome, Answered | InitFailed) else b""

    @property
    def status(self) -> tuple[str, str | None]:
        """REPORT's status and error type."""
        if self.failure is not None:
            return self.failure.status, self.failure.error_type
        if isinstance(self.outcome, InitFailed):
            return "error", self.outcome.error_type or "Runtime.Unknown"
        return "success", None


class EnvironmentReporter:
    """Tells what happens to one environment. Scope: environment. `telemetry` is None while it has no extension."""

    def __init__(self, reference: EnvironmentReference, log: LogWriter, sink: TelemetrySink, clock: Clock) -> None:
        self._reference = reference
        self._log = log
        self._sink = sink
        self._clock = clock
        self._runtime = ("", "")
        self._init_started_ms = 0
        # Told by the next REPORT, and by that alone.
        self._init_duration_ms: float | None = None
        self._telemetry: Telemetry | None = None
        self._traced = ("", "")
        # What went before Init.
        self.parts: list[Span] = []

    def attach(self, telemetry: Telemetry) -> None:
        """Tell extensions too from now on, and that Init has begun."""
        self._telemetry = telemetry
        if self._init_started_ms:
            self._tell_init_start("init")

    def init_started(self, runtime: tuple[str, str], notice: str | None) -> None:
        """INIT_START: the runtime process is about to start. `runtime` is (Runtime Version, Runtime Version ARN)."""
        self._runtime = runtime
        self._init_started_ms = self._clock.time_ms()
        kind = self._reference.initialization_type
        self._sink.emit(InitStart(self._reference, self._init_started_ms, kind, runtime[0]))
        write_init_start(self._log, self._reference.version, kind, runtime)
        if notice is not None:
            self._log.platform(f"{notice}\n", "platform.notice", {"message": notice}, "WARN")
        if self._telemetry is not None:
            self._tell_init_start("init")

    def restarted(self) -> None:
        """Init is repeated inside an invocation."""
        self._init_started_ms = self._clock.time_ms()
        if self._telemetry is not None:
            self._tell_init_start("invoke")

    def init_runtime_done(self, phase: str, failed: Outcome | None) -> None:
        """platform.initRuntimeDone: told to extensions, and in JSON logs at level DEBUG (WARN if it failed)."""
        status, error_type = init_status(failed)
        record: dict[str, object] = {
            "initializationType": self._reference.initialization_type.value,
            "phase": phase,
            "status": status,
        }
        if error_type:
            record["errorType"] = error_type
        kind = "platform.initRuntimeDone"
        if self._log.is_json:
            self._log.platform("", kind, record, "DEBUG" if failed is None else "WARN")
        if self._telemetry is not None:
            self._telemetry.platform(self._clock.time_ms(), kind, compact(record))

    def init_reported(self, phase: str, failed: Outcome | None, duration_ms: float) -> None:
        """platform.initReport, and INIT_REPORT where AWS writes it. `duration_ms` is that of Init alone."""
        status, error_type = init_status(failed)
        kind = self._reference.initialization_type
        at_ms = self._clock.time_ms()
        if failed is None and phase == "init":
            self._init_duration_ms = duration_ms
        parts, self.parts = tuple(self.parts), []
        self._sink.emit(InitReport(self._reference, at_ms, kind, phase, status, duration_ms, error_type, parts))
        record: dict[str, object] = {
            "initializationType": kind.value,
            "phase": phase,
            "status": status,
            "metrics": {"durationMs": round(duration_ms, 3)},
            "spans": spans_of(parts),
        }
        if error_type:
            record["errorType"] = error_type
        if failed is not None:
            text = f"INIT_REPORT Init Duration: {duration_ms:.2f} ms\tPhase: {phase}\tStatus: {status}"
            text += f"\tError Type: {error_type}\n" if error_type else "\n"
            self._log.platform(text, "platform.initReport", record, "WARN")
        elif self._log.is_json:
            level = "DEBUG" if kind is InitializationType.ON_DEMAND else "INFO"
            self._log.platform("", "platform.initReport", record, level)
        if self._telemetry is not None:
            self._telemetry.platform(at_ms, "platform.initReport", compact(record))

    def invoke_started(self, invocation: Invocation, begun_ms: int) -> None:
        """START."""
        version = self._reference.version.version
        self._sink.emit(InvokeStart(self._reference, begun_ms, invocation.request_id, invocation.trace_header))
        write_start(self._log, invocation.request_id, version)
        telemetry = self._telemetry
        if telemetry is not None and telemetry.is_wanted:
            telemetry.defer(self._tell_start, telemetry, invocation, begun_ms)

    def _tell_start(self, telemetry: Telemetry, invocation: Invocation, begun_ms: int) -> None:
        head = f'{{"requestId":"{invocation.request_id}","version":"{self._reference.version.version}"'
        telemetry.platform(begun_ms, "platform.start", f"{head}{self._tracing(invocation)}}}", head + "}")

    def runtime_done(self, invoked: Invoked) -> None:
        """platform.runtimeDone, once: the runtime has answered and asked for the next invocation, or failed."""
        telemetry = self._telemetry
        if telemetry is None or invoked.runtime_done_ns:
            return
        invoked.runtime_done_ns = self._clock.monotonic_ns()
        if telemetry.is_wanted:
            # What fails later is no part of it: extensions may still work.
            done = (self._clock.time_ms(), invoked.produced_bytes, *invoked.status)
            telemetry.defer(self._tell_runtime_done, telemetry, invoked, done)

    def _tell_runtime_done(
        self, telemetry: Telemetry, invoked: Invoked, done: tuple[int, int, str, str | None]
    ) -> None:
        at_ms, produced_bytes, status, error_type = done
        now_ns, answered_ns, responded_ns = invoked.runtime_done_ns, invoked.answered_ns, invoked.responded_ns
        begun, responded, answered = (
            time_text(at_ms - (now_ns - each_ns) // 1_000_000)
            for each_ns in (invoked.begun_ns, responded_ns, answered_ns)
        )
        latency_ms, overhead_ms = (responded_ns - invoked.begun_ns) / 1e6, (now_ns - answered_ns) / 1e6
        response_ms = (answered_ns - responded_ns) / 1e6
        spans = (
            f'[{{"name":"responseLatency","start":"{begun}","durationMs":{latency_ms:.3f}}},'
            f'{{"name":"responseDuration","start":"{responded}","durationMs":{response_ms:.3f}}},'
            f'{{"name":"runtimeOverhead","start":"{answered}","durationMs":{overhead_ms:.3f}}}]'
        )
        head = f'{{"requestId":"{invoked.invocation.request_id}","status":"{status}"'
        tail = f',"errorType":{compact_text(error_type)}' if error_type else ""
        duration_ms = (now_ns - invoked.begun_ns) / 1e6
        metrics = f',"metrics":{{"durationMs":{duration_ms:.3f},"producedBytes":{produced_bytes}}}'
        content = f'{head}{metrics}{self._tracing(invoked.invocation)},"spans":{spans}{tail}}}'
        telemetry.platform(at_ms, "platform.runtimeDone", content, head + "}")

    def fault(self, text: str) -> None:
        """A line of the platform about what went wrong; old Logs API subscribers get it as platform.fault."""
        self._log.text(text)
        if self._telemetry is not None and self._telemetry.is_wanted:
            self._telemetry.platform(self._clock.time_ms(), "platform.fault", compact_text(text))

    def invoke_reported(self, invoked: Invoked, memory_peak_mib: int, *, is_init_billed: bool) -> None:
        """END and REPORT. With extensions its duration is up to the end of the last of them."""
        self.runtime_done(invoked)
        at_ms = self._clock.time_ms()
        ended_ns = invoked.answered_ns if self._telemetry is None else self._clock.monotonic_ns()
        status, error_type = invoked.status
        memory_size_mib = self._reference.version.memory_mib
        figures = InvocationFigures(
            request_id=invoked.invocation.request_id,
            trace_header=invoked.invocation.trace_header,
            status=status,
            error_type=error_type,
            duration_ms=(ended_ns - invoked.begun_ns) / 1e6,
            init_duration_ms=self._init_duration_ms,
            is_init_billed=is_init_billed,
            memory_size_mib=memory_size_mib,
            max_memory_used_mib=min(memory_peak_mib, memory_size_mib),
        )
        self._init_duration_ms = None
        write_report(self._log, figures)
        self._sink.emit(InvokeReport(self._reference, at_ms, figures))
        if self._telemetry is not None and self._telemetry.is_wanted:
            overhead_ns = ended_ns - invoked.runtime_done_ns
            telemetry = self._telemetry
            telemetry.defer(self._tell_report, telemetry, figures, invoked.invocation, (at_ms, overhead_ns))

    def _tell_report(
        self, telemetry: Telemetry, figures: InvocationFigures, invocation: Invocation, ended: tuple[int, int]
    ) -> None:
        at_ms, overhead_ns = ended
        if telemetry.has_old_subscribers:
            telemetry.platform(at_ms, "platform.end", f'{{"requestId":"{figures.request_id}"}}')
        init = f',"initDurationMs":{figures.init_duration_ms:.3f}' if figures.init_duration_ms is not None else ""
        head = (
            f'{{"requestId":"{figures.request_id}","metrics":{{"durationMs":{figures.duration_ms:.3f},'
            f'"billedDurationMs":{figures.billed_duration_ms},"memorySizeMB":{figures.memory_size_mib},'
            f'"maxMemoryUsedMB":{figures.max_memory_used_mib}{init}}}'
        )
        start = time_text(at_ms - overhead_ns // 1_000_000)
        spans = f'[{{"name":"extensionOverhead","start":"{start}","durationMs":{overhead_ns / 1e6:.3f}}}]'
        error = f',"errorType":{compact_text(figures.error_type)}' if figures.error_type else ""
        tracing = self._tracing(invocation)
        content = f'{head}{tracing},"spans":{spans},"status":"{figures.status}"{error}}}'
        telemetry.platform(at_ms, "platform.report", content, head + "}")

    def _tracing(self, invocation: Invocation) -> str:
        # Three records of an invocation have it.
        if self._traced[0] != invocation.request_id:
            header, text = invocation.trace_header, ""
            if header:
                span_id = invocation.request_id.replace("-", "")[:16]
                text = f',"tracing":{{"spanId":"{span_id}","type":"X-Amzn-Trace-Id","value":{compact_text(header)}}}'
            self._traced = (invocation.request_id, text)
        return self._traced[1]

    def _tell_init_start(self, phase: str) -> None:
        assert self._telemetry is not None
        record = init_start_record(self._reference.version, self._reference.initialization_type, self._runtime, phase)
        self._telemetry.platform(self._init_started_ms, "platform.initStart", compact(record))


def init_start_record(
    version: FunctionVersion, initialization_type: InitializationType, runtime: tuple[str, str], phase: str
) -> dict[str, object]:
    """Return the record of platform.initStart."""
    return {
        "initializationType": initialization_type.value,
        "phase": phase,
        "runtimeVersion": runtime[0],
        "runtimeVersionArn": runtime[1],
        "functionName": version.name,
        "functionVersion": version.version,
    }


def write_init_start(
    log: LogWriter, version: FunctionVersion, initialization_type: InitializationType, runtime: tuple[str, str]
) -> None:
    """Write INIT_START. `runtime` is (Runtime Version, Runtime Version ARN)."""
    text = f"INIT_START Runtime Version: {runtime[0]}\tRuntime Version ARN: {runtime[1]}\n"
    record = init_start_record(version, initialization_type, runtime, "init")
    log.platform(text, "platform.initStart", record)


def write_start(log: LogWriter, request_id: str, version: str) -> None:
    """Write START."""
    if log.is_json:
        log.platform("", "platform.start", {"requestId": request_id, "version": version})
    else:
        log.text(f"START RequestId: {request_id} Version: {version}\n")


def write_report(log: LogWriter, figures: InvocationFigures) -> None:
    """Write END and REPORT."""
    if log.is_json:
        log.platform("", "platform.report", _report_record(figures))
    else:
        log.text(_report_text(figures))


def _report_text(figures: InvocationFigures) -> str:
    request_id = figures.request_id
    text = (
        f"END RequestId: {request_id}\nREPORT RequestId: {request_id}\tDuration: {figures.duration_ms:.2f} ms\t"
        f"Billed Duration: {figures.billed_duration_ms} ms\tMemory Size: {figures.memory_size_mib} MB\t"
        f"Max Memory Used: {figures.max_memory_used_mib} MB\t"
    )
    if figures.init_duration_ms is not None:
        text += f"Init Duration: {figures.init_duration_ms:.2f} ms\t"
    if figures.status != "success":
        text += f"Status: {figures.status}"
        if figures.status == "error" and figures.error_type:
            text += f"\tError Type: {figures.error_type}"
    if "Sampled=1" in figures.trace_header:
        text += f"\nXRAY TraceId: {_trace_root(figures.trace_header)}\tSampled: true\t"
    return text + "\n"


def _report_record(figures: InvocationFigures) -> dict[str, object]:
    metrics: dict[str, object] = {
        "durationMs": round(figures.duration_ms, 3),
        "billedDurationMs": figures.billed_duration_ms,
        "memorySizeMB": figures.memory_size_mib,
        "maxMemoryUsedMB": figures.max_memory_used_mib,
    }
    if figures.init_duration_ms is not None:
        metrics["initDurationMs"] = round(figures.init_duration_ms, 3)
    record: dict[str, object] = {"requestId": figures.request_id, "metrics": metrics, "status": figures.status}
    if figures.error_type is not None:
        record["errorType"] = figures.error_type
    return record


def _trace_root(header: str) -> str:
    return next((part[5:] for part in header.split(";") if part.startswith("Root=")), header)
