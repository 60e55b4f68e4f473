"""Two daemons on one PostgreSQL: each schedule fires once, also when the daemon that fires is killed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.postgres import Postgres
from tests.running import create_function
from tests.scenario.events.conftest import OBEDIENT, wait_until
from tests.scenario.schedules.conftest import WAIT_SECONDS, function_arn, request_ids, schedule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = [pytest.mark.long, pytest.mark.slow]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="module")
def second_directory() -> Iterator[Path]:
    """A data directory that goes after its server: it is made before the servers are."""
    directory = Path(tempfile.mkdtemp(prefix="lambent-test-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def daemons(postgres: Postgres, second_directory: Path, lambent_server_factory: ServerFactory) -> list[LambentServer]:
    """Two servers on one database, with one key."""
    settings = {"store.url": postgres.make_database("schedules"), "cluster.slice": "0.5"}
    first = lambent_server_factory(settings)
    subprocess.run(["cp", "-a", str(first.data_dir / "keys"), str(second_directory)], check=True)
    return [first, lambent_server_factory(settings, data_dir=second_directory)]


def test_each_fires_once_whoever_is_killed(daemons: list[LambentServer]) -> None:
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


def _ids(daemons: list[LambentServer], number: int) -> set[str]:
    return set().union(*(request_ids(server, "works", f'"mark": "n{number:02}"') for server in daemons))
