"""Rows about a start with many events that wait: how soon it is there, what it holds in memory, how soon it works."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.measuring import codes
from benchmarks.measuring.daemon import Code, Daemon
from benchmarks.measuring.events import CLIENTS, WAIT_SECONDS, conservation
from benchmarks.measuring.generator import LoadError, LoadPlan
from benchmarks.measuring.processes import pss_kib
from benchmarks.measuring.rows import Row, missing

if TYPE_CHECKING:
    from benchmarks.measuring.context import Context

_SETTLE_SECONDS = 2.0
# Never ends, and is the only one that the first daemon runs: what is behind it waits.
_STUCK = b"import time\n\n\ndef handler(event, context):\n    time.sleep(29)\n"


def rows(context: Context) -> list[Row]:
    """A daemon takes events and runs none; it is killed, and the next one finds them."""
    count = context.backlog
    what = f"start with {count:,} events that wait, after a kill"
    daemon = Daemon({"logs.deliver": "false"})
    try:
        daemon.start({"async.attempts_max": "1"})
        daemon.create("first", Code(codes.PYTHON_ID, "app.handler", {"app.py": _STUCK}))
        daemon.create("waits", codes.python())
        context.programs.send(daemon.port, daemon.caller.events("first", 1), LoadPlan(1, count=1)).check("first")
        before_kib = pss_kib(daemon.pid)["daemon"]
        context.programs.send(daemon.port, daemon.caller.events("waits"), LoadPlan(CLIENTS, count=count)).check("waits")
        held_kib = pss_kib(daemon.pid)["daemon"]
        daemon.kill()
        begin = time.monotonic()
        daemon.start({"async.attempts_max": "1"})
        start_seconds = time.monotonic() - begin
        time.sleep(_SETTLE_SECONDS)
        after_kib = pss_kib(daemon.pid)["daemon"]
        counts = conservation(daemon, "waits")
        # Its one attempt may have come to some of them by now.
        kept = counts["queued"] + counts["in_flight"] + counts["succeeded"]
        daemon.kill()
        daemon.start()
        begin = time.monotonic()
        while conservation(daemon, "waits")["succeeded"] == 0:
            if time.monotonic() > begin + WAIT_SECONDS:
                raise LoadError("no event ran")
            time.sleep(0.02)
        first_seconds = time.monotonic() - begin
    except LoadError as error:
        return [missing("backlog_start", what, "s", str(error)[:400])]
    finally:
        daemon.close()
    detail: dict[str, object] = {
        "empty_kib": before_kib, "held_kib": held_kib, "after_kib": after_kib, "counts": counts, "accepted": count,
    }  # fmt: skip
    return [
        Row("backlog_start", f"{what}: until healthy", start_seconds, "s", 10, detail=detail),
        Row("backlog_lost", "accepted events that are not there any more", count - kept, "events", 0),
        Row("backlog_first", "healthy → the first of them has run", first_seconds, "s"),
        Row("backlog_memory", "daemon's memory with them, over that without any, PSS", after_kib / before_kib, "times"),
    ]
