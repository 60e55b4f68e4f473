"""What requests to CodeCommit may say."""

from __future__ import annotations

from typing import Any

import pytest

from lambent.model.errors import LambdaError
from lambent.triggers.code_commit import checks

FUNCTION = "arn:aws:lambda:us-east-1:111122223333:function:f"
FINE: dict[str, Any] = {"name": "t", "destinationArn": FUNCTION, "events": ["all"], "branches": []}


def _code(**changed: Any) -> str:
    given = {name: value for name, value in {**FINE, **changed}.items() if value is not None}
    with pytest.raises(LambdaError) as caught:
        checks.triggers_of({"triggers": [given]}, "us-east-1")
    return caught.value.code


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"name": None}, "RepositoryTriggerNameRequired"),
        ({"name": "a b"}, "InvalidRepositoryTriggerName"),
        ({"destinationArn": None}, "RepositoryTriggerDestinationArnRequired"),
        ({"destinationArn": "arn:aws:sqs:us-east-1:111122223333:q"}, "InvalidRepositoryTriggerDestinationArn"),
        ({"destinationArn": FUNCTION.replace("us-east-1", "eu-west-1")}, "InvalidRepositoryTriggerRegion"),
        ({"events": None}, "RepositoryTriggerEventsListRequired"),
        ({"events": []}, "RepositoryTriggerEventsListRequired"),
        ({"events": ["push"]}, "InvalidRepositoryTriggerEvents"),
        ({"events": ["all", "createReference"]}, "InvalidRepositoryTriggerEvents"),
        ({"branches": ["a..b"]}, "InvalidRepositoryTriggerBranchName"),
        ({"branches": [f"b{number}" for number in range(11)]}, "MaximumBranchesExceeded"),
        ({"customData": "x" * 1_001}, "InvalidRepositoryTriggerCustomData"),
    ],
)
def test_a_wrong_trigger_has_an_error_of_its_own(changed: dict[str, Any], code: str) -> None:
    assert _code(**changed) == f"{code}Exception"


def test_lists_of_triggers() -> None:
    assert checks.triggers_of({"triggers": []}, "us-east-1") == ()
    [made] = checks.triggers_of({"triggers": [{**FINE, "customData": "d", "branches": ["main"]}]}, "us-east-1")
    assert (made.name, made.events, made.branches, made.custom_data) == ("t", ("all",), ("main",), "d")
    for given, code in (
        ({}, "RepositoryTriggersListRequiredException"),
        ({"triggers": [FINE] * 11}, "MaximumRepositoryTriggersExceededException"),
        ({"triggers": [FINE, FINE]}, "InvalidRepositoryTriggerNameException"),
    ):
        with pytest.raises(LambdaError) as caught:
            checks.triggers_of(given, "us-east-1")
        assert caught.value.code == code


@pytest.mark.parametrize("name", ["a b", "ä", "x" * 101, "app.git", "a/b", "a\n"])
def test_names_of_repositories(name: str) -> None:
    assert checks.repository_name({"repositoryName": "App_1.x-y"}) == "App_1.x-y"
    with pytest.raises(LambdaError) as caught:
        checks.repository_name({"repositoryName": name})
    assert caught.value.code == "InvalidRepositoryNameException"


@pytest.mark.parametrize(
    "name",
    ["", "a b", "a..b", "/a", "a/", "a//b", "a.lock", ".a", "a/.b", "a~1", "a:b", "@", "a@{1}", "-x", "a.", "x" * 257],
)  # fmt: skip
def test_names_of_branches(name: str) -> None:
    assert checks.is_branch("feature/ä-1")
    assert not checks.is_branch(name)


def test_tags() -> None:
    assert checks.tags_of({"tags": {"a": "1"}}, {"b": "2"}) == {"b": "2", "a": "1"}
    for tags, code in (
        ({"": "x"}, "InvalidTagKeyException"),
        ({"aws:x": "x"}, "InvalidSystemTagUsageException"),
        ({"x": "y" * 257}, "InvalidTagValueException"),
        ({f"t{number}": "" for number in range(51)}, "TooManyTagsException"),
    ):
        with pytest.raises(LambdaError) as caught:
            checks.tags_of({"tags": tags}, {})
        assert caught.value.code == code
