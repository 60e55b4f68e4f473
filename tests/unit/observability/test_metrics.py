"""Counts of functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.model.environment import InitializationType
from lambent.model.platform_event import InitReport, ProvisionedSpillover, Span, Throttled, UrlAnswered
from lambent.observability.metrics import FUNCTIONS_MAX, FunctionMetrics

if TYPE_CHECKING:
    from tests.unit.observability.conftest import Events


def test_counts_of_invocations(events: Events) -> None:
    metrics = FunctionMetrics()
    for event in (events.start(), events.start(), events.report("success", 2.5), events.report("timeout", 3000.25)):
        metrics.record(event)
    counts = metrics.of_account("1" * 12, "eu-west-1")["hello"]
    assert counts["invocations"] == 2
    assert (counts["errors"], counts["timeouts"]) == (1, 1)
    assert (counts["concurrent"], counts["concurrent_max"]) == (0, 2)
    assert (counts["duration_ms_sum"], counts["duration_ms_max"]) == (3002.75, 3000.25)
    assert counts["billed_duration_ms_sum"] == 3 + 3001


def test_throttles_and_initialisations_count(events: Events) -> None:
    metrics = FunctionMetrics()
    metrics.record(Throttled("1" * 12, "eu-west-1", "hello", 0, "ConcurrentInvocationLimitExceeded"))
    metrics.record(InitReport(events.environment(), 0, InitializationType.ON_DEMAND, "init", "success", 12.5))
    counts = metrics.of_account("1" * 12, "eu-west-1")["hello"]
    assert (counts["throttles"], counts["initialisations"], counts["init_duration_ms_sum"]) == (1, 1, 12.5)


def test_answers_of_urls_count() -> None:
    metrics = FunctionMetrics()
    for status, latency_ms in ((200, 1.5), (302, 0.5), (404, 1.0), (502, 2.0)):
        metrics.record(UrlAnswered("1" * 12, "eu-west-1", "hello", 0, status, latency_ms))
    counts = metrics.of_account("1" * 12, "eu-west-1")["hello"]
    assert (counts["url_requests"], counts["url_4xx"], counts["url_5xx"]) == (4, 1, 1)
    assert counts["url_latency_ms_sum"] == 5.0


def test_the_parts_of_a_cold_start_are_kept_apart(events: Events) -> None:
    metrics = FunctionMetrics()
    parts = tuple(Span(name, 0, float(number)) for number, name in enumerate(("sandbox", "code", "runtime", "init"), 1))
    kind = InitializationType.ON_DEMAND
    metrics.record(InitReport(events.environment(), 0, kind, "init", "success", 12.5, None, parts))
    counts = metrics.of_account("1" * 12, "eu-west-1")["hello"]
    assert [counts[f"cold_start_{name}_ms_sum"] for name in ("sandbox", "code", "runtime", "init")] == [1, 2, 3, 4]


def test_provisioned_concurrency_counts_beside(events: Events) -> None:
    metrics = FunctionMetrics()
    provisioned = events.environment()._replace(initialization_type=InitializationType.PROVISIONED_CONCURRENCY)
    for event in (
        events.start(provisioned),
        events.start(),
        ProvisionedSpillover("1" * 12, "eu-west-1", "hello", "1", 0),
    ):
        metrics.record(event)
    counts = metrics.of_account("1" * 12, "eu-west-1")["hello"]
    assert [counts[name] for name in ("invocations", "provisioned_invocations", "provisioned_spillovers")] == [2, 1, 1]


def test_accounts_see_only_their_own(events: Events) -> None:
    metrics = FunctionMetrics()
    metrics.record(events.start())
    assert metrics.of_account("2" * 12, "eu-west-1") == {}
    assert metrics.of_account("1" * 12, "us-east-1") == {}


def test_the_number_of_functions_is_bounded() -> None:
    metrics = FunctionMetrics()
    for number in range(FUNCTIONS_MAX + 5):
        metrics.record(Throttled("1" * 12, "eu-west-1", f"f{number}", 0, ""))
    names = metrics.of_account("1" * 12, "eu-west-1")
    assert len(names) == FUNCTIONS_MAX
    assert "f0" not in names
    assert f"f{FUNCTIONS_MAX + 4}" in names
