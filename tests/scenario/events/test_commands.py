"""`lambent events`: what waits, peek, redrive, drop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import create_function
from tests.scenario.events.conftest import OBEDIENT, Mailbox, conservation, logged, send, wait_drained, wait_until

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow
_LAMBENT = Path(sys.executable).parent / "lambent"


def events(server: LambentServer, *words: str, status: int = 0) -> str:
    """Run `lambent events` and return what it prints."""
    command = [str(_LAMBENT), "events", *words, "--endpoint-url", server.url]
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    run = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert run.returncode == status, run.stderr
    return run.stdout if not status else run.stderr


def test_what_waits_is_seen_and_dropped_with_confirmation(eventful: LambentServer, client: Any) -> None:
    slow = "import time\ndef handler(event, context):\n    time.sleep(10)\n"
    create_function(client, "waits", {"index.py": slow}, Timeout=30)
    client.put_function_concurrency(FunctionName="waits", ReservedConcurrentExecutions=1)
    ids = [send(client, "waits", {"n": number}) for number in range(6)]
    wait_until(lambda: conservation(eventful, "waits")["in_flight"] >= 1, "one is in flight")
    [queue] = [one for one in json.loads(events(eventful, "queues", "--json")) if one["function"] == "waits"]
    assert queue["queued"] + queue["in_flight"] == 6
    assert queue["oldest_age_seconds"] >= 0
    assert "waits" in events(eventful, "queues")
    peeked = [json.loads(line) for line in events(eventful, "peek", "waits", "--limit", "6").splitlines()]
    assert {event["request_id"] for event in peeked} == set(ids)
    assert {event["payload"] for event in peeked} == {f'{{"n": {number}}}' for number in range(6)}
    assert "--yes" in events(eventful, "drop", "waits", status=1)
    dropped = int(events(eventful, "drop", "waits", "--yes"))
    counts = conservation(eventful, "waits")
    assert counts["dropped"] == dropped
    client.delete_function(FunctionName="waits")


@pytest.mark.parametrize("is_record", [True, False])
def test_dead_events_are_brought_back(eventful: LambentServer, client: Any, is_record: bool) -> None:
    name = f"revived-{is_record}"
    box = Mailbox(eventful, f"graveyard-{is_record}")
    broken = "def handler(event, context):\n    raise ValueError('broken')\n"
    letters = {} if is_record else {"DeadLetterConfig": {"TargetArn": box.arn}}
    create_function(client, name, {"index.py": broken}, **letters)
    config: dict[str, Any] = {"DestinationConfig": {"OnFailure": {"Destination": box.arn}}} if is_record else {}
    client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0, **config)
    for number in range(12):
        send(client, name, {"n": number})
    assert wait_drained(eventful, name)["dead_lettered"] == 12
    mended = client.update_function_code(FunctionName=name, ZipFile=_zip(OBEDIENT))
    assert mended["FunctionName"] == name
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    if not is_record:
        assert "which function" in events(eventful, "redrive", box.arn, status=1)
        # What was received and not brought back is visible again after the queue's time-out.
        box.show_again()
    whose = () if is_record else ("--function", name)
    assert int(events(eventful, "redrive", box.arn, *whose)) == 12
    assert wait_drained(eventful, name)["succeeded"] == 12
    wait_until(lambda: len(logged(eventful, name)) == 12, "they ran")
    assert box.is_empty()
    assert "cannot be read" in events(
        eventful, "redrive", "arn:aws:sqs:us-east-1:000000000000:never-made", "--function", name, status=1
    )


def _zip(code: str) -> bytes:
    from tests.running import make_zip_bytes

    return make_zip_bytes({"index.py": code})
