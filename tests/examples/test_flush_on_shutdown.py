"""examples/flush-on-shutdown: a handler for SIGTERM runs when the environment ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.examples.deployment import EXAMPLES, deploy, invoke

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import ServerFactory

_WAIT_SECONDS = 20.0


@pytest.mark.slow
def test_what_is_pending_is_written_at_the_end(lambent_server_factory: ServerFactory) -> None:
    """The log's last line comes from the shutdown of an environment that was idle too long."""
    server = lambent_server_factory({"environments.idle_seconds_max": "1"})
    client = server.client()
    deploy(client, "example-flush", EXAMPLES / "flush-on-shutdown", Handler="flush.handler")
    for count, item in enumerate(("one", "two"), 1):
        assert invoke(client, "example-flush", {"item": item}).payload == {"pending": count}
    assert _wait_for_line(server.data_dir / "logs", "flushed 2: one, two")


def _wait_for_line(logs: Path, text: str) -> bool:
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        if any(text in path.read_text(errors="replace") for path in logs.rglob("*") if path.is_file()):
            return True
        time.sleep(0.05)
    return False
