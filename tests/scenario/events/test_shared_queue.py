"""Two daemons on one PostgreSQL: what one accepted another runs, and a dead one's events come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.running import create_function
from tests.scenario.events.conftest import OBEDIENT, conservation, logged, send, wait_drained, wait_until

if TYPE_CHECKING:
    from tests.running import LambentServer
    from tests.scenario.conftest import PairFactory

pytestmark = [pytest.mark.long, pytest.mark.slow]
_SLEEPS = "import time\ndef handler(event, context):\n    time.sleep(event['seconds'])\n"


@pytest.fixture(scope="module")
def daemons(start_pair: PairFactory) -> tuple[LambentServer, LambentServer]:
    return start_pair("events", {"async.retry_base_seconds": "0.5"})


def test_events_are_run_tried_again_and_counted_once(daemons: tuple[LambentServer, LambentServer]) -> None:
    first, second = daemons
    client: Any = first.client()
    create_function(client, "shared", {"index.py": OBEDIENT})
    wait_until(lambda: _knows(second, "shared"), "the other daemon knows the function")
    for number in range(40):
        send((first, second)[number % 2].client(), "shared", {"n": number})
    send(client, "shared", {"fail": "thrice"})
    for server in daemons:
        counts = wait_drained(server, "shared")
        assert (counts["received"], counts["succeeded"], counts["dropped"]) == (41, 40, 1)
    wait_until(lambda: len(_runs(daemons)) == 43, "all runs are logged")


def test_what_a_dead_daemon_had_claimed_comes_back(daemons: tuple[LambentServer, LambentServer]) -> None:
    first, second = daemons
    create_function(first.client(), "sleeps", {"index.py": _SLEEPS}, Timeout=60)
    wait_until(lambda: _knows(second, "sleeps"), "the other daemon knows the function")
    for _ in range(3):
        send(second.client(), "sleeps", {"seconds": 3})
    wait_until(lambda: conservation(first, "sleeps")["in_flight"] == 3, "they are in flight")
    second.kill()
    counts = wait_drained(first, "sleeps")
    assert (counts["received"], counts["succeeded"], counts["drift"]) == (3, 3, 0)
    second.start()


def _knows(server: LambentServer, name: str) -> bool:
    return name in {one["FunctionName"] for one in server.client().list_functions()["Functions"]}


def _runs(daemons: tuple[LambentServer, LambentServer]) -> list[str]:
    return [line for server in daemons for line in logged(server, "shared")]
