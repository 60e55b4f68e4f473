"""What the data plane tells observers: a closed union, with the Telemetry API's names and fields.

Every event says when (`at_ms`, Unix epoch), which version and which environment (its log stream). Emission never
waits: the sink is bounded and counts what it had to drop.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

from lambent.model.environment import InitializationType

if TYPE_CHECKING:
    from lambent.model.event import Condition, TargetKind
    from lambent.model.function import FunctionVersion

# A record of a runtime client: "[ERROR] …", "[INFO]\t…" or "2026-01-31T23:59:59.123Z\t…".
_RECORD = re.compile(rb"^(?:\[[A-Z]+\][ \t]|\d{4}-\d\d-\d\dT[\d:.]+Z\t)[^\n]*", re.MULTILINE)
_LINE_END_INSIDE = re.compile(rb"\r(?!\n|$)")


class EnvironmentReference(NamedTuple):
    """Which environment speaks. `log_stream` is `YYYY/MM/DD/[version]32 hex digits`."""

    environment_id: str
    version: FunctionVersion
    log_stream: str
    initialization_type: InitializationType = InitializationType.ON_DEMAND


class InitStart(NamedTuple):
    """platform.initStart"""

    environment: EnvironmentReference
    at_ms: int
    initialization_type: InitializationType
    runtime_version: str


class Span(NamedTuple):
    """A part of something. `start_ms` is Unix epoch."""

    name: str
    start_ms: int
    duration_ms: float


class InitReport(NamedTuple):
    """platform.initReport: Init ended. `status` is success, error or timeout.

    `parts` are those of the whole cold start, what came before Init included: sandbox, code, extensions, runtime, init.
    """

    environment: EnvironmentReference
    at_ms: int
    initialization_type: InitializationType
    phase: str
    status: str
    duration_ms: float
    error_type: str | None = None
    parts: tuple[Span, ...] = ()


class InvokeStart(NamedTuple):
    """platform.start"""

    environment: EnvironmentReference
    at_ms: int
    request_id: str
    trace_header: str


class InvocationFigures(NamedTuple):
    """What REPORT says of one invocation. Durations in milliseconds, memory in MiB.

    `status` is success, error, timeout or failure.
    """

    request_id: str
    trace_header: str
    status: str
    error_type: str | None
    duration_ms: float
    init_duration_ms: float | None
    is_init_billed: bool
    memory_size_mib: int
    max_memory_used_mib: int

    @property
    def billed_duration_ms(self) -> int:
        """Duration, and Init if it is billed, rounded up to a whole millisecond."""
        billed_init_ms = (self.init_duration_ms or 0.0) if self.is_init_billed else 0.0
        return math.ceil(self.duration_ms + billed_init_ms)


class InvokeReport(NamedTuple):
    """platform.report: one invocation is over."""

    environment: EnvironmentReference
    at_ms: int
    figures: InvocationFigures


class LogLines(NamedTuple):
    """Finished lines of one environment's log, each ended by a newline, in the order they were written.

    `lines` holds the bytes as they shall be kept (START, END, REPORT, function output …), text or JSON already.
    `folded` holds the same with each record of several lines in one, carriage returns inside, for who keeps records
    and not lines; empty when there is no difference.
    """

    environment: EnvironmentReference
    at_ms: int
    lines: bytes
    folded: bytes = b""


class EnvironmentEnded(NamedTuple):
    """The environment is gone; nothing more of its log stream follows."""

    environment: EnvironmentReference
    at_ms: int
    reason: str


class Throttled(NamedTuple):
    """An invocation was refused with 429. `reason` is AWS's ThrottleReason."""

    account_id: str
    region: str
    name: str
    at_ms: int
    reason: str


class SignatureUnverified(NamedTuple):
    """Code without a verified signature was deployed; its code signing configuration only warns."""

    account_id: str
    region: str
    name: str
    at_ms: int


class ProvisionedSpillover(NamedTuple):
    """An invocation runs on demand because every environment of its version's provisioned concurrency is busy."""

    account_id: str
    region: str
    name: str
    version: str
    at_ms: int


class UrlAnswered(NamedTuple):
    """A request to a function URL was answered, with HTTP status `status`; `latency_ms` is until the answer began."""

    account_id: str
    region: str
    name: str
    at_ms: int
    status: int
    latency_ms: float


class AsyncEventReceived(NamedTuple):
    """An event is in its function's queue. The metric AsyncEventsReceived."""

    account_id: str
    region: str
    name: str
    at_ms: int


class AsyncEventAged(NamedTuple):
    """An event leaves the queue for an attempt, `age_ms` after it came. The metric AsyncEventAge."""

    account_id: str
    region: str
    name: str
    at_ms: int
    age_ms: int


class AsyncEventDropped(NamedTuple):
    """An event ended without success, told to somebody or not. The metric AsyncEventsDropped."""

    account_id: str
    region: str
    name: str
    at_ms: int
    condition: Condition


class EventDeliveryFailed(NamedTuple):
    """A destination or a dead-letter queue did not take its message: DestinationDeliveryFailures, DeadLetterErrors."""

    account_id: str
    region: str
    name: str
    at_ms: int
    kind: TargetKind


class RecursionStopped(NamedTuple):
    """An event was not run because its function had called itself too often: RecursiveInvocationsDropped."""

    account_id: str
    region: str
    name: str
    at_ms: int


class SourceMeasured(NamedTuple):
    """A figure of an event source mapping, by AWS's name of the metric; `mapping_id` is its UUID.

    `is_level`: the value is how things are at this moment, and is not added to what was.
    """

    account_id: str
    region: str
    name: str
    at_ms: int
    mapping_id: str
    metric: str
    value: float
    is_level: bool = False


PlatformEvent = (
    AsyncEventReceived
    | AsyncEventAged
    | AsyncEventDropped
    | EventDeliveryFailed
    | RecursionStopped
    | SourceMeasured
    | InitStart
    | InitReport
    | InvokeStart
    | InvokeReport
    | LogLines
    | EnvironmentEnded
    | Throttled
    | ProvisionedSpillover
    | SignatureUnverified
    | UrlAnswered
)


class TelemetrySink(Protocol):
    """Where platform events go. Given by constructor; `emit` never blocks and never raises."""

    def emit(self, event: PlatformEvent) -> None:
        """Take one event, or count it as lost when the bound is reached."""


def unfolded(lines: bytes) -> bytes:
    """Return lines with the line ends that runtime clients fold into a record."""
    # Runtime clients, AWS's own too, write a record of several lines as one line with carriage returns inside; what
    # AWS keeps has real line ends. Other programs' carriage returns (progress bars) stay.
    if b"\r" not in lines:
        return lines
    return _RECORD.sub(lambda record: _LINE_END_INSIDE.sub(b"\n", record[0]), lines)
