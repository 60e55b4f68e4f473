"""A server with the embedded services, and clients for them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

if TYPE_CHECKING:
    from tests.conftest import ServerFactory
    from tests.running import LambentServer


@pytest.fixture(scope="module")
def neighboured(lambent_server_factory: ServerFactory) -> LambentServer:
    """A server of the module's own, whose embedded services start when they are first called."""
    return lambent_server_factory({"neighbours.enabled": "true", "isolation.level": "L0"})


def patient_client(server: LambentServer, service: str) -> Any:
    """Return a client that tries again as SDKs do by default: a request that met the child's death is answered 503."""
    return boto3.client(
        service,
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"mode": "standard", "total_max_attempts": 4}),
    )


def child_of(server: LambentServer) -> dict[str, Any]:
    """Return what health says of the child."""
    found: dict[str, Any] = json.loads(server.get("/_lambent/health")[1])["neighbours"]
    return found


def signal_child(server: LambentServer, number: int) -> int:
    """Send the child a signal; return its process id."""
    pid: int = child_of(server)["pid"]
    os.kill(pid, number)
    return pid


def memory_mib(pid: int, field: str = "VmRSS") -> float:
    """Return what /proc says of a process's memory."""
    [line] = [one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith(f"{field}:")]
    return int(line.split()[1]) / 1024


def wait_for_line(logs: Any, group: str, text: str, seconds: float) -> list[dict[str, Any]]:
    """Return the events of a log group as soon as one has this text."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            events: list[dict[str, Any]] = logs.filter_log_events(logGroupName=group)["events"]
        except logs.exceptions.ResourceNotFoundException:
            events = []
        if any(text in one["message"] for one in events):
            return events
        assert time.monotonic() < deadline, f"no line {text!r} within {seconds} s"
        time.sleep(0.02)
