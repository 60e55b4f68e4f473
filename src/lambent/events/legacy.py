"""InvokeAsync, the operation of 2014: an event without a qualifier, a type or a trace."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lambent.model.arn import parse_function_name
from lambent.model.errors import AccessDeniedError, InvalidRequestContentError, ResourceNotFoundError
from lambent.model.invocation import InvokeRequest

if TYPE_CHECKING:
    from lambent.events.queue import AsyncInvocations
    from lambent.model.caller import Caller
    from lambent.wire.generated.invoke_async import InvokeAsyncRequest, InvokeAsyncResponse


class LegacyInvocations:
    """The operation, for the door. Keeps no state."""

    def __init__(self, invocations: AsyncInvocations) -> None:
        self._invocations = invocations

    async def invoke_async(self, caller: Caller, request: InvokeAsyncRequest) -> InvokeAsyncResponse:
        """Take an event; it is on disk when this returns.

        Raises:
            InvalidRequestContentError: the event is not JSON (400).
            AccessDeniedError: it is another account's, whose policy does not allow it (403).
            ResourceNotFoundError and others: see AsyncInvocations.accept.
        """
        function = parse_function_name(request.function_name, account_id=caller.account_id, region=caller.region)
        if function.region != caller.region:
            raise ResourceNotFoundError(
                f"Functions from '{function.region}' are not reachable in this region ('{caller.region}')"
            )
        if function.account_id != caller.account_id:
            raise AccessDeniedError(
                f"User: {caller.principal_arn} is not authorized to perform: lambda:InvokeFunction on resource: "
                f"{function} because no resource-based policy allows the lambda:InvokeFunction action"
            )
        payload = request.invoke_args or b"{}"
        try:
            json.loads(payload)
        except (ValueError, RecursionError) as error:
            raise InvalidRequestContentError(f"Could not parse request body into json: {error}") from None
        # Few call it: a start does not pay for its shapes.
        from lambent.wire.generated.invoke_async import InvokeAsyncResponse

        await self._invocations.accept(InvokeRequest(function, caller.request_id, payload))
        return InvokeAsyncResponse(status=202)
