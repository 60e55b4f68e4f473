"""Load for tests of faults: who sends events and knows what was answered, and who counts what ran."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from tests.scenario.events.conftest import conservation

if TYPE_CHECKING:
    from tests.running import LambentServer

PER_SECOND = 200
# Both are in the server's output: what was claimed when a daemon died, and whose environment was lost amid a run.
IN_FLIGHT = re.compile(r"events that were in flight when the last process ended: (\d+)")
CUT_OFF = re.compile(r"event \S+ of \S+ could not be run: .* lost")
# Tells the test that it ran, over a connection that is its own; every twentieth fails then.
TELLS = """
import socket
def handler(event, context):
    with socket.create_connection(("host.lambent.internal", event["port"]), 10) as connection:
        connection.sendall(b"%d\\n" % event["n"])
    if event.get("fails"):
        raise ValueError("as asked")
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

    def __init__(self, server: LambentServer, ledger: Ledger, *, padding_bytes: int = 0, fails_each: int = 0) -> None:
        self._server = server
        self._ledger = ledger
        self._padding = "x" * padding_bytes
        self._fails_each = fails_each
        self.accepted: list[int] = []
        self.statuses: Counter[int] = Counter()
        self.sent = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def runs_of(self, number: int) -> int:
        """Return how often an event runs when nothing is killed: one that fails is tried three times."""
        return 3 if self._fails(number) else 1

    def stop(self) -> None:
        """Send no more."""
        self._is_over.set()
        self._thread.join()

    def _fails(self, number: int) -> bool:
        return self._fails_each > 0 and number % self._fails_each == 0

    def _send(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=20)
        with contextlib.closing(connection):
            self._send_over(connection)

    def _send_over(self, connection: http.client.HTTPConnection) -> None:
        begin = time.monotonic()
        while not self._is_over.wait(max(0.0, begin + self.sent / PER_SECOND - time.monotonic())):
            number, self.sent = self.sent, self.sent + 1
            event = {"n": number, "port": self._ledger.port, "padding": self._padding}
            if self._fails(number):
                event["fails"] = 1
            body = json.dumps(event).encode()
            try:
                headers = {"X-Amz-Invocation-Type": "Event"}
                connection.request("POST", "/2015-03-31/functions/tells/invocations", body, headers)
                with connection.getresponse() as answer:
                    answer.read()
                    self.statuses[answer.status] += 1
                    if answer.status == 202:
                        self.accepted.append(number)
            except (OSError, http.client.HTTPException):
                # It connects anew with the next.
                connection.close()


def check(server: LambentServer, ledger: Ledger, sender: Sender) -> dict[str, int]:
    """Compare what was accepted with what ran, when nothing waits any more; return what was seen."""
    counts = conservation(server)
    ended = counts["succeeded"] + counts["dropped"] + counts["dead_lettered"]
    assert ended == counts["received"] >= len(sender.accepted), (counts, len(sender.accepted))
    lost = sorted(set(sender.accepted) - ledger.runs.keys())
    assert not lost, (lost, counts)
    duplicates = sum(max(0, count - sender.runs_of(number)) for number, count in ledger.runs.items())
    output = server.output()
    cut_off = sum(int(count) for count in IN_FLIGHT.findall(output)) + len(CUT_OFF.findall(output))
    assert duplicates <= cut_off, (duplicates, cut_off)
    assert len(sender.accepted) > 50
    check_exported(server, counts)
    return {"accepted": len(sender.accepted), "duplicates": duplicates, "cut_off": cut_off, **counts}


def check_exported(server: LambentServer, counts: dict[str, int]) -> None:
    """The exported metrics say what the operation says; only one account has events here."""
    status, body = server.get("/_lambent/metrics")
    assert status == 200
    lines = (line.split() for line in body.decode().splitlines() if not line.startswith("#"))
    exported = {name.removeprefix("lambent_events_"): float(value) for name, value in lines}
    assert exported["drift"] == 0
    assert {term: exported[f"{term}_total"] for term in ("received", "succeeded", "dropped", "dead_lettered")} == {
        term: counts[term] for term in ("received", "succeeded", "dropped", "dead_lettered")
    }
