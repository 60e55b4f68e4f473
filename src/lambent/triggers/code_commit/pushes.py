"""What was pushed, and the events that tell functions of it."""

from __future__ import annotations

import hashlib
import os
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lambent.model.configs.repository import Repository, RepositoryTrigger

_NOTHING = "0" * 40
_BRANCHES = "refs/heads/"
_PUSH_BYTES_MAX = 4_194_304
ALL = "all"
EVENTS = (ALL, "updateReference", "createReference", "deleteReference")


class Change(NamedTuple):
    """One reference that was made, moved or removed. `old` and `new` are commits, None for nothing."""

    ref: str
    old: str | None
    new: str | None

    @property
    def event(self) -> str:
        """AWS's word for it."""
        if self.old is None:
            return "createReference"
        return "deleteReference" if self.new is None else "updateReference"

    def described(self) -> dict[str, object]:
        """Return it as events have it. Source: user guide, "Create a trigger for an existing Lambda function".

        What AWS names as the commit of a removed reference is not recorded: here it is where that pointed last.
        """
        described: dict[str, object] = {"commit": self.new or self.old, "ref": self.ref}
        if self.old is None:
            described["created"] = True
        if self.new is None:
            described["deleted"] = True
        return described


class Push(NamedTuple):
    """What one push changed. `name` is unique to it; `pusher` is an ARN, empty when nobody said who it was."""

    name: str
    at_ms: int
    pusher: str
    changes: tuple[Change, ...]


def read_push(path: Path) -> Push | None:
    """Return what the hook kept in a file; None when it is gone or says nothing. Blocks."""
    try:
        with path.open("rb") as file:
            at_ms = int(os.fstat(file.fileno()).st_mtime * 1_000)
            text = file.read(_PUSH_BYTES_MAX).decode(errors="replace")
    except OSError:
        return None
    pusher, changes = "", []
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "pusher":
            pusher = rest.strip()
            continue
        new, _, ref = rest.partition(" ")
        if ref:
            changes.append(Change(ref, _commit(word), _commit(new)))
    return Push(path.stem, at_ms, pusher, tuple(changes)) if changes else None


def pending_text(pusher: str, changes: Iterable[Change]) -> str:
    """Return what the hook would keep of these changes."""
    lines = [f"{change.old or _NOTHING} {change.new or _NOTHING} {change.ref}" for change in changes]
    return "\n".join([f"pusher {pusher}", *lines, ""])


def wanted(trigger: RepositoryTrigger, push: Push) -> tuple[Change, ...]:
    """Return the changes that a trigger is told of. Source: API reference, RepositoryTrigger."""
    branches = {_BRANCHES + name for name in trigger.branches}
    return tuple(
        change
        for change in push.changes
        if (ALL in trigger.events or change.event in trigger.events) and (not branches or change.ref in branches)
    )


def event_of(repository: Repository, trigger: RepositoryTrigger, push: Push, changes: Sequence[Change]) -> Any:  # noqa: ANN401
    """Return the event of a push for one trigger. Its id follows from both: told again, it is the same event.

    Source: Lambda developer guide, "Using AWS Lambda with AWS CodeCommit".
    """
    return _event(repository, trigger, push, (changes, "ReferenceChanges"))


def trial_event_of(repository: Repository, trigger: RepositoryTrigger, push: Push) -> Any:  # noqa: ANN401
    """Return the event that TestRepositoryTriggers sends. Source: as `event_of`: eventName TriggerEventTest."""
    return _event(repository, trigger, push, (push.changes, "TriggerEventTest"))


def _event(repository: Repository, trigger: RepositoryTrigger, push: Push, said: tuple[Sequence[Change], str]) -> Any:  # noqa: ANN401
    changes, event_name = said
    moment = datetime.fromtimestamp(push.at_ms / 1_000, UTC)
    record: dict[str, object] = {
        "awsRegion": repository.region,
        "codecommit": {"references": [change.described() for change in changes]},
        "eventId": event_id(repository, trigger, push),
        "eventName": event_name,
        "eventPartNumber": 1,
        "eventSource": "aws:codecommit",
        "eventSourceARN": repository.arn,
        "eventTime": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1_000:03d}+0000",
        "eventTotalParts": 1,
        "eventTriggerConfigId": repository.configuration_id,
        "eventTriggerName": trigger.name,
        "eventVersion": "1.0",
        "userIdentityARN": push.pusher or f"arn:aws:iam::{repository.account_id}:root",
    }
    if trigger.custom_data is not None:
        record["customData"] = trigger.custom_data
    return {"Records": [record]}


def event_id(repository: Repository, trigger: RepositoryTrigger, push: Push) -> str:
    """Return the id of a push's event for one trigger."""
    text = "\n".join((repository.repository_id, trigger.name, trigger.destination_arn, push.name))
    return str(uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=4))


def _commit(text: str) -> str | None:
    return None if not text.strip("0") else text
