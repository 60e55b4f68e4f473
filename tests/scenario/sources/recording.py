"""A function that keeps what sources without `Records` bring it, and fails as its messages say."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

from tests.running import create_function
from tests.scenario.sources.conftest import events_of, wait_until

if TYPE_CHECKING:
    from tests.running import LambentServer

# It keeps every event, then sleeps or fails for a text that says so: `fail N` fails the first N times that it comes.
# It answers with what it kept when it is asked without an event source.
SOURCE = """
import base64, json, os, time

KEPT = "/tmp/events"


def texts(event):
    groups = [event.get("messages", ()), *event.get("rmqMessagesByQueue", {}).values()]
    for message in (one for group in groups for one in group):
        yield base64.b64decode(message["data"]).decode("utf-8", "replace")
    for one in event.get("events", ()):
        yield str(((one["event"].get("fullDocument")) or {}).get("text", ""))


def shortened(value):
    if isinstance(value, dict):
        return {key: shortened(one) for key, one in value.items()}
    if isinstance(value, list):
        return [shortened(one) for one in value]
    # What it answers may not be larger than what it was given. Base64 stays base64.
    return value[:400] if isinstance(value, str) else value


def handler(event, context):
    kept = [json.loads(line) for line in open(KEPT)] if os.path.exists(KEPT) else []
    if "eventSource" not in event:
        return kept
    with open(KEPT, "a") as file:
        file.write(json.dumps(shortened(event)) + "\\n")
    for text in texts(event):
        if text.startswith("sleep "):
            time.sleep(float(text.split()[1]))
        if text.startswith("fail "):
            if sum(text in texts(one) for one in kept) < int(text.split()[1]):
                raise ValueError("as asked")
"""


def make_recorder(server: LambentServer, name: str) -> Any:
    """Create a recorder with one environment; return a client."""
    client = server.client()
    create_function(client, name, {"index.py": SOURCE}, Timeout=60)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    return client


def make_secret(server: LambentServer, name: str, user: str, password: str) -> str:
    """Keep user name and password in Secrets Manager, anew if they are there; return the ARN."""
    secrets = server.client("secretsmanager")
    text = json.dumps({"username": user, "password": password})
    try:
        return str(secrets.create_secret(Name=name, SecretString=text)["ARN"])
    except secrets.exceptions.ResourceExistsException:
        return str(secrets.put_secret_value(SecretId=name, SecretString=text)["ARN"])


def messages(event: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the messages of an event, of whatever broker."""
    groups = [event.get("messages", []), *event.get("rmqMessagesByQueue", {}).values()]
    return [message for group in groups for message in group]


def texts(client: Any, name: str) -> list[str]:
    """Return the bodies of all messages that a recorder has got, in order."""
    found = [message for event in events_of(client, name) for message in messages(event)]
    return [base64.b64decode(message["data"]).decode() for message in found]


def wait_texts(client: Any, name: str, *wanted: str, seconds_max: float = 60.0) -> list[str]:
    """Return the bodies once these are among them."""
    found: list[str] = wait_until(
        lambda: some if set(wanted) <= set(some := texts(client, name)) else None, seconds_max
    )
    return found


def wait_trouble(client: Any, mapping_id: str, reason: str, seconds_max: float = 60.0) -> dict[str, Any]:
    """Return the mapping once it is Disabled for a reason."""

    def current() -> dict[str, Any] | None:
        mapping: dict[str, Any] = client.get_event_source_mapping(UUID=mapping_id)
        return mapping if (mapping["State"], mapping["StateTransitionReason"]) == ("Disabled", reason) else None

    found: dict[str, Any] = wait_until(current, seconds_max)
    return found


def close_to_now(time_ms: int) -> bool:
    """Whether a moment is of this hour."""
    return abs(time.time() * 1_000 - time_ms) < 3_600_000


def is_busy(client: Any, name: str) -> bool:
    """Whether a recorder's one environment is at work."""
    try:
        client.invoke(FunctionName=name)
    except client.exceptions.TooManyRequestsException:
        return True
    return False
