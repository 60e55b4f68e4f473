"""Kill -9 of daemon, supervisor and child under load: what was answered 202 runs, few run twice, the sum is right."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.running import create_function
from tests.scenario.events.conftest import Mailbox, conservation, wait_drained, wait_until
from tests.scenario.events.load import TELLS, Ledger, Sender, check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import ServerFactory
    from tests.running import LambentServer


@pytest.fixture
def ledger(needs_egress: None) -> Iterator[Ledger]:
    made = Ledger()
    yield made
    with contextlib.suppress(OSError):
        made.close()


def started(factory: ServerFactory, ledger: Ledger, **settings: str) -> LambentServer:
    """Return a server with the function, which reaches the ledger."""
    base = {"async.retry_base_seconds": "1", "network.host_ports": str(ledger.port)}
    server = factory({**base, **settings})
    create_function(server.client(), "tells", {"index.py": TELLS})
    return server


def restart(server: LambentServer) -> None:
    """Kill the daemon alone and start another."""
    server.kill()
    server.start()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def supervisor(server: LambentServer) -> int | None:
    """Return the process id of the launcher's supervisor, the guard's child; None while there is none."""
    guards = [pid for pid in children(server.pid) if "launcher" in command(pid)]
    return next((pid for guard in guards for pid in children(guard) if command(pid)), None)


def embedded(server: LambentServer) -> int | None:
    """Return the process id of the embedded services; None while there are none."""
    return next((pid for pid in children(server.pid) if "neighbours/program" in command(pid)), None)


def kill_supervisor(server: LambentServer) -> None:
    """Kill the supervisor, and every sandbox with it; return when there is another."""
    victim = supervisor(server)
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: supervisor(server) not in (None, victim), "another supervisor")


def kill_child(server: LambentServer) -> None:
    """Kill the embedded services, which come back when they are asked next."""
    victim = embedded(server)
    if victim is not None:
        os.kill(victim, signal.SIGKILL)


@pytest.mark.slow
def test_kill_9_loses_no_event(lambent_server_factory: ServerFactory, ledger: Ledger) -> None:
    server = started(lambent_server_factory, ledger)
    chance = random.Random(1)
    sender = Sender(server, ledger)
    for _ in range(4):
        time.sleep(chance.uniform(0.2, 1.2))
        restart(server)
        assert conservation(server)["drift"] == 0
    time.sleep(0.3)
    sender.stop()
    wait_drained(server)
    check(server, ledger, sender)


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_kill_9_a_hundred_times(lambent_server_factory: ServerFactory, ledger: Ledger) -> None:
    server = started(lambent_server_factory, ledger, **{"neighbours.enabled": "true"})
    box = Mailbox(server, "failed")
    client = server.client()
    # Without retries an event would be dead after a run that was cut off where it tells of itself.
    destination = {"OnFailure": {"Destination": box.arn}}
    client.put_function_event_invoke_config(FunctionName="tells", DestinationConfig=destination)
    chance = random.Random(2)
    sender = Sender(server, ledger, fails_each=20)
    killed = {restart: 0, kill_supervisor: 0, kill_child: 0}
    in_a_row = 0
    for _ in range(100):
        time.sleep(chance.uniform(0.2, 1.2))
        # Supervisors that die too soon, five in a row, are given up, and the daemon with them: that is a promise, too.
        kill = restart if in_a_row == 3 else chance.choice(list(killed))
        kill(server)
        killed[kill] += 1
        in_a_row = 0 if kill is restart else in_a_row + (kill is kill_supervisor)
        assert conservation(server)["drift"] == 0
    time.sleep(0.3)
    sender.stop()
    assert min(killed.values()) > 10
    wait_until(lambda: not _left(server), "the queue is empty", 300)
    seen = check(server, ledger, sender)
    assert seen["dead_lettered"] + seen["dropped"] > 0
    print({kill.__name__: count for kill, count in killed.items()}, seen)


def _left(server: LambentServer) -> int:
    counts = conservation(server)
    return counts["queued"] + counts["in_flight"]
