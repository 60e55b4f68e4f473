"""What hooks keep, who is told of it, and the event."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lambent.model.configs.repository import Repository, RepositoryTrigger
from lambent.triggers.code_commit.pushes import (
    Change,
    Push,
    event_id,
    event_of,
    pending_text,
    read_push,
    trial_event_of,
    wanted,
)

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW, NOTHING = "a" * 40, "b" * 40, "0" * 40
MADE = Change("refs/heads/main", None, NEW)
MOVED = Change("refs/heads/feature/x", OLD, NEW)
GONE = Change("refs/heads/old", OLD, None)
TAG = Change("refs/tags/v1", None, NEW)
PUSH = Push("p1", 1_451_692_799_123, "arn:aws:iam::111122223333:user/ann", (MADE, MOVED, GONE, TAG))
FUNCTION = "arn:aws:lambda:eu-west-1:111122223333:function:f"
REPOSITORY = Repository("111122223333", "eu-west-1", "app", "r", "id", 0, 0, configuration_id="conf")


def trigger(*events: str, branches: tuple[str, ...] = (), data: str | None = None) -> RepositoryTrigger:
    return RepositoryTrigger("tell", FUNCTION, events, branches, data)


def test_what_a_hook_keeps_is_read(tmp_path: Path) -> None:
    file = tmp_path / "1-2.push"
    file.write_text(f"pusher arn:x\n{NOTHING} {NEW} refs/heads/main\n{OLD} {NOTHING} refs/heads/old\nrubbish\n")
    os.utime(file, (1_000.5, 1_000.5))
    assert read_push(file) == Push("1-2", 1_000_500, "arn:x", (MADE, GONE))
    file.write_text(pending_text("", (MOVED,)))
    os.utime(file, (1, 1))
    assert read_push(file) == Push("1-2", 1_000, "", (MOVED,))


@pytest.mark.parametrize("text", ["", "pusher x\n", "\xff\xfe", "one two\n"])
def test_what_says_nothing_is_no_push(tmp_path: Path, text: str) -> None:
    file = tmp_path / "1.push"
    file.write_text(text)
    assert read_push(file) is None
    assert read_push(tmp_path / "none.push") is None


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (trigger("all"), (MADE, MOVED, GONE, TAG)),
        (trigger("createReference"), (MADE, TAG)),
        (trigger("updateReference", "deleteReference"), (MOVED, GONE)),
        (trigger("all", branches=("main", "feature/x")), (MADE, MOVED)),
        (trigger("deleteReference", branches=("main",)), ()),
    ],
)
def test_who_is_told_of_what(told: RepositoryTrigger, expected: tuple[Change, ...]) -> None:
    assert wanted(told, PUSH) == expected


def test_the_event_has_every_documented_member() -> None:
    told = trigger("all", data="this is custom data")
    assert event_of(REPOSITORY, told, PUSH, (MADE, MOVED, GONE)) == {
        "Records": [
            {
                "awsRegion": "eu-west-1",
                "codecommit": {
                    "references": [
                        {"commit": NEW, "ref": "refs/heads/main", "created": True},
                        {"commit": NEW, "ref": "refs/heads/feature/x"},
                        {"commit": OLD, "ref": "refs/heads/old", "deleted": True},
                    ]
                },
                "customData": "this is custom data",
                "eventId": event_id(REPOSITORY, told, PUSH),
                "eventName": "ReferenceChanges",
                "eventPartNumber": 1,
                "eventSource": "aws:codecommit",
                "eventSourceARN": "arn:aws:codecommit:eu-west-1:111122223333:app",
                "eventTime": "2016-01-01T23:59:59.123+0000",
                "eventTotalParts": 1,
                "eventTriggerConfigId": "conf",
                "eventTriggerName": "tell",
                "eventVersion": "1.0",
                "userIdentityARN": "arn:aws:iam::111122223333:user/ann",
            }
        ]
    }


def test_who_did_not_say_who_it_is_is_the_account_itself() -> None:
    [record] = trial_event_of(REPOSITORY, trigger("all"), PUSH._replace(pusher=""))["Records"]
    assert (record["userIdentityARN"], record["eventName"]) == ("arn:aws:iam::111122223333:root", "TriggerEventTest")
    assert "customData" not in record


def test_an_event_keeps_its_id() -> None:
    told = trigger("all")
    assert event_id(REPOSITORY, told, PUSH) == event_id(REPOSITORY, trigger("createReference"), PUSH)
    assert event_id(REPOSITORY, told, PUSH) != event_id(REPOSITORY, told, PUSH._replace(name="p2"))
