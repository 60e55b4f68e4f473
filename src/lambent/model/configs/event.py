"""Asynchronous invocation: what happens to an event that fails, or succeeds."""

from __future__ import annotations

from msgspec import Struct


class EventInvokeConfig(Struct, frozen=True):
    """`EventInvokeConfig` of a function (`qualifier` $LATEST), version or alias. None: AWS's default applies.

    Retries 0 to 2; age 60 to 21,600 seconds; destinations are ARNs. `last_modified_ms` since the Unix epoch.
    """

    account_id: str
    region: str
    name: str
    qualifier: str
    revision_id: str
    last_modified_ms: int
    maximum_retry_attempts: int | None = None
    maximum_event_age_seconds: int | None = None
    on_success: str | None = None
    on_failure: str | None = None


def is_destination(destination: str, services: frozenset[str]) -> bool:
    """Whether an ARN (or `kafka://topic`) leads to one of these services."""
    if destination.startswith("kafka://"):
        return "kafka" in services
    parts = destination.split(":")
    return len(parts) > 2 and parts[0] == "arn" and parts[2] in services
