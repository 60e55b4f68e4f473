"""Rows about events: how fast they are kept, how fast they are run, how soon, and how fair."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import statistics
import threading
import time
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.measuring import codes
from benchmarks.measuring.daemon import Code, Daemon
from benchmarks.measuring.generator import LoadError, LoadPlan
from benchmarks.measuring.processes import CpuMeter
from benchmarks.measuring.rows import Row, missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.measuring.context import Context

CLIENTS = 64
DRAINED = 30_000
FLOOD = 50_000
PROBES = 200
WAIT_SECONDS = 300.0
# An event that never ends: what is behind it waits, and only the keeping is measured.
_STUCK = b"import time\n\n\ndef handler(event, context):\n    time.sleep(29)\n"
# Says when its first line ran, in nanoseconds of the machine's clock, which its sandbox shares.
TELLS = b"""import socket
import time


def handler(event, context):
    now = time.time_ns()
    if "port" in event:
        with socket.create_connection(("host.lambent.internal", event["port"]), 10) as connection:
            connection.sendall(b"%d %d" % (event["n"], now))
"""


class Store(NamedTuple):
    """Where the events of a row are kept: what its key and its words have more, and the daemon's settings.

    Those with a database beside SQLite have no target: two cores are the database's, too.
    """

    suffix: str = ""
    words: str = ""
    settings: Mapping[str, str] = MappingProxyType({})

    def target(self, figure: float) -> float | None:
        """Return a target where there is one."""
        return None if self.suffix else figure


SQLITE = Store()


def enqueue_rows(context: Context, store: Store = SQLITE) -> list[Row]:
    """Durable 202 answers a second at 64 clients, beside bare SQLite transactions of as many rows."""
    daemon = Daemon({"logs.deliver": "false", "async.attempts_max": "1", **store.settings})
    what = f"Invoke of type Event, {CLIENTS} clients{store.words}: durable 202 answers"
    key = f"event_enqueue{store.suffix}"
    try:
        daemon.start()
        daemon.create("kept", Code(codes.PYTHON_ID, "app.handler", {"app.py": _STUCK}))
        requests = daemon.caller.events("kept")
        context.programs.send(daemon.port, requests, LoadPlan(CLIENTS, 1, 0.5)).check("events")
        meter = CpuMeter(daemon.pid)
        load = context.programs.send(daemon.port, requests, LoadPlan(CLIENTS, context.seconds, 0.0)).check("events")
        cpu = meter.per_call(load.answers) | {"generator": round(load.cpu_us / load.answers, 2)}
        counts = conservation(daemon)
        if counts["drift"]:
            raise LoadError(f"drift {counts['drift']}")
    except LoadError as error:
        return [missing(key, what, "1/s", str(error)[:400])]
    finally:
        daemon.close()
    bare = bare_transactions(context.folder / f"bare{store.suffix}.db", context.seconds)
    detail = {"load": load.brief(), "counts": counts, "bare_per_second": bare, "cpu_us_per_call": cpu}
    words = f"of what a loop writes that commits {CLIENTS} such rows at a time to a bare SQLite"
    return [
        Row(key, what, load.per_second, "1/s", store.target(8_000), store.target(5_000), is_high_good=True,
            detail=detail),
        Row(f"{key}_p99", "p99 of that", load.p99_us / 1000, "ms", store.target(20)),
        Row(f"{key}_ratio", words, load.per_second / bare, "times", is_high_good=True),
    ]  # fmt: skip


def bare_transactions(path: Path, seconds: int) -> float:
    """Return rows a second that one loop keeps with SQLite alone: CLIENTS rows, one commit, again."""
    head, payload = b"x" * 120, b'{"n": 1}'
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE events (number INTEGER PRIMARY KEY, queue, next_ms, head BLOB, payload BLOB)")
        connection.execute("CREATE INDEX events_next ON events (queue, next_ms)")
        rows, begin = 0, time.monotonic()
        while time.monotonic() < begin + seconds:
            connection.execute("BEGIN IMMEDIATE")
            for _ in range(CLIENTS):
                connection.execute(
                    "INSERT INTO events (queue, next_ms, head, payload) VALUES (1, ?, ?, ?)", (rows, head, payload)
                )
                rows += 1
            connection.execute("COMMIT")
        return rows / (time.monotonic() - begin)


def drain_rows(context: Context, store: Store = SQLITE) -> list[Row]:
    """Runs a second of an empty Python function whose events wait already, from the start of a daemon on."""
    daemon = Daemon({"logs.deliver": "false", **store.settings})
    what = f"{DRAINED:,} waiting events of an empty Python function{store.words}: runs"
    key = f"event_drain{store.suffix}"
    try:
        daemon.start({"async.attempts_max": "1"})
        daemon.create("first", Code(codes.PYTHON_ID, "app.handler", {"app.py": _STUCK}))
        daemon.create("drained", codes.python())
        # The one attempt that this daemon makes is taken by an event that never ends.
        context.programs.send(daemon.port, daemon.caller.events("first", 1), LoadPlan(1, count=1)).check("first")
        context.programs.send(daemon.port, daemon.caller.events("drained"), LoadPlan(CLIENTS, count=DRAINED)).check("e")
        daemon.stop()
        begin = time.monotonic()
        daemon.start()
        healthy = time.monotonic()
        before = conservation(daemon, "drained")
        while _left(conservation(daemon, "drained")):
            if time.monotonic() > begin + WAIT_SECONDS:
                raise LoadError("not drained in time")
            time.sleep(0.1)
        seconds = time.monotonic() - healthy
        after = conservation(daemon, "drained")
    except LoadError as error:
        return [missing(key, what, "1/s", str(error)[:400])]
    finally:
        daemon.close()
    detail: dict[str, object] = {"before": before, "after": after, "seconds": seconds, "start": healthy - begin}
    per_second = (after["succeeded"] - before["succeeded"]) / seconds
    return [Row(key, what, per_second, "1/s", store.target(3_000), is_high_good=True, detail=detail)]


def postgresql_rows(context: Context) -> list[Row]:
    """The same on PostgreSQL, which has its processes on the same cores."""
    words = ", PostgreSQL"
    # Nothing else of the benchmarks needs the tests' parts.
    from tests.postgres import Postgres

    if not (list(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or shutil.which("initdb")):
        return [missing("event_enqueue_postgresql", f"events{words}", "1/s", "no PostgreSQL on this machine")]
    database = Postgres()
    try:
        rows = []
        for measure in (enqueue_rows, drain_rows):
            url = database.make_database(measure.__name__)
            rows += measure(context, Store("_postgresql", words, {"store.url": url}))
        return rows
    finally:
        database.remove()


class Listener:
    """Hears when handlers began. Scope: one row."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1_024)
        self.port: int = self._socket.getsockname()[1]
        self.began_ns: dict[int, int] = {}
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def wait(self, number: int) -> int:
        """Return when the handler of an event began. Raises LoadError."""
        deadline = time.monotonic() + 60
        while number not in self.began_ns:
            if time.monotonic() > deadline:
                raise LoadError(f"event {number} did not run")
            time.sleep(0.0005)
        return self.began_ns[number]

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                number, _, began_ns = connection.makefile("rb").read().partition(b" ")
            self.began_ns[int(number)] = int(began_ns)


