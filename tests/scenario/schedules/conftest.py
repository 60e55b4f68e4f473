"""Schedules that are about to come, and what came of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import create_function
from tests.scenario.events.conftest import OBEDIENT, logged, wait_until

if TYPE_CHECKING:
    from tests.conftest import ServerFactory
    from tests.running import LambentServer

ROLE = "arn:aws:iam::000000000000:role/test"
ACCOUNT = "000000000000"
# Servers on a busy machine take their time; schedules are made so far ahead that they are not late.
WAIT_SECONDS = 60.0


@pytest.fixture(scope="module")
def scheduling(lambent_server_factory: ServerFactory) -> LambentServer:
    """A server of the module's own with the embedded services."""
    server = lambent_server_factory({"neighbours.enabled": "true", "isolation.level": "L0"})
    create_function(server.client(), "works", {"index.py": OBEDIENT})
    return server


def soon(seconds: float = 2.0) -> str:
    """Return the expression of a moment that is about to come, UTC."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return f"at({moment:%Y-%m-%dT%H:%M:%S})"


def function_arn(name: str) -> str:
    return f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}"


def schedule(scheduler: Any, name: str, expression: str, target: dict[str, Any], **members: Any) -> str:
    """Make a schedule; return its ARN."""
    answer = scheduler.create_schedule(
        Name=name,
        ScheduleExpression=expression,
        Target={"RoleArn": ROLE, **target},
        **{"FlexibleTimeWindow": {"Mode": "OFF"}, **members},
    )
    arn: str = answer["ScheduleArn"]
    return arn


def events_of(server: LambentServer, function: str, mark: str) -> list[Any]:
    """Return the events with this text that a function was given."""
    found = []
    for line in logged(server, function):
        text = line.removeprefix("ran ").rpartition(" ")[0]
        if mark in text:
            found.append(json.loads(text))
    return found


def request_ids(server: LambentServer, function: str, mark: str) -> set[str]:
    """Return the request ids under which a function was given this text: one for each firing, however often it ran."""
    lines = [line for line in logged(server, function) if mark in line]
    return {line.rpartition(" ")[2] for line in lines}


def wait_events(server: LambentServer, function: str, mark: str, count: int = 1) -> list[Any]:
    """Return them when there are so many."""
    wait_until(lambda: len(events_of(server, function, mark)) >= count, f"{function} got {mark}", WAIT_SECONDS)
    return events_of(server, function, mark)
