"""What requests to CodeCommit may say: its own errors, each with its code.

Source: API reference, errors of the operations. The texts are not recorded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lambent.model.configs.repository import RepositoryTrigger
from lambent.model.errors import LambdaError
from lambent.triggers.code_commit.pushes import ALL, EVENTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Source: user guide, "Quotas in AWS CodeCommit".
TRIGGERS_MAX = 10
_BRANCHES_MAX = 10
_CUSTOM_DATA_MAX = 1_000
_DESCRIPTION_MAX = 1_000
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_TAGS_MAX = 50
_BRANCH_MAX = 256
# Source: git-check-ref-format(1).
_NO_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/$|^/|\.lock(/|$)|(^|/)\.|\.$|^-|^@$|^$")
_ARN = re.compile(r"arn:[^:]+:(lambda|sns):([a-z0-9-]+):\d{12}:\S+")


def failed(code: str, text: str) -> LambdaError:
    """Return an error of CodeCommit: its code without the word Exception."""
    return LambdaError(text, code=f"{code}Exception")


def repository_name(request: Mapping[str, Any], member: str = "repositoryName") -> str:
    """Return the name of a repository. Raises RepositoryNameRequiredException, InvalidRepositoryNameException."""
    name = request.get(member)
    if not name:
        raise failed("RepositoryNameRequired", "A repository name is required.")
    text = str(name)
    if _NAME.fullmatch(text) is None or text.endswith(".git"):
        raise failed("InvalidRepositoryName", f"The repository name {text[:100]} is not valid.")
    return text


def branch_name(request: Mapping[str, Any], member: str = "branchName") -> str:
    """Return the name of a branch. Raises BranchNameRequiredException, InvalidBranchNameException."""
    name = request.get(member)
    if not name:
        raise failed("BranchNameRequired", "A branch name is required.")
    if not is_branch(str(name)):
        raise failed("InvalidBranchName", f"The branch name {str(name)[:256]} is not valid.")
    return str(name)


def is_branch(name: str) -> bool:
    """Return whether a branch may have this name."""
    return len(name) <= _BRANCH_MAX and _NO_BRANCH.search(name) is None


def description(request: Mapping[str, Any]) -> str | None:
    """Return a description. Raises InvalidRepositoryDescriptionException."""
    text = request.get("repositoryDescription")
    if text is not None and len(text) > _DESCRIPTION_MAX:
        raise failed("InvalidRepositoryDescription", f"A description has at most {_DESCRIPTION_MAX} characters.")
    return text


def tags_of(request: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, str]:
    """Return `known` with the tags of a request. Raises TooManyTagsException and those about keys and values."""
    changed = {**known, **(request.get("tags") or {})}
    for key, value in changed.items():
        if not 1 <= len(key) <= 128:
            raise failed("InvalidTagKey", "A tag's key has 1 to 128 characters.")
        if key.lower().startswith("aws:"):
            raise failed("InvalidSystemTagUsage", "Tags that begin with aws: are AWS's own.")
        if len(value) > 256:
            raise failed("InvalidTagValue", "A tag's value has at most 256 characters.")
    if len(changed) > _TAGS_MAX:
        raise failed("TooManyTags", f"A repository has at most {_TAGS_MAX} tags.")
    return changed


def triggers_of(request: Mapping[str, Any], region: str) -> tuple[RepositoryTrigger, ...]:
    """Return the triggers of a request. Raises what the API reference lists for PutRepositoryTriggers."""
    given = request.get("triggers")
    if given is None:
        raise failed("RepositoryTriggersListRequired", "A list of triggers is required.")
    if len(given) > TRIGGERS_MAX:
        raise failed("MaximumRepositoryTriggersExceeded", f"A repository has at most {TRIGGERS_MAX} triggers.")
    triggers = tuple(_trigger(one, region) for one in given)
    if len({one.name for one in triggers}) != len(triggers):
        raise failed("InvalidRepositoryTriggerName", "Two triggers of a repository have one name.")
    return triggers


def _trigger(given: Mapping[str, Any], region: str) -> RepositoryTrigger:
    name = given.get("name")
    if not name:
        raise failed("RepositoryTriggerNameRequired", "A trigger needs a name.")
    if _NAME.fullmatch(name) is None:
        raise failed("InvalidRepositoryTriggerName", f"The trigger name {name[:100]} is not valid.")
    return RepositoryTrigger(
        name=name,
        destination_arn=_destination(given, region),
        events=_events(given.get("events")),
        branches=_branches(given.get("branches")),
        custom_data=_custom_data(given.get("customData")),
    )


def _destination(given: Mapping[str, Any], region: str) -> str:
    arn = given.get("destinationArn")
    if not arn:
        raise failed("RepositoryTriggerDestinationArnRequired", "A trigger needs a destination.")
    match = _ARN.fullmatch(arn)
    if match is None:
        text = f"{arn[:256]} is neither the ARN of a Lambda function nor of an SNS topic."
        raise failed("InvalidRepositoryTriggerDestinationArn", text)
    if match[2] != region:
        raise failed("InvalidRepositoryTriggerRegion", "Destination and repository must be of the same region.")
    return str(arn)


def _events(given: Sequence[str] | None) -> tuple[str, ...]:
    if not given:
        raise failed("RepositoryTriggerEventsListRequired", "A trigger needs at least one event.")
    if any(one not in EVENTS for one in given) or (ALL in given and len(given) > 1):
        text = f"Events are {', '.join(EVENTS)}; {ALL} stands alone."
        raise failed("InvalidRepositoryTriggerEvents", text)
    return tuple(dict.fromkeys(given))


def _branches(given: Sequence[str] | None) -> tuple[str, ...]:
    # "Although no content is required in the array, you must include the array itself", says the user guide; the
    # service description lets it out, and so do CloudFormation's templates.
    branches = tuple(given or ())
    if len(branches) > _BRANCHES_MAX:
        raise failed("MaximumBranchesExceeded", f"A trigger names at most {_BRANCHES_MAX} branches.")
    if not all(isinstance(one, str) and is_branch(one) for one in branches):
        raise failed("InvalidRepositoryTriggerBranchName", "A trigger names a branch that no branch can be.")
    return branches


def _custom_data(given: str | None) -> str | None:
    if given is not None and len(given) > _CUSTOM_DATA_MAX:
        text = f"Custom data have at most {_CUSTOM_DATA_MAX} characters."
        raise failed("InvalidRepositoryTriggerCustomData", text)
    return given
