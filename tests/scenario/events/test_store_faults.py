"""A full disk, a database that goes away under a running server: new events get 5xx, none that was taken is lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.postgres import Postgres
from tests.running import create_function
from tests.scenario.events.conftest import conservation, wait_drained, wait_until
from tests.scenario.events.load import TELLS, Ledger, Sender, check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import ServerFactory

pytestmark = pytest.mark.long
_DISK_MIB = 192
_PADDING_BYTES = 100_000


@pytest.fixture
def ledger(needs_egress: None) -> Iterator[Ledger]:
    made = Ledger()
    yield made
    with contextlib.suppress(OSError):
        made.close()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A data directory on a small file system of its own. It goes after its server."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    directory = Path(tempfile.mkdtemp(prefix="lambent-test-"))
    run = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MIB}m,mode=0755", "tmpfs", str(directory)]
    subprocess.run(run, check=True)
    yield directory
    subprocess.run(["umount", "--lazy", str(directory)], check=True)
    shutil.rmtree(directory, ignore_errors=True)


def fill(directory: Path) -> Path:
    """Take all the room that is left on the disk; return the file that has it."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(65_536))
    return filler


def refused(sender: Sender) -> int:
    """Return how many events got 5xx."""
    return sum(count for status, count in sender.statuses.items() if status >= 500)


def wait_for_more(count: Callable[[], int], more: int, what: str) -> None:
    """Return when a count has grown so much."""
    before = count()
    wait_until(lambda: count() > before + more, what)


def test_a_full_disk(lambent_server_factory: ServerFactory, ledger: Ledger, small_disk: Path) -> None:
    settings = {"async.retry_base_seconds": "1", "network.host_ports": str(ledger.port), "async.attempts_max": "1"}
    server = lambent_server_factory(settings, data_dir=small_disk)
    create_function(server.client(), "tells", {"index.py": TELLS})
    sender = Sender(server, ledger, padding_bytes=_PADDING_BYTES)
    wait_until(lambda: len(sender.accepted) > 50, "some were taken")
    filler = fill(small_disk)
    wait_until(lambda: refused(sender) > 20, "the disk is full")
    assert conservation(server)["drift"] == 0
    assert set(sender.statuses) <= {202, 500, 503}
    filler.unlink()
    wait_for_more(lambda: len(sender.accepted), 50, "it goes on")
    sender.stop()
    wait_drained(server)
    check(server, ledger, sender)
    server.stop()


def test_a_database_that_goes_away(lambent_server_factory: ServerFactory, ledger: Ledger) -> None:
    database = Postgres()
    try:
        settings = {
            "async.retry_base_seconds": "1",
            "network.host_ports": str(ledger.port),
            "store.url": database.make_database("gone"),
        }
        server = lambent_server_factory(settings)
        create_function(server.client(), "tells", {"index.py": TELLS})
        sender = Sender(server, ledger)
        # As a crash, and as an orderly end that cuts connections.
        for end in (database.kill, database.stop, database.kill):
            wait_for_more(lambda: len(sender.accepted), 50, "events are taken")
            end()
            wait_for_more(lambda: refused(sender), 5, "events are refused")
            database.start()
        wait_for_more(lambda: len(sender.accepted), 50, "events are taken again")
        sender.stop()
        assert set(sender.statuses) <= {202, 500, 503}
        wait_drained(server)
        check(server, ledger, sender)
        server.stop()
    finally:
        database.remove()
