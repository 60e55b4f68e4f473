"""Rows about schedules: how late they are."""

from __future__ import annotations

import json
import statistics
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import boto3

from benchmarks.measuring import codes
from benchmarks.measuring.daemon import Code, Daemon
from benchmarks.measuring.events import TELLS, Listener
from benchmarks.measuring.generator import LoadError
from benchmarks.measuring.rows import Row, missing

if TYPE_CHECKING:
    from benchmarks.measuring.context import Context

SECONDS = 20
CROWD = 500
_WHAT = "schedule's time → its function's first line, warm"


def rows(_context: Context) -> list[Row]:
    """One at a time, once a second; then many at one moment."""
    listener = Listener()
    daemon = Daemon({"logs.deliver": "false", "network.host_ports": str(listener.port)})
    try:
        daemon.start()
        daemon.create("probe", Code(codes.PYTHON_ID, "app.handler", {"app.py": TELLS}))
        daemon.invoke("probe")
        begin = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=8)
        alone = _late_ms(daemon, listener, {n: begin + timedelta(seconds=n) for n in range(SECONDS)})
        begin = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=15)
        crowd = _late_ms(daemon, listener, dict.fromkeys(range(1_000, 1_000 + CROWD), begin))
    except LoadError as error:
        return [missing("schedule_late", _WHAT, "ms", str(error)[:400])]
    finally:
        daemon.close()
        listener.close()
    detail: dict[str, object] = {"p50": statistics.median(alone), "max": max(alone)}
    return [
        Row("schedule_late", f"{_WHAT}: the latest of {SECONDS}", max(alone), "ms", 100, detail=detail),
        Row("schedule_crowd", f"{_WHAT}: {CROWD} at one moment, the last", max(crowd), "ms",
            detail={"first": min(crowd), "p50": statistics.median(crowd)}),
    ]  # fmt: skip


def _late_ms(daemon: Daemon, listener: Listener, moments: dict[int, datetime]) -> list[float]:
    caller = daemon.caller
    scheduler = boto3.client(
        "scheduler",
        endpoint_url=f"http://127.0.0.1:{daemon.port}",
        region_name=caller.region,
        aws_access_key_id=caller.access_key_id,
        aws_secret_access_key=caller.secret_access_key,
    )
    for number, moment in moments.items():
        scheduler.create_schedule(
            Name=f"n{number}",
            ScheduleExpression=f"at({moment:%Y-%m-%dT%H:%M:%S})",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={
                "Arn": f"arn:aws:lambda:{caller.region}:000000000000:function:probe",
                "RoleArn": "arn:aws:iam::000000000000:role/r",
                "Input": json.dumps({"n": number, "port": listener.port}),
            },
        )
    if datetime.now(UTC) > min(moments.values()):
        raise LoadError("the schedules took longer to make than there was time")
    return [(listener.wait(number) - moment.timestamp() * 1e9) / 1e6 for number, moment in moments.items()]
