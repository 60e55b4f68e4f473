"""What the operations of CodeDeploy have in common: its errors, pages, tags, and what is looked up by name.

Source of texts: observed by others on AWS where they name what is missing; else the API reference's own.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any, TypeVar

from lambent.model.configs.deployment import DeploymentApplication, DeploymentGroup
from lambent.model.errors import LambdaError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lambent.model.caller import Caller
    from lambent.store import Resources

T = TypeVar("T")

# Source: service description, the shapes of names.
_NAME = re.compile(r"[A-Za-z0-9+=,.@_-]{1,100}")
PAGE = 100
_READ_AT_ONCE = 200
_TAGS_MAX = 50
Pairs = tuple[tuple[str, str], ...]


def refused(code: str, text: str) -> LambdaError:
    """Return an error of CodeDeploy; `code` without its last word Exception."""
    return LambdaError(text, code=f"{code}Exception")


def named(name: str | None, what: str) -> str:
    """Return the name of something new; `what` is its kind in the words of error codes: Application, DeploymentGroup.

    Raises:
        LambdaError: …NameRequiredException, Invalid…NameException.
    """
    words = re.sub(r"(?<!^)([A-Z])", r" \1", what).lower().replace("config", "configuration")
    if not name:
        raise refused(f"{what}NameRequired", f"The {words} name was not specified.")
    if _NAME.fullmatch(name) is None:
        raise refused(f"Invalid{what}Name", f"The {words} name was specified in an invalid format.")
    return name


async def application(resources: Resources, caller: Caller, name: str | None) -> DeploymentApplication:
    """Return an application. Raises ApplicationNameRequired…, ApplicationDoesNotExistException."""
    if not name:
        raise refused("ApplicationNameRequired", "The minimum number of required application names was not specified.")
    found = await resources.get(DeploymentApplication, caller.account_id, caller.region, name)
    if found is None:
        raise refused("ApplicationDoesNotExist", f"No application found for name: {name}")
    return found


async def group(resources: Resources, caller: Caller, of: str | None, name: str | None) -> DeploymentGroup:
    """Return a deployment group. Raises as `application`, and DeploymentGroupDoesNotExistException."""
    owner = await application(resources, caller, of)
    if not name:
        raise refused("DeploymentGroupNameRequired", "The deployment group name was not specified.")
    found = await resources.get(DeploymentGroup, caller.account_id, caller.region, owner.name, name)
    if found is None:
        raise refused("DeploymentGroupDoesNotExist", f"No Deployment Group found for name: {name}")
    return found


async def all_of(resources: Resources, resource: type[T], caller: Caller, name: str | None = None) -> list[T]:
    """Return all resources of a type (of one name, if given), in order."""
    found: list[T] = []
    after: tuple[str, str | int] | None = None
    while True:
        page: list[Any] = await resources.page(
            resource, caller.account_id, caller.region, name=name, after=after, limit=_READ_AT_ONCE
        )
        found += page
        if len(page) < _READ_AT_ONCE:
            return found
        after = place_of(page[-1])


def place_of(value: Any) -> tuple[str, str | int]:  # noqa: ANN401
    """Return where a resource stands in the order of its type."""
    if isinstance(value, DeploymentGroup):
        return value.application, value.name
    return getattr(value, "deployment_id", "") or value.name, ""


def cut(names: Sequence[str], token: str | None) -> tuple[list[str], str | None]:
    """Return a page of names and the token of the next one. Raises InvalidNextTokenException."""
    first = 0
    if token is not None:
        try:
            first = names.index(base64.urlsafe_b64decode(token.encode()).decode()) + 1
        except (binascii.Error, ValueError) as error:
            text = "The next token was specified in an invalid format."
            raise refused("InvalidNextToken", text) from error
    shown = list(names[first : first + PAGE])
    is_last = first + PAGE >= len(names)
    return shown, None if is_last else base64.urlsafe_b64encode(shown[-1].encode()).decode()


def batch(names: Sequence[str]) -> Sequence[str]:
    """Return the names of a request for several. Raises BatchLimitExceededException."""
    if len(names) > PAGE:
        text = f"The maximum number of names or IDs allowed for this request ({PAGE}) was exceeded."
        raise refused("BatchLimitExceeded", text)
    return names


def tag_pairs(caller: Caller, given: Sequence[Mapping[str, str]] | None, known: Pairs = ()) -> Pairs:
    """Return tags as they are kept: the known ones and over them those given. Raises InvalidTagsToAddException.

    Keys that begin with aws: are CloudFormation's to give.
    """
    tags = dict(known)
    for tag in given or ():
        if not tag.get("Key") or (tag["Key"].startswith("aws:") and not caller.is_system):
            raise refused("InvalidTagsToAdd", "The specified tags are not valid.")
        tags[tag["Key"]] = tag.get("Value", "")
    if len(tags) > _TAGS_MAX:
        raise refused("InvalidTagsToAdd", "The specified tags are not valid.")
    return tuple(tags.items())


def seconds(at_ms: int | None) -> float | None:
    """Return a time as it is answered."""
    return None if at_ms is None else at_ms / 1_000


def without_none(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that have a value."""
    return {name: value for name, value in members.items() if value is not None}
