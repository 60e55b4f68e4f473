"""Nested stacks: where their templates are, and that nothing stays of one that cannot be made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    Properties = dict[str, Any]
    Made = tuple[str, dict[str, Any]]

TYPE = "AWS::CloudFormation::Stack"
_URLS = (("TemplateBody", "TemplateURL"), ("StackPolicyBody", "StackPolicyURL"))


def whole_or_nothing(
    create: Callable[[str, Properties, str], Made], delete: Callable[[str, Properties], None], stacks: Any
) -> Callable[[str, Properties, str], Made]:
    """Return what makes a nested stack, and removes what it has made of one that fails. `stacks`: by their names."""

    def made(logical_id: str, properties: Properties, stack_name: str) -> Made:
        before = {one["StackId"] for one in list(stacks.values())}
        try:
            return create(logical_id, properties, stack_name)
        except Exception as error:
            new = [
                one for one in list(stacks.values())
                if one["StackId"] not in before and one.get("_parent_stack_name") == stack_name
            ]  # fmt: skip
            for one in new:
                failed = str(one.get("StackStatusReason") or error)
                delete(one["StackId"], properties)
                raise _NotCreatedError(
                    f"Embedded stack {one['StackId']} was not successfully created: {failed}"
                ) from error
            raise

    return made


class _NotCreatedError(Exception):
    """A nested stack could not be made."""


def path_style(url: str) -> str:
    """Return the address of an object with its bucket in the path, where MiniStack looks for it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    for mark in (".s3.", ".s3-"):
        bucket, found, _ = host.partition(mark)
        if found and bucket:
            return urlunsplit(parts._replace(netloc=host[len(bucket) + 1 :], path=f"/{bucket}{parts.path}"))
    return url


def with_path_style(resolve: Callable[..., Any]) -> Callable[..., Any]:
    """Return what finds a template or a policy by either form of an object's address."""

    def resolved(params: dict[str, Any], body_key: str, url_key: str, label: str) -> Any:
        given = params.get(url_key)
        if given and (body_key, url_key) in _URLS:
            urls = given if isinstance(given, list) else [given]
            params = {**params, url_key: [path_style(str(one)) for one in urls]}
        return resolve(params, body_key, url_key, label)

    return resolved
