"""The platform's own log lines, as text and as records. Source: recorded log events (lambda/test_lambda.json)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambent.environments.log_writer import LogWriter
    from lambent.model.environment import InitializationType
    from lambent.model.function import FunctionVersion
    from lambent.model.platform_event import InvocationFigures


def write_init_start(
    log: LogWriter, version: FunctionVersion, initialization_type: InitializationType, runtime: tuple[str, str]
) -> None:
    """Write INIT_START. `runtime` is (Runtime Version, Runtime Version ARN)."""
    text = f"INIT_START Runtime Version: {runtime[0]}\tRuntime Version ARN: {runtime[1]}\n"
    record = {
        "initializationType": initialization_type.value,
        "phase": "init",
        "runtimeVersion": runtime[0],
        "runtimeVersionArn": runtime[1],
        "functionName": version.name,
        "functionVersion": version.version,
    }
    log.platform(text, "platform.initStart", record)


def write_init_report(log: LogWriter, phase: str, status: str, error_type: str | None, duration_ms: float) -> None:
    """Write INIT_REPORT, which AWS writes in text format only when Init failed."""
    text = f"INIT_REPORT Init Duration: {duration_ms:.2f} ms\tPhase: {phase}\tStatus: {status}"
    text += f"\tError Type: {error_type}\n" if error_type else "\n"
    record: dict[str, object] = {
        "initializationType": "on-demand",
        "phase": phase,
        "status": status,
        "metrics": {"durationMs": round(duration_ms, 3)},
    }
    if error_type:
        record["errorType"] = error_type
    log.platform(text, "platform.initReport", record)


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
