"""Rows about the server itself: start to first answer, memory when idle, latency while heavy work goes on beside."""

from __future__ import annotations

import base64
import json
import os
import socket
import statistics
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from benchmarks.measuring import codes
from benchmarks.measuring.daemon import Code, Daemon, send_raw
from benchmarks.measuring.generator import LoadError, LoadPlan
from benchmarks.measuring.machine import memory_mib
from benchmarks.measuring.processes import counts, pss_kib
from benchmarks.measuring.rows import Row, missing

if TYPE_CHECKING:
    from benchmarks.measuring.context import Context

STARTS = 7
SETTLE_SECONDS = 3.0
UPLOAD_MIB = 47
CLIENTS = 8


def start_rows(context: Context) -> list[Row]:
    """From exec to the answer of an invoke, on a data directory that has the function."""
    del context
    daemon = Daemon()
    taken = []
    try:
        daemon.start()
        daemon.create("start", codes.python())
        daemon.invoke("start")
        for _ in range(STARTS):
            daemon.stop()
            request = daemon.caller.invokes("start", 1)[0]
            begin = time.monotonic()
            daemon.launch()
            taken.append((time.monotonic() if _wait_answer(daemon, request) else float("inf")) - begin)
    finally:
        daemon.close()
    detail: dict[str, object] = {"seconds": [round(value, 3) for value in taken]}
    return [
        Row("start", "server start to first answered invoke: median", statistics.median(taken), "s", 1.5, detail=detail)
    ]


def _wait_answer(daemon: Daemon, request: bytes) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if send_raw(daemon.port, request)[0] == 200:
                return True
        except OSError:
            pass
        time.sleep(0.002)
    raise LoadError(f"no answer after a start: {daemon.tail()}")


def idle_rows(context: Context) -> list[Row]:
    """Memory of a server that has served one Python and one Node.js function and waits, pools full."""
    del context
    # Without delivery of logs nothing calls the embedded services: the third row starts them.
    daemon = Daemon({"logs.deliver": "false"})
    try:
        daemon.start()
        for name, code in (("idle-python", codes.python()), ("idle-node", codes.node())):
            daemon.create(name, code)
            daemon.invoke(name)
        time.sleep(SETTLE_SECONDS)
        roles = pss_kib(daemon.pid)
        begin = time.monotonic()
        status, _, _ = send_raw(daemon.port, daemon.caller.s3_head("PUT", "/idle", 0))
        child_seconds = time.monotonic() - begin
        time.sleep(SETTLE_SECONDS)
        with_child = pss_kib(daemon.pid)
        detail: dict[str, object] = {
            "pss_mib_by_role": {role: round(kib / 1024, 1) for role, kib in sorted(roles.items())},
            "processes_by_role": counts(daemon.pid),
        }
    finally:
        daemon.close()
    what = "idle server after a Python and a Node.js function, pools and environments included: PSS"
    daemon_only = sum(kib for role, kib in roles.items() if role not in ("init", "function"))
    return [
        Row("idle_pss", what, sum(roles.values()) / 1024, "MiB", 150, detail=detail),
        Row(
            "child_start",
            "first call of an embedded service, its start included",
            child_seconds,
            "s",
            2,
            note=f"status {status}",
        ),
        Row(
            "idle_pss_child",
            "daemon and embedded services after that call: PSS",
            (with_child["daemon"] + with_child["neighbours"]) / 1024,
            "MiB",
            250,
        ),
        Row("idle_pss_daemon", "of that without sandboxes (daemon, supervisor, zygotes)", daemon_only / 1024, "MiB"),
    ]


def mixed_rows(context: Context) -> list[Row]:
    """p99 at 8 clients, quiet and while 50 MB packages and a 1 GiB object are uploaded and all functions are listed."""
    what = (
        f"p99 at {CLIENTS} clients while {UPLOAD_MIB} MiB zips upload, {context.listed} functions are listed "
        "and 1 GiB goes to S3"
    )
    daemon = Daemon()
    try:
        daemon.start()
        daemon.create("mixed", codes.python())
        daemon.create("uploaded", codes.python())
        fill(context, daemon)
        requests = daemon.caller.invokes("mixed")
        quiet = context.programs.send(daemon.port, requests, LoadPlan(CLIENTS, context.seconds)).check("quiet")
        uploads = context.programs.start(daemon.port, _uploads(daemon), LoadPlan(1, context.seconds + 3, 0))
        lists = context.programs.start(daemon.port, list_pages(daemon), LoadPlan(1, context.seconds + 3, 0))
        objects = ObjectUpload(daemon)
        try:
            requests = daemon.caller.invokes("mixed")
            loud = context.programs.send(daemon.port, requests, LoadPlan(CLIENTS, context.seconds)).check("loud")
        finally:
            beside = {"uploads": uploads.wait().check("uploads"), "lists": lists.wait().check("lists")}
            object_mib = objects.stop()
    except LoadError as error:
        return [missing("mixed_p99", what, "ms", str(error)[:400])]
    finally:
        daemon.close()
    detail: dict[str, object] = {"quiet": quiet.brief(), "loud": loud.brief()}
    detail |= {name: load.brief() for name, load in beside.items()}
    detail["object_mib"] = object_mib
    return [
        Row("mixed_p99", what, loud.p99_us / 1000, "ms", 20, detail=detail),
        Row("mixed_ratio", "that p99 over the quiet one", loud.p99_us / quiet.p99_us, "times", 3),
    ]


