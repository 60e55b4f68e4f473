"""The two documented operations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lambent.model.caller import Caller
from lambent.model.errors import InvalidParameterValueError
from lambent.observability import Answer, FunctionMetrics, LogStore, ObservabilityRoutes, Recorder
from lambent.observability.log_format import LogGroup, encode
from tests.loops import run_apart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.unit.observability.conftest import Events

AT_MS = 1_800_000_000_000
_CALLER = Caller("1" * 12, "eu-west-1", "", "id", "")


@pytest.fixture
def routes(tmp_path: Path, events: Events, fixed_clock: Callable[[], Any]) -> ObservabilityRoutes:
    store = LogStore(tmp_path, 1024 * 1024)
    store.load()
    group = LogGroup("1" * 12, "eu-west-1", "/aws/lambda/hello")
    for at_ms, text in ((AT_MS - 3_600_000, b"an hour ago\n"), (AT_MS - 1_000, b"a second ago\n")):
        store.append(group, encode(at_ms, "hello", "s", text), at_ms)
    metrics = FunctionMetrics()
    metrics.record(events.start())
    return ObservabilityRoutes(store, Recorder(store, metrics), metrics, fixed_clock())


async def _collect(body: AsyncIterator[bytes] | bytes) -> bytes:
    return body if isinstance(body, bytes) else b"".join([chunk async for chunk in body])


def _logs(routes: ObservabilityRoutes, **query: str) -> tuple[Answer, list[str]]:
    async def ask() -> tuple[Answer, bytes]:
        answer = await routes.logs(_CALLER, query)
        return answer, await _collect(answer.body)

    answer, body = run_apart(ask())
    return answer, [json.loads(line)["message"] for line in body.splitlines()]


def test_logs_of_a_function(routes: ObservabilityRoutes) -> None:
    answer, messages = _logs(routes, function="hello")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert messages == ["an hour ago", "a second ago"]


@pytest.mark.parametrize("since", ["10m", "2s", str(AT_MS - 5_000), "2027-01-15T07:59:00+00:00", "2027-01-15T07:59:00"])
def test_since_in_every_form(routes: ObservabilityRoutes, since: str) -> None:
    assert _logs(routes, function="hello", since=since)[1] == ["a second ago"]


def test_a_group_of_nobody_is_empty(routes: ObservabilityRoutes) -> None:
    assert _logs(routes, group="/aws/lambda/none")[1] == []


@pytest.mark.parametrize(
    "query",
    [{}, {"function": "x", "since": "soon"}, {"function": "x", "follow": "maybe"}, {"function": "x", "tail": "1"}],
)
def test_wrong_parameters_are_refused(routes: ObservabilityRoutes, query: dict[str, str]) -> None:
    with pytest.raises(InvalidParameterValueError):
        run_apart(routes.logs(_CALLER, query))


def test_metrics(routes: ObservabilityRoutes) -> None:
    answer = run_apart(routes.metrics(_CALLER, {}))
    assert isinstance(answer.body, bytes)
    body = json.loads(answer.body)
    assert body["functions"]["hello"]["invocations"] == 1
    assert body["logs"]["lost_bytes"] == 0
    with pytest.raises(InvalidParameterValueError):
        run_apart(routes.metrics(_CALLER, {"x": "y"}))