def delay_rows(context: Context) -> list[Row]:
    """From the sending of an event to its handler's first line: alone, and while another function is flooded."""
    listener = Listener()
    daemon = Daemon({"logs.deliver": "false", "network.host_ports": str(listener.port)})
    try:
        daemon.start()
        for name in ("probe", "flooded"):
            daemon.create(name, Code(codes.PYTHON_ID, "app.handler", {"app.py": TELLS}))
            daemon.invoke(name)
        _delays(daemon, listener, range(20))
        quiet = _delays(daemon, listener, range(1_000, 1_000 + PROBES))
        flood = context.programs.start(daemon.port, daemon.caller.events("flooded"), LoadPlan(CLIENTS, count=FLOOD))
        flood.wait().check("flood")
        waiting = conservation(daemon, "flooded")["queued"]
        loud = _delays(daemon, listener, range(2_000, 2_000 + PROBES))
        still_waiting = conservation(daemon, "flooded")["queued"]
    except LoadError as error:
        return [missing("event_delay", "event sent → handler's first line", "ms", str(error)[:400])]
    finally:
        daemon.close()
        listener.close()
    detail: dict[str, object] = {
        "quiet_ms": _brief(quiet), "loud_ms": _brief(loud), "flood_waiting": waiting, "flood_left": still_waiting,
    }  # fmt: skip
    p99 = [statistics.quantiles(delays, n=100)[98] for delays in (quiet, loud)]
    note = "" if still_waiting else "the flood had ended before the last probe"
    return [
        Row("event_delay", "event sent → handler's first line, warm, one at a time: p50", statistics.median(quiet),
            "ms", 5, detail=detail),
        Row("event_fairness", f"p99 of that while another function was sent {FLOOD:,} events, over the quiet one",
            p99[1] / p99[0], "times", 2, note=note, detail=detail),
    ]  # fmt: skip


def conservation(daemon: Daemon, function: str = "") -> dict[str, int]:
    """Return the terms of the equation. Raises LoadError."""
    query = f"?function={function}" if function else ""
    status, _, body = daemon.call("GET", f"/_lambent/v1/events/conservation{query}")
    if status != 200:
        raise LoadError(f"conservation: {status} {body[:300]!r}")
    found: dict[str, int] = json.loads(body)
    return found


def rows(context: Context) -> list[Row]:
    """All of them."""
    return [*enqueue_rows(context), *drain_rows(context), *delay_rows(context), *postgresql_rows(context)]


def _delays(daemon: Daemon, listener: Listener, numbers: range) -> list[float]:
    delays = []
    kind = {"X-Amz-Invocation-Type": "Event"}
    for number in numbers:
        body = json.dumps({"n": number, "port": listener.port}).encode()
        request = daemon.caller.request("POST", "/2015-03-31/functions/probe/invocations", body, kind)
        with socket.create_connection(("127.0.0.1", daemon.port), 60) as connection:
            sent_ns = time.time_ns()
            connection.sendall(request)
            answer = connection.recv(4_096)
        if b" 202 " not in answer[:20]:
            raise LoadError(f"probe: {answer[:300]!r}")
        delays.append((listener.wait(number) - sent_ns) / 1e6)
    return delays


def _brief(delays: list[float]) -> dict[str, float]:
    quantiles = statistics.quantiles(delays, n=100)
    return {"p50": quantiles[49], "p90": quantiles[89], "p99": quantiles[98], "max": max(delays)}


def _left(counts: dict[str, int]) -> int:
    return counts["queued"] + counts["in_flight"]
