"""Kill -9 of the daemon under load: every event that was answered 202 runs, few run twice, and the sum is right."""

from __future__ import annotations

import contextlib
import http.client
import random
import re
import socket
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import create_function
from tests.scenario.events.conftest import conservation, wait_drained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

PER_SECOND = 200
IN_FLIGHT = re.compile(r"events that were in flight when the last process ended: (\d+)")
# Tells the test that it ran, over a connection that is its own.
TELLS = """
import socket
def handler(event, context):
    with socket.create_connection(("host.lambent.internal", event["port"]), 10) as connection:
        connection.sendall(b"%d\\n" % event["n"])
"""


class Ledger:
    """Counts the runs of every event, by its number."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1_024)
        self.port: int = self._listener.getsockname()[1]
        self.runs: Counter[int] = Counter()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                text = connection.makefile("rb").readline()
            if text.endswith(b"\n"):
                self.runs[int(text)] += 1


class Sender:
    """Sends events at a rate, whatever happens to the server, and knows which were answered 202."""

    def __init__(self, server: LambentServer, ledger: Ledger) -> None:
        self._server = server
        self._ledger = ledger
        self.accepted: list[int] = []
        self.sent = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send no more."""
        self._is_over.set()
        self._thread.join()

    def _send(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=20)
        with contextlib.closing(connection):
            self._send_over(connection)

    def _send_over(self, connection: http.client.HTTPConnection) -> None:
        begin = time.monotonic()
        while not self._is_over.wait(max(0.0, begin + self.sent / PER_SECOND - time.monotonic())):
            number, self.sent = self.sent, self.sent + 1
            body = b'{"n": %d, "port": %d}' % (number, self._ledger.port)
            try:
                headers = {"X-Amz-Invocation-Type": "Event"}
                connection.request("POST", "/2015-03-31/functions/tells/invocations", body, headers)
                with connection.getresponse() as answer:
                    answer.read()
                    if answer.status == 202:
                        self.accepted.append(number)
            except (OSError, http.client.HTTPException):
                # It connects anew with the next.
                connection.close()


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    made = Ledger()
    yield made
    with contextlib.suppress(OSError):
        made.close()


def kill_under_load(server: LambentServer, ledger: Ledger, kills: int, seed: int) -> tuple[Sender, int]:
    """Kill the daemon so often; return who sent and how many events were in flight when it died, all together."""
    chance = random.Random(seed)
    sender = Sender(server, ledger)
    for _ in range(kills):
        time.sleep(chance.uniform(0.2, 1.2))
        server.kill()
        server.start()
        assert conservation(server)["drift"] == 0
    time.sleep(0.3)
    sender.stop()
    wait_drained(server)
    return sender, sum(int(count) for count in IN_FLIGHT.findall(server.output()))


def check(server: LambentServer, ledger: Ledger, sender: Sender, in_flight: int) -> dict[str, Any]:
    """Compare what was accepted with what ran."""
    lost = set(sender.accepted) - ledger.runs.keys()
    duplicates = sum(count - 1 for count in ledger.runs.values())
    counts = conservation(server)
    assert lost == set()
    assert len(sender.accepted) > 50
    assert duplicates <= in_flight
    assert counts["received"] >= len(sender.accepted)
    assert counts["succeeded"] == counts["received"]
    return {"sent": sender.sent, "accepted": len(sender.accepted), "duplicates": duplicates, "in_flight": in_flight}


def started(factory: ServerFactory, ledger: Ledger) -> LambentServer:
    """Return a server with the function, which reaches the ledger."""
    server = factory({"async.retry_base_seconds": "1", "network.host_ports": str(ledger.port)})
    create_function(server.client(), "tells", {"index.py": TELLS})
    return server


@pytest.mark.slow
def test_kill_9_loses_no_event(lambent_server_factory: ServerFactory, ledger: Ledger) -> None:
    server = started(lambent_server_factory, ledger)
    sender, in_flight = kill_under_load(server, ledger, kills=4, seed=1)
    check(server, ledger, sender, in_flight)


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_kill_9_a_hundred_times(lambent_server_factory: ServerFactory, ledger: Ledger) -> None:
    server = started(lambent_server_factory, ledger)
    sender, in_flight = kill_under_load(server, ledger, kills=100, seed=2)
    print(check(server, ledger, sender, in_flight))
