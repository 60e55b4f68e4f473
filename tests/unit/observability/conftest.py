"""Events and clocks for the tests of this room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lambent.model.function import CodeReference, FunctionVersion, LoggingConfig
from lambent.model.platform_event import EnvironmentReference, InvocationFigures, InvokeReport, InvokeStart, LogLines

if TYPE_CHECKING:
    from collections.abc import Callable

AT_MS = 1_800_000_000_000


class Events:
    """Makes platform events of named functions."""

    def environment(
        self, function: str = "hello", stream: str = "s1", *, account: str = "1" * 12, group: str | None = None
    ) -> EnvironmentReference:
        """An environment of `function`."""
        version = FunctionVersion(
            account_id=account,
            region="eu-west-1",
            name=function,
            role="",
            code=CodeReference("0" * 64, 1, 1),
            configuration_id="c",
            revision_id="r",
            last_modified_ms=0,
            logging=LoggingConfig(log_group=group),
        )
        return EnvironmentReference(stream, version, stream)

    def lines(self, text: str, environment: EnvironmentReference | None = None, at_ms: int = AT_MS) -> LogLines:
        """Log lines."""
        return LogLines(environment or self.environment(), at_ms, text.encode())

    def start(self, environment: EnvironmentReference | None = None) -> InvokeStart:
        """The start of an invocation."""
        return InvokeStart(environment or self.environment(), AT_MS, "id", "")

    def report(self, status: str = "success", duration_ms: float = 2.5) -> InvokeReport:
        """Its report."""
        figures = InvocationFigures("id", "", status, None, duration_ms, None, True, 128, 30)
        return InvokeReport(self.environment(), AT_MS, figures)


@pytest.fixture
def events() -> Events:
    """A maker of events."""
    return Events()


@pytest.fixture
def fixed_clock() -> Callable[[], object]:
    """A clock that stands at AT_MS."""

    class FixedClock:
        def time_ms(self) -> int:
            return AT_MS

        def monotonic_ns(self) -> int:
            return 0

    return FixedClock
