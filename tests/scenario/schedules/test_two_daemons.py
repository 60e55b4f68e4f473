"""Two daemons on one PostgreSQL: each schedule fires once, also when the daemon that fires is killed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.running import create_function
from tests.scenario.events.conftest import OBEDIENT, wait_until
from tests.scenario.schedules.conftest import WAIT_SECONDS, function_arn, request_ids, schedule

if TYPE_CHECKING:
    from tests.running import LambentServer
    from tests.scenario.conftest import PairFactory

pytestmark = [pytest.mark.long, pytest.mark.slow]


@pytest.fixture(scope="module")
def daemons(start_pair: PairFactory) -> tuple[LambentServer, LambentServer]:
    return start_pair("schedules")


def test_each_fires_once_whoever_is_killed(daemons: tuple[LambentServer, LambentServer]) -> None:
    first, second = daemons
    create_function(first.client(), "works", {"index.py": OBEDIENT})
    begin = datetime.now(UTC) + timedelta(seconds=10)
    for number in range(30):
        moment = begin + timedelta(seconds=number // 3)
        schedule(
            daemons[number % 2].client("scheduler"),
            f"n{number}",
            f"at({moment:%Y-%m-%dT%H:%M:%S})",
            {"Arn": function_arn("works"), "Input": f'{{"mark": "n{number:02}"}}'},
        )
    wait_until(lambda: bool(_ids(daemons, 5)), "some have fired", WAIT_SECONDS)
    # Whichever of the two it is that fires, it is killed in its turn.
    for server in (first, second):
        server.kill()
        server.start()
    wait_until(lambda: all(_ids(daemons, number) for number in range(30)), "all have fired", 2 * WAIT_SECONDS)
    assert [len(_ids(daemons, number)) for number in range(30)] == [1] * 30


def _ids(daemons: tuple[LambentServer, LambentServer], number: int) -> set[str]:
    return set().union(*(request_ids(server, "works", f'"mark": "n{number:02}"') for server in daemons))
