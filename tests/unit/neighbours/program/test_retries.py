"""Events that the daemon cannot take are tried again as long as somebody wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lambent.neighbours.program.bridge import Source
from lambent.neighbours.program.retries import Retries

if TYPE_CHECKING:
    from collections.abc import Callable

_ARN = "arn:aws:lambda:eu-west-1:111111111111:function:f"
_RULE = Source(
    "events.amazonaws.com", "arn:aws:events:eu-west-1:111111111111:rule/r", "111111111111", is_event=True,
    dead_letter="arn:aws:sqs:eu-west-1:111111111111:q", attributes=(("RULE_ARN", "r"), ("TARGET_ARN", _ARN)),
)  # fmt: skip
_FULL = ("TooManyRequestsException", False, b"full")


class Daemon:
    """A bridge whose daemon answers in turn, and time that passes by sleeping alone."""

    def __init__(self, answers: list[tuple[str, bool, bytes]]) -> None:
        self.answers = answers
        self.sources: list[Source] = []
        self.failures: list[tuple[str, str]] = []
        self.now = 0.0
        self.waiting: list[tuple[float, Callable[[], object]]] = []
        self.hand_over: Callable[[str, Source, object], object] = lambda *_: None
        Retries(self, self.sleep, lambda: self.now)  # type: ignore[arg-type]

    def exchange(self, _arn: str, source: Source, _event: Any, **named: Any) -> tuple[str, bool, bytes]:
        self.sources.append(source)
        if named.get("failure"):
            self.failures.append(named["failure"])
            return "", False, b""
        return self.answers.pop(0) if self.answers else _FULL

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def later(self, seconds: float, work: Callable[[], object]) -> None:
        self.waiting.append((seconds, work))

    def pass_on(self) -> None:
        """Let all time pass that something waits for."""
        while self.waiting:
            seconds, work = self.waiting.pop(0)
            self.now += seconds
            work()


def test_what_is_taken_at_last_is_no_failure() -> None:
    daemon = Daemon([_FULL, ("ServiceException", False, b"away"), ("", False, b"")])
    daemon.hand_over(_ARN, _RULE._replace(retries=(185, 86_400)), {})
    assert [dict(one.attributes)["RETRY_ATTEMPTS"] for one in daemon.sources] == ["0", "1", "2"]
    assert daemon.failures == []


@pytest.mark.parametrize("attempts", [0, 1, 5, 20])
def test_so_many_attempts_and_no_more(attempts: int) -> None:
    daemon = Daemon([])
    daemon.hand_over(_ARN, _RULE._replace(retries=(attempts, 86_400)), {"a": 1})
    daemon.pass_on()
    # The last one tells of the failure.
    assert len(daemon.sources) == attempts + 2
    assert daemon.failures == [("TooManyRequestsException", "full")]
    said = dict(daemon.sources[-1].attributes)
    assert said == {
        "RULE_ARN": "r", "TARGET_ARN": _ARN, "RETRY_ATTEMPTS": str(attempts),
        "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
    }  # fmt: skip


def test_an_event_that_is_too_old_is_given_up() -> None:
    daemon = Daemon([])
    daemon.hand_over(_ARN, _RULE._replace(retries=(185, 60)), {})
    daemon.pass_on()
    assert daemon.now <= 60
    assert dict(daemon.sources[-1].attributes)["EXHAUSTED_RETRY_CONDITION"] == "MaximumEventAgeInSeconds"


def test_without_a_policy_it_ends_some_time() -> None:
    daemon = Daemon([])
    daemon.hand_over(_ARN, _RULE, {})
    daemon.pass_on()
    assert len(daemon.sources) == 9
    assert daemon.failures == []


def test_what_is_refused_for_good_is_not_tried_again() -> None:
    daemon = Daemon([("AccessDeniedException", False, b"no")])
    daemon.hand_over(_ARN, _RULE._replace(retries=(185, 86_400)), {})
    assert len(daemon.sources) == 1