class ObjectUpload:
    """Sends an object to S3 through the server, a GiB at a time, from a thread of its own."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._is_over = False
        self._sent_mib = 0
        self._failure = ""
        self._send_head("PUT", "/bench", 0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """End and return how many MiB were sent. Raises LoadError."""
        self._is_over = True
        self._thread.join()
        if self._failure:
            raise LoadError(f"S3: {self._failure}")
        return self._sent_mib

    def _run(self) -> None:
        block = os.urandom(1 << 20)
        try:
            while not self._is_over:
                self._send_head("PUT", "/bench/object", 1_024, block)
        except OSError as error:
            self._failure = str(error)

    def _send_head(self, method: str, path: str, size_mib: int, block: bytes = b"") -> None:
        head = self._daemon.caller.s3_head(method, path, size_mib << 20)
        with socket.create_connection(("127.0.0.1", self._daemon.port), 60) as connection:
            connection.sendall(head)
            for _ in range(size_mib):
                if self._is_over:
                    return
                connection.sendall(block)
                self._sent_mib += 1
            answer = connection.recv(4096)
            if b" 200 " not in answer[:20]:
                self._failure = answer[:300].decode(errors="replace")


def fill(context: Context, daemon: Daemon) -> None:
    """Create the functions that are listed. Raises LoadError."""
    names = [f"listed-{number:05d}" for number in range(context.listed)]
    for start in range(0, len(names), 1000):
        part = names[start : start + 1000]
        creates = daemon.caller.creates(part, codes.python().members())
        done = context.programs.send(daemon.port, creates, LoadPlan(2, count=len(part)))
        if done.statuses != {"201": len(part)}:
            raise LoadError(f"CreateFunction: statuses {done.statuses}, {done.first_bad!r}")


def _uploads(daemon: Daemon) -> list[bytes]:
    """Two packages that cannot be compressed, so that every upload is a change."""
    path = "/2015-03-31/functions/uploaded/code"
    bodies = []
    for _ in range(2):
        code = Code(codes.PYTHON_ID, "app.handler", dict(codes.python().files) | {"data": os.urandom(UPLOAD_MIB << 20)})
        bodies.append(json.dumps({"ZipFile": base64.b64encode(code.zip_bytes()).decode()}).encode())
    return [daemon.caller.request("PUT", path, body) for body in bodies]


def list_pages(daemon: Daemon) -> list[bytes]:
    """One request for each page."""
    pages, marker = [], ""
    while True:
        query = "?MaxItems=50" if not marker else f"?Marker={quote(marker, safe='')}&MaxItems=50"
        path = f"/2015-03-31/functions{query}"
        status, _, body = daemon.call("GET", path)
        if status != 200:
            raise LoadError(f"ListFunctions: {status} {body[:300]!r}")
        pages.append(path)
        marker = json.loads(body).get("NextMarker") or ""
        if not marker:
            return [daemon.caller.request("GET", page) for page in pages]


def crowd_rows(context: Context) -> list[Row]:
    """Many idle environments: prewarmed ones, then as many that were used once."""
    if not context.idle:
        return [missing("crowd", "1,000 idle Python environments: memory", "GiB", "left out; --idle 1000 measures it")]
    return [*_prewarmed(context), *_used_once(context)]


def _prewarmed(context: Context) -> list[Row]:
    what = f"{context.idle} idle Python environments, prewarmed: memory taken, server included"
    before = memory_mib("MemAvailable")
    daemon = Daemon({"pool.python": str(context.idle)})
    try:
        daemon.start()
        daemon.create("crowd", codes.python())
        daemon.invoke("crowd")
        deadline = time.monotonic() + 180
        while counts(daemon.pid).get("init", 0) < context.idle and time.monotonic() < deadline:
            time.sleep(1)
        time.sleep(SETTLE_SECONDS)
        taken, roles, number = before - memory_mib("MemAvailable"), pss_kib(daemon.pid), counts(daemon.pid)
    except LoadError as error:
        return [missing("crowd_prewarmed", what, "GiB", str(error)[:400])]
    finally:
        daemon.close()
    detail: dict[str, object] = {
        "pss_mib": sum(roles.values()) / 1024,
        "processes": number,
        "available_fell_mib": taken,
    }
    return [Row("crowd_prewarmed", what, taken / 1024, "GiB", 3.2 * context.idle / 1000, detail=detail)]


def _used_once(context: Context) -> list[Row]:
    what = f"{context.idle} idle Python environments, each used once: memory taken, server included"
    before = memory_mib("MemAvailable")
    daemon = Daemon({"environments.idle_seconds_max": "3600"})
    try:
        daemon.start()
        names = [f"crowd-{number:04d}" for number in range(context.idle)]
        creates = daemon.caller.creates(names, codes.python().members())
        done = context.programs.send(daemon.port, creates, LoadPlan(2, count=len(names)))
        if done.statuses != {"201": len(names)}:
            raise LoadError(f"CreateFunction: statuses {done.statuses}, {done.first_bad!r}")
        first = context.programs.send(daemon.port, daemon.caller.first_invokes(names), LoadPlan(4, count=len(names)))
        first.check("first invokes")
        time.sleep(SETTLE_SECONDS)
        taken, roles, number = before - memory_mib("MemAvailable"), pss_kib(daemon.pid), counts(daemon.pid)
        again = context.programs.send(daemon.port, daemon.caller.first_invokes(names), LoadPlan(4, count=len(names)))
        again.check("second invokes: all respond")
    except LoadError as error:
        return [missing("crowd_used", what, "GiB", str(error)[:400])]
    finally:
        daemon.close()
    detail: dict[str, object] = {
        "pss_mib": sum(roles.values()) / 1024, "processes": number, "available_fell_mib": taken,
        "first": first.brief(), "again": again.brief(),
    }  # fmt: skip
    return [Row("crowd_used", what, taken / 1024, "GiB", 4.2 * context.idle / 1000, detail=detail)]
