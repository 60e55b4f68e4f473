"""Rows of the control plane: reads, creations, listings, and what many functions cost at start and in memory."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from benchmarks.measuring import codes
from benchmarks.measuring.daemon import Daemon
from benchmarks.measuring.generator import LoadError, LoadPlan
from benchmarks.measuring.processes import pss_kib
from benchmarks.measuring.rows import Row, missing
from benchmarks.measuring.standing import fill, list_pages

if TYPE_CHECKING:
    from benchmarks.measuring.context import Context
    from benchmarks.measuring.generator import Programs
    from benchmarks.measuring.signing import Caller

CREATED = 300
CLIENTS = 8
CREATING_CLIENTS = 4
_SETTLE_SECONDS = 3.0


def measure(programs: Programs, caller: Caller, seconds: int) -> dict[str, dict[str, float]]:
    """Return the figures of GetFunctionConfiguration and CreateFunction at one endpoint, ours or a peer's.

    A function `hello` must be there. Raises LoadError.
    """
    read = [caller.request("GET", "/2015-03-31/functions/hello/configuration")]
    one = programs.send(caller.port, read, LoadPlan(1, seconds)).check("GetFunctionConfiguration")
    many = programs.send(caller.port, read, LoadPlan(CLIENTS, seconds)).check("GetFunctionConfiguration")
    names = [f"made-{number:04d}" for number in range(CREATED)]
    creates = caller.creates(names, codes.python().members())
    made = programs.send(caller.port, creates, LoadPlan(CREATING_CLIENTS, count=CREATED))
    if made.statuses != {"201": CREATED}:
        raise LoadError(f"CreateFunction: statuses {made.statuses}, {made.first_bad!r}")
    return {"get 1": one.brief(), "get many": many.brief(), "create": made.brief()}


def figures(key: str, who: str, found: dict[str, dict[str, float]]) -> list[Row]:
    """Return the rows of what `measure` found."""
    return [
        Row(
            f"{key}_get",
            f"{who}GetFunctionConfiguration, 1 client: p50",
            found["get 1"]["p50_us"] / 1000,
            "ms",
            detail={"load": found["get 1"]},
        ),
        Row(
            f"{key}_get_many",
            f"{who}GetFunctionConfiguration, {CLIENTS} clients",
            found["get many"]["per_second"],
            "1/s",
            is_high_good=True,
            detail={"load": found["get many"]},
        ),
        Row(
            f"{key}_create",
            f"{who}CreateFunction, small zip, {CREATING_CLIENTS} clients",
            found["create"]["per_second"],
            "1/s",
            is_high_good=True,
            detail={"load": found["create"]},
        ),
    ]


def rows(context: Context) -> list[Row]:
    """Our server, every commit synced to disk."""
    daemon = Daemon()
    try:
        daemon.start()
        daemon.create("hello", codes.python())
        found = figures("control", "", measure(context.programs, daemon.caller, context.seconds))
        return [*found, *_many_functions(context, daemon)]
    except LoadError as error:
        return [missing("control", "control plane", "", str(error)[:400])]
    finally:
        daemon.close()


def _many_functions(context: Context, daemon: Daemon) -> list[Row]:
    daemon.stop()
    daemon.start()
    time.sleep(_SETTLE_SECONDS)
    before_kib = pss_kib(daemon.pid)["daemon"]
    fill(context, daemon)
    pages = list_pages(daemon)
    listing = context.programs.send(daemon.port, pages, LoadPlan(1, context.seconds)).check("ListFunctions")
    daemon.stop()
    begin = time.monotonic()
    daemon.start()
    start_seconds = time.monotonic() - begin
    time.sleep(_SETTLE_SECONDS)
    after_kib = pss_kib(daemon.pid)["daemon"]
    return [
        Row(
            "control_list",
            f"ListFunctions over {context.listed} functions, a page of 50: p99",
            listing.p99_us / 1000,
            "ms",
            50,
            detail={"load": listing.brief()},
        ),
        Row("control_start", f"start with {context.listed} functions, until healthy", start_seconds, "s", 3),
        Row(
            "control_catalog",
            "daemon's memory for a function: PSS with all of them less PSS before, after a start each",
            (after_kib - before_kib) / context.listed,
            "KiB",
            4,
            detail={"before_kib": before_kib, "after_kib": after_kib},
        ),
    ]


def parse(entry: dict[str, object]) -> list[Row]:
    """Return the rows of a peer's finding (its JSON has passed a process border)."""
    found = json.loads(json.dumps(entry["control"]))
    return figures(f"peer {entry['peer']} control", f"{entry['peer']}: ", found)
