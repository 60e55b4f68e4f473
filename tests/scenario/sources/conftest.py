"""A server with the embedded services, and what a test of event sources asks again and again."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

# Keeps every event that it gets in a file of /tmp, and answers all of them when asked without records. It has one
# environment, which keeps the file: its concurrency is one.
RECORDER = """
import json, os, time

KEPT = "/tmp/events"


def handler(event, context):
    if "Records" not in event and "window" not in event:
        return [json.loads(line) for line in open(KEPT)] if os.path.exists(KEPT) else []
    with open(KEPT, "a") as kept:
        kept.write(json.dumps(event) + "\\n")
    for record in event.get("Records", ()):
        body = record.get("body", "")
        if body.startswith("sleep "):
            time.sleep(float(body.split()[1]))
        if body == "fail":
            raise ValueError("as asked")
"""


@pytest.fixture(scope="module")
def server(lambent_server_factory: ServerFactory) -> LambentServer:
    """One server for a module's tests."""
    return lambent_server_factory({"neighbours.enabled": "true"})


def wait_until(condition: Callable[[], object], seconds_max: float = 30.0) -> Any:
    """Return the first true value of `condition`; fail after `seconds_max`."""
    deadline = time.monotonic() + seconds_max
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"still {found!r}"
        time.sleep(0.05)


def events_of(client: Any, name: str) -> list[dict[str, Any]]:
    """Return the events that a recorder has got; none while it is busy."""
    try:
        answer = client.invoke(FunctionName=name)
    except client.exceptions.TooManyRequestsException:
        return []
    found: list[dict[str, Any]] = json.loads(answer["Payload"].read())
    return found


def wait_state(client: Any, mapping_id: str, state: str) -> dict[str, Any]:
    """Return the mapping once it is in a state."""

    def current() -> dict[str, Any] | None:
        mapping: dict[str, Any] = client.get_event_source_mapping(UUID=mapping_id)
        return mapping if mapping["State"] == state else None

    found: dict[str, Any] = wait_until(current)
    return found
