"""Tags: what a set of them may be, and those of resources that are no functions."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - the store reads the annotations of what it keeps

from msgspec import Struct

from lambent.model.errors import InvalidParameterValueError
from lambent.model.quotas import TAGS_PER_FUNCTION


class ResourceTags(Struct, frozen=True):
    """The tags of a mapping, code signing config or capacity provider: `resource` is the end of its ARN."""

    account_id: str
    region: str
    resource: str
    tags: Mapping[str, str]
    revision_id: str


def check_tags(added: Mapping[str, str], kept: Mapping[str, str] | None = None, *, is_system: bool = False) -> None:
    """Refuse tags that a resource may not be given beside those that it keeps.

    `is_system`: a service of AWS gives them, which has keys of its own; they are not counted.

    Raises:
        InvalidParameterValueError: more than 50, or a key that AWS keeps for itself (400).
    Source: recorded (test_tag_limits); Resource Groups Tagging guide for `aws:`.
    """
    own = [key for key in {**(kept or {}), **added} if not key.lower().startswith("aws:")]
    if len(own) > TAGS_PER_FUNCTION.value:
        raise InvalidParameterValueError("Number of tags exceeds resource tag limit.")
    if not is_system and any(key.lower().startswith("aws:") for key in added):
        raise InvalidParameterValueError("Tag keys starting with 'aws:' are reserved for system use.")
