"""Tags of functions, event source mappings, code signing configs and capacity providers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from lambent.functions import names
from lambent.functions.lookups import TRIES, overtaken
from lambent.model.arn import LATEST
from lambent.model.code_signing import CodeSigningConfig
from lambent.model.configs.capacity_provider import CapacityProvider
from lambent.model.configs.event_source import EventSourceMapping
from lambent.model.configs.tags import ResourceTags, check_tags
from lambent.model.errors import InvalidParameterValueError, ResourceNotFoundError
from lambent.model.function import FunctionTags, FunctionVersion
from lambent.store.contracts import CommitRefusedError
from lambent.wire.generated.list_tags import ListTagsResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.functions.ids import Ids
    from lambent.model.arn import FunctionArn
    from lambent.model.caller import Caller
    from lambent.store import FunctionStore
    from lambent.store.contracts import Write
    from lambent.wire.generated.list_tags import ListTagsRequest
    from lambent.wire.generated.tag_resource import TagResourceRequest
    from lambent.wire.generated.untag_resource import UntagResourceRequest

    Change = Callable[[dict[str, str]], dict[str, str]]

_FUNCTION_ARN = re.compile(r"arn:[^:]+:lambda:[^:]+:\d{12}:function:[^:]+(?P<qualifier>:[^:]+)?")
_OTHER_ARN = re.compile(r"arn:[^:]+:lambda:(?P<region>[^:]+):(?P<account>\d{12}):(?P<kind>[a-z-]+):(?P<name>[^:]+)")
_OTHERS: dict[str, type[EventSourceMapping] | type[CodeSigningConfig] | type[CapacityProvider]] = {
    "event-source-mapping": EventSourceMapping,
    "code-signing-config": CodeSigningConfig,
    "capacity-provider": CapacityProvider,
}


class Tags:
    """The three operations on tags. Scope: cluster; keeps no state, the store does."""

    def __init__(self, store: FunctionStore, ids: Ids) -> None:
        self._resources = store.resources
        self._ids = ids

    async def list_tags(self, caller: Caller, request: ListTagsRequest) -> ListTagsResponse:
        """Return a resource's tags. Raises ResourceNotFoundError (404)."""
        arn = _function(caller, request.resource)
        if arn is not None:
            _, of_function = await self._of_function(arn)
            return ListTagsResponse(tags=dict(of_function.tags))
        _, kept = await self._of_other(caller, request.resource)
        return ListTagsResponse(tags=dict(kept.tags))

    async def tag_resource(self, caller: Caller, request: TagResourceRequest) -> None:
        """Add or replace tags.

        Raises:
            InvalidParameterValueError: no tags given, too many in all, a reserved key, or an ARN with qualifier (400).
            ResourceNotFoundError: there is no such resource (404).
        Source: recorded (test_tag_exceptions, test_tag_limits).
        """
        arn = _function(caller, request.resource)
        if not request.tags:
            raise InvalidParameterValueError("An error occurred and the request cannot be processed.")
        added = request.tags

        def change(tags: dict[str, str]) -> dict[str, str]:
            check_tags(added, tags, is_system=caller.is_system)
            return tags | added

        await self._change(caller, request.resource, arn, change)

    async def untag_resource(self, caller: Caller, request: UntagResourceRequest) -> None:
        """Remove tags; a key that is not there is no error. Raises ResourceNotFoundError (404)."""
        removed = set(request.tag_keys)

        def change(tags: dict[str, str]) -> dict[str, str]:
            return {key: value for key, value in tags.items() if key not in removed}

        await self._change(caller, request.resource, _function(caller, request.resource), change)

    async def _change(self, caller: Caller, resource: str, arn: FunctionArn | None, change: Change) -> None:
        resources = self._resources
        for _ in range(TRIES):
            kept: FunctionTags | ResourceTags
            if arn is not None:
                there, kept = await self._of_function(arn)
            else:
                there, kept = await self._of_other(caller, resource)
            changed = change(dict(kept.tags))
            if changed == kept.tags:
                return
            renewed = replace(kept, tags=changed, revision_id=self._ids.new())
            put = resources.put_over(renewed, kept.revision_id) if kept.revision_id else resources.put_new(renewed)
            try:
                await resources.commit(there, put)
            except CommitRefusedError:
                continue
            return
        raise overtaken(resource)

    async def _of_function(self, arn: FunctionArn) -> tuple[Write, FunctionTags]:
        """Return the condition that a function is there, and its tags (without a revision when it never had any)."""
        place = (arn.account_id, arn.region, arn.name)
        function = await self._resources.get(FunctionVersion, *place, LATEST)
        if function is None:
            raise names.not_found(arn)
        kept = await self._resources.get(FunctionTags, *place)
        return self._resources.require(function, is_any_revision=True), kept or FunctionTags(*place, {}, "")

    async def _of_other(self, caller: Caller, resource: str) -> tuple[Write, ResourceTags]:
        """Return the condition that a resource is there, and its tags (without a revision when it never had any)."""
        match = _OTHER_ARN.fullmatch(resource)
        kind = None if match is None else _OTHERS.get(match["kind"])
        if match is not None and kind is not None and (match["region"], match["account"]) == _place(caller):
            found = await self._resources.get(kind, caller.account_id, caller.region, match["name"])
            if found is not None:
                name = f"{match['kind']}:{match['name']}"
                tags = await self._resources.get(ResourceTags, caller.account_id, caller.region, name)
                empty = ResourceTags(caller.account_id, caller.region, name, {}, "")
                return self._resources.require(found, is_any_revision=True), tags or empty
        raise ResourceNotFoundError("The resource you requested does not exist.")


def _place(caller: Caller) -> tuple[str, str]:
    return caller.region, caller.account_id


def _function(caller: Caller, resource: str) -> FunctionArn | None:
    """Return the function that an ARN names; None when it names something else."""
    match = _FUNCTION_ARN.fullmatch(resource)
    if match is None:
        return None
    if match["qualifier"] is not None:
        raise InvalidParameterValueError(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    return names.resolve(caller, resource)
