"""Tags of functions."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from lambent.functions import names, rules
from lambent.model.errors import InvalidParameterValueError, ResourceNotFoundError
from lambent.wire.generated.list_tags import ListTagsResponse

if TYPE_CHECKING:
    from lambent.model.arn import FunctionArn
    from lambent.model.caller import Caller
    from lambent.store import FunctionStore
    from lambent.wire.generated.list_tags import ListTagsRequest
    from lambent.wire.generated.tag_resource import TagResourceRequest
    from lambent.wire.generated.untag_resource import UntagResourceRequest

_FUNCTION_ARN = re.compile(r"arn:[^:]+:lambda:[^:]+:\d{12}:function:[^:]+(?P<qualifier>:[^:]+)?")


class Tags:
    """The three operations on tags. Scope: node, for two changes of one function take turns here."""

    def __init__(self, store: FunctionStore) -> None:
        self._store = store
        self._turn = asyncio.Lock()

    async def list_tags(self, caller: Caller, request: ListTagsRequest) -> ListTagsResponse:
        """Return a function's tags. Raises ResourceNotFoundError (404)."""
        return ListTagsResponse(tags=await self._existing(_function(caller, request.resource)))

    async def tag_resource(self, caller: Caller, request: TagResourceRequest) -> None:
        """Add or replace tags.

        Raises:
            InvalidParameterValueError: no tags given, too many in all, a reserved key, or an ARN with qualifier (400).
            ResourceNotFoundError: there is no such function (404).
        Source: recorded (test_tag_exceptions, test_tag_limits).
        """
        arn = _function(caller, request.resource)
        if not request.tags:
            raise InvalidParameterValueError("An error occurred and the request cannot be processed.")
        async with self._turn:
            tags = await self._existing(arn) | request.tags
            rules.check_tags(tags)
            await self._store.put_tags(arn, tags)

    async def untag_resource(self, caller: Caller, request: UntagResourceRequest) -> None:
        """Remove tags; a key that is not there is no error. Raises ResourceNotFoundError (404)."""
        arn = _function(caller, request.resource)
        async with self._turn:
            tags = await self._existing(arn)
            left = {key: value for key, value in tags.items() if key not in set(request.tag_keys)}
            if left != tags:
                await self._store.put_tags(arn, left)

    async def _existing(self, arn: FunctionArn) -> dict[str, str]:
        tags = await self._store.get_tags(arn)
        if tags is None:
            raise names.not_found(arn)
        return tags


def _function(caller: Caller, resource: str) -> FunctionArn:
    match = _FUNCTION_ARN.fullmatch(resource)
    if match is None:
        # Layers, mappings and the like cannot exist yet.
        raise ResourceNotFoundError("The resource you requested does not exist.")
    if match["qualifier"] is not None:
        raise InvalidParameterValueError(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    return names.resolve(caller, resource)
