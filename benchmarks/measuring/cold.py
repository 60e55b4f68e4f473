"""Cold rows: the first invoke of many functions, one after another, through the door.

Pool hit: a pause between two lets the pool be full again. Miss: the pool's size is 0, so every first invoke waits for
a sandbox from the zygote. The first few of a row are not counted: they may start the zygote itself.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benchmarks.measuring import codes
from benchmarks.measuring.daemon import Creatable, Daemon
from benchmarks.measuring.generator import Load, LoadError, LoadPlan
from benchmarks.measuring.rows import Row, missing

if TYPE_CHECKING:
    from benchmarks.measuring.context import Context

UNCOUNTED = 3
NO_POOL = {"pool.python": "0", "pool.nodejs": "0", "pool.ruby": "0", "pool.java": "0", "pool.exec": "0"}


class ColdRow:
    """One row: an empty function of one kind, its target and floor in ms, the pause between two first invokes."""

    def __init__(
        self,
        key: str,
        what: str,
        code: Creatable,
        target: float | None,
        floor: float | None = None,
        pause_ms: int = 300,
    ) -> None:
        self.key, self.what, self.code, self.target, self.floor, self.pause_ms = (
            key,
            what,
            code,
            target,
            floor,
            pause_ms,
        )


def _first_invokes(context: Context, daemon: Daemon, row: ColdRow) -> list[float]:
    names = [f"{row.key}-{number}".replace("_", "-") for number in range(context.colds + UNCOUNTED)]
    creates = daemon.caller.creates(names, row.code.members())
    created: Load = context.programs.send(daemon.port, creates, LoadPlan(is_sequence=True))
    if created.statuses != {"201": len(names)}:
        raise LoadError(f"CreateFunction: statuses {created.statuses}, {created.first_bad!r}")
    daemon.wait_active(names[-1])
    load = context.programs.send(
        daemon.port, daemon.caller.first_invokes(names), LoadPlan(is_sequence=True, pause_ms=row.pause_ms)
    )
    return load.check(row.key).latencies_us[UNCOUNTED:]


def measure(context: Context, daemon: Daemon, row: ColdRow) -> Row:
    """Return the row's median; what went wrong is its note."""
    try:
        taken = sorted(_first_invokes(context, daemon, row))
    except LoadError as error:
        return missing(row.key, row.what, "ms", str(error)[:400])
    detail: dict[str, object] = {
        "p50_ms": statistics.median(taken) / 1000, "p90_ms": taken[int(len(taken) * 0.9)] / 1000,
        "max_ms": taken[-1] / 1000, "min_ms": taken[0] / 1000, "count": len(taken),
    }  # fmt: skip
    return Row(row.key, row.what, statistics.median(taken) / 1000, "ms", row.target, row.floor, detail=detail)


def rows(context: Context) -> list[Row]:
    """All cold rows; each group has a server of its own."""
    bootstrap = context.programs.path("bootstrap")
    hits = [
        ColdRow("cold_python_hit", "Python cold at the door, pool hit: p50", codes.python(), 6, 12),
        ColdRow("cold_python_boto3", "Python cold, pool hit, boto3 imported: p50", codes.python_boto3(), 20),
        ColdRow("cold_node_hit", "Node.js cold, pool hit: p50", codes.node(), 8, pause_ms=700),
        ColdRow("cold_custom_hit", "custom (C) cold, pool hit: p50", codes.custom(bootstrap), 10),
    ]
    misses = [
        ColdRow("cold_python_miss", "Python cold at the door, pool miss: p50", codes.python(), 15, pause_ms=50),
        ColdRow(
            "cold_python_boto3_miss",
            "Python cold, pool miss, boto3 imported: p50",
            codes.python_boto3(),
            20,
            pause_ms=50,
        ),
        ColdRow("cold_custom_miss", "custom (C) cold, pool miss: p50", codes.custom(bootstrap), 10, pause_ms=50),
    ]
    found = []
    for group, settings in ((hits, {}), (misses, NO_POOL)):
        daemon = Daemon(settings)
        try:
            daemon.start()
            found += [measure(context, daemon, row) for row in group]
        except LoadError as error:
            found += [missing(row.key, row.what, "ms", str(error)[:400]) for row in group]
        finally:
            daemon.close()
    return found
