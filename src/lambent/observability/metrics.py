"""Counts of each function, kept in memory and read by GET /_lambent/v1/metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import asdict

from lambent.model.environment import InitializationType
from lambent.model.event import TargetKind
from lambent.model.platform_event import (
    AsyncEventAged,
    AsyncEventDropped,
    AsyncEventReceived,
    EventDeliveryFailed,
    InitReport,
    InvokeReport,
    InvokeStart,
    ProvisionedSpillover,
    RecursionStopped,
    SignatureUnverified,
    SourceMeasured,
    Throttled,
    UrlAnswered,
)

if TYPE_CHECKING:
    from lambent.model.platform_event import EnvironmentReference, PlatformEvent

FUNCTIONS_MAX = 20_000
_PROVISIONED = InitializationType.PROVISIONED_CONCURRENCY
_Key = tuple[str, str, str]


class FunctionCounts(Struct):
    """What one function did since the daemon started. Durations in milliseconds."""

    invocations: int = 0
    errors: int = 0
    throttles: int = 0
    timeouts: int = 0
    provisioned_invocations: int = 0
    provisioned_spillovers: int = 0
    signature_validation_errors: int = 0
    async_events_received: int = 0
    async_event_age_ms_sum: int = 0
    async_event_age_ms_max: int = 0
    async_events_dropped: int = 0
    destination_delivery_failures: int = 0
    dead_letter_errors: int = 0
    recursive_invocations_dropped: int = 0
    initialisations: int = 0
    duration_ms_sum: float = 0.0
    duration_ms_max: float = 0.0
    billed_duration_ms_sum: int = 0
    init_duration_ms_sum: float = 0.0
    cold_start_sandbox_ms_sum: float = 0.0
    cold_start_code_ms_sum: float = 0.0
    cold_start_runtime_ms_sum: float = 0.0
    cold_start_init_ms_sum: float = 0.0
    concurrent: int = 0
    concurrent_max: int = 0
    # UrlRequestCount, Url4xxCount, Url5xxCount, UrlRequestLatency.
    url_requests: int = 0
    url_4xx: int = 0
    url_5xx: int = 0
    url_latency_ms_sum: float = 0.0


class FunctionMetrics:
    """Counts by account, region and function name.

    Scope: node. A crash sets them to zero. Holds at most FUNCTIONS_MAX functions, and as many event source mappings;
    those seen first leave first.
    """

    def __init__(self) -> None:
        self._counts: dict[_Key, FunctionCounts] = {}
        self._sources: dict[_Key, dict[str, float | str]] = {}

    def record(self, event: PlatformEvent) -> None:
        """Count one event; events that carry no figure change nothing."""
        if isinstance(event, InvokeStart):
            counts = self._of_environment(event.environment)
            counts.invocations += 1
            counts.provisioned_invocations += event.environment.initialization_type is _PROVISIONED
            counts.concurrent += 1
            counts.concurrent_max = max(counts.concurrent_max, counts.concurrent)
        elif isinstance(event, InvokeReport):
            self._record_report(event)
        elif isinstance(event, Throttled):
            self._of((event.account_id, event.region, event.name)).throttles += 1
        elif isinstance(event, ProvisionedSpillover):
            self._of((event.account_id, event.region, event.name)).provisioned_spillovers += 1
        elif isinstance(event, UrlAnswered):
            self._record_url(event)
        elif isinstance(event, SignatureUnverified):
            self._of((event.account_id, event.region, event.name)).signature_validation_errors += 1
        elif isinstance(event, InitReport):
            counts = self._of_environment(event.environment)
            counts.initialisations += 1
            counts.init_duration_ms_sum += event.duration_ms
            for part in event.parts:
                if part.name == "sandbox":
                    counts.cold_start_sandbox_ms_sum += part.duration_ms
                elif part.name == "code":
                    counts.cold_start_code_ms_sum += part.duration_ms
                elif part.name == "init":
                    counts.cold_start_init_ms_sum += part.duration_ms
                else:
                    counts.cold_start_runtime_ms_sum += part.duration_ms
        else:
            self._record_asynchronous(event)

    def of_account(self, account_id: str, region: str) -> dict[str, dict[str, float]]:
        """Return function name → counts of one account and region, by name."""
        mine = [(key[2], counts) for key, counts in self._counts.items() if key[:2] == (account_id, region)]
        return {name: asdict(counts) for name, counts in sorted(mine, key=lambda item: item[0])}

    def of_mappings(self, account_id: str, region: str) -> dict[str, dict[str, float | str]]:
        """Return UUID → figures of one account's event source mappings, by AWS's names of the metrics.

        Of a level, as a lag or an age, the last value stands under its name and the highest under NAME_max.
        """
        return {key[2]: dict(kept) for key, kept in sorted(self._sources.items()) if key[:2] == (account_id, region)}

    def _record_source(self, event: SourceMeasured) -> None:
        key = (event.account_id, event.region, event.mapping_id)
        kept = self._sources.get(key)
        if kept is None:
            if len(self._sources) >= FUNCTIONS_MAX:
                del self._sources[next(iter(self._sources))]
            kept = self._sources[key] = {}
        kept["function"] = event.name
        if not event.is_level:
            kept[event.metric] = float(kept.get(event.metric, 0)) + event.value
            return
        kept[event.metric] = event.value
        highest = f"{event.metric}_max"
        kept[highest] = max(float(kept.get(highest, 0)), event.value)

    def _record_asynchronous(self, event: PlatformEvent) -> None:
        if isinstance(event, AsyncEventReceived):
            self._of((event.account_id, event.region, event.name)).async_events_received += 1
        elif isinstance(event, AsyncEventAged):
            counts = self._of((event.account_id, event.region, event.name))
            counts.async_event_age_ms_sum += event.age_ms
            counts.async_event_age_ms_max = max(counts.async_event_age_ms_max, event.age_ms)
        elif isinstance(event, AsyncEventDropped):
            self._of((event.account_id, event.region, event.name)).async_events_dropped += 1
        elif isinstance(event, EventDeliveryFailed):
            counts = self._of((event.account_id, event.region, event.name))
            counts.destination_delivery_failures += event.kind is TargetKind.DESTINATION
            counts.dead_letter_errors += event.kind is TargetKind.DEAD_LETTER
        elif isinstance(event, RecursionStopped):
            self._of((event.account_id, event.region, event.name)).recursive_invocations_dropped += 1
        elif isinstance(event, SourceMeasured):
            self._record_source(event)

    def _record_url(self, event: UrlAnswered) -> None:
        counts = self._of((event.account_id, event.region, event.name))
        counts.url_requests += 1
        counts.url_4xx += 400 <= event.status < 500
        counts.url_5xx += event.status >= 500
        counts.url_latency_ms_sum += event.latency_ms

    def _record_report(self, event: InvokeReport) -> None:
        counts = self._of_environment(event.environment)
        figures = event.figures
        # The function may have been forgotten between start and report.
        counts.concurrent = max(0, counts.concurrent - 1)
        counts.errors += figures.status != "success"
        counts.timeouts += figures.status == "timeout"
        counts.duration_ms_sum += figures.duration_ms
        counts.duration_ms_max = max(counts.duration_ms_max, figures.duration_ms)
        counts.billed_duration_ms_sum += figures.billed_duration_ms

    def _of_environment(self, environment: EnvironmentReference) -> FunctionCounts:
        version = environment.version
        return self._of((version.account_id, version.region, version.name))

    def _of(self, key: _Key) -> FunctionCounts:
        counts = self._counts.get(key)
        if counts is None:
            if len(self._counts) >= FUNCTIONS_MAX:
                del self._counts[next(iter(self._counts))]
            counts = self._counts[key] = FunctionCounts()
        return counts
