"""Warm rows: latency at one client, throughput at 64, with our client and with awslambdaric, beside the C echo."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.measuring import codes
from benchmarks.measuring.daemon import Code, Daemon
from benchmarks.measuring.generator import Load, LoadError, LoadPlan
from benchmarks.measuring.processes import CpuMeter
from benchmarks.measuring.rows import Row, missing
from benchmarks.measuring.signing import Caller

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.measuring.context import Context

CLIENTS = 64


def echo_rows(context: Context) -> list[Row]:
    """The floor: a C program that answers at once."""
    process = subprocess.Popen([str(context.programs.path("echo"))], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        requests = Caller(port, "AKIDBENCHMARK", "secret").invokes("hello")
        one = context.programs.send(port, requests, LoadPlan(seconds=context.seconds)).check("echo")
        many = context.programs.send(port, requests, LoadPlan(CLIENTS, context.seconds)).check("echo")
    finally:
        process.kill()
        process.communicate()
    return [
        Row("echo_p50", "C echo (the floor): p50 at 1 client", one.p50_us / 1000, "ms", detail={"load": one.brief()}),
        Row("echo_p99", "C echo: p99 at 1 client", one.p99_us / 1000, "ms"),
        Row("echo_throughput", f"C echo: {CLIENTS} clients", many.per_second, "1/s", is_high_good=True,
            detail={"load": many.brief()}),
    ]  # fmt: skip


def _measure(context: Context, daemon: Daemon, name: str, clients: int) -> tuple[Load, dict[str, object]]:
    requests = daemon.caller.invokes(name)
    # A first round makes the environments; the measured one finds them.
    context.programs.send(daemon.port, requests, LoadPlan(clients, 2, 1.0)).check(name)
    meter = CpuMeter(daemon.pid)
    load = context.programs.send(daemon.port, requests, LoadPlan(clients, context.seconds, 0.0)).check(name)
    cpu = meter.per_call(load.answers) | {"generator": round(load.cpu_us / load.answers, 2)}
    return load, {"load": load.brief(), "cpu_us_per_call": cpu}


def python_rows(context: Context, daemon: Daemon) -> list[Row]:
    """An empty Python function under our client."""
    daemon.create("warm-python", codes.python())
    daemon.invoke("warm-python")
    one, one_detail = _measure(context, daemon, "warm-python", 1)
    many, many_detail = _measure(context, daemon, "warm-python", CLIENTS)
    return [
        Row("warm_p50", "warm invoke through the door, 1 client: p50", one.p50_us / 1000, "ms", 1.0, 1.5,
            detail=one_detail),
        Row("warm_p99", "warm invoke through the door, 1 client: p99", one.p99_us / 1000, "ms", 3.0),
        Row("throughput", f"empty Python function, {CLIENTS} clients, our client", many.per_second, "1/s", 8_000, 5_000,
            is_high_good=True, detail=many_detail),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Other:
    """Another runtime's empty function."""

    key: str
    what: str
    code: Code
    target: float | None = None


def other_row(context: Context, daemon: Daemon, other: Other) -> list[Row]:
    """Throughput and latency of another runtime."""
    name = other.key.replace("_", "-")
    daemon.create(name, other.code)
    daemon.invoke(name)
    one, one_detail = _measure(context, daemon, name, 1)
    many, detail = _measure(context, daemon, name, CLIENTS)
    what = f"warm invoke, 1 client, {other.what}: p50"
    return [
        Row(f"{other.key}_p50", what, one.p50_us / 1000, "ms", detail=one_detail),
        Row(other.key, f"empty function, {CLIENTS} clients, {other.what}", many.per_second, "1/s", other.target,
            is_high_good=True, detail=detail),
    ]  # fmt: skip


def awslambdaric_rows(context: Context, daemon: Daemon) -> list[Row]:
    """AWS's own runtime client, unchanged."""
    what = "awslambdaric unchanged"
    interpreter = f"/usr/bin/python3.{sys.version_info.minor}"
    if not os.path.exists(interpreter):
        why = f"no {interpreter}: the shipped extension module needs that version, visible inside the sandbox"
        return [missing("throughput_awslambdaric", what, "1/s", why)]
    try:
        code = codes.awslambdaric(interpreter)
    except LookupError as error:
        return [missing("throughput_awslambdaric", what, "1/s", str(error))]
    return other_row(context, daemon, Other("throughput_awslambdaric", what, code, 3_000))


def rows(context: Context) -> list[Row]:
    """All warm rows."""
    found = echo_rows(context)
    daemon = Daemon()
    try:
        daemon.start()
        found += python_rows(context, daemon)
        bootstrap = context.programs.path("bootstrap")
        found += _or_missing("throughput_awslambdaric", partial(awslambdaric_rows, context, daemon))
        for key, what, code in (
            ("throughput_node", "Node.js", codes.node()),
            ("throughput_custom", "custom (C)", codes.custom(bootstrap)),
        ):
            found += _or_missing(key, partial(other_row, context, daemon, Other(key, what, code)))
    finally:
        daemon.close()
    return found


def _or_missing(key: str, measure: Callable[[], list[Row]]) -> list[Row]:
    try:
        return measure()
    except LoadError as error:
        return [missing(key, key, "1/s", str(error)[:400])]
