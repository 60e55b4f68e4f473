"""Ways to invoke that are not there yet: everything is checked, then they say so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NoReturn

from lambent.functions import names
from lambent.functions.configs.targets import Targets
from lambent.model.errors import InvalidRequestContentError, NotImplementedHereError

if TYPE_CHECKING:
    from lambent.model.arn import FunctionArn
    from lambent.model.caller import Caller
    from lambent.store import Resources
    from lambent.wire.generated.invoke_async import InvokeAsyncRequest


class LaterInvocations:
    """InvokeAsync. Keeps no state."""

    def __init__(self, resources: Resources) -> None:
        self._targets = Targets(resources)

    async def invoke_async(self, caller: Caller, request: InvokeAsyncRequest) -> NoReturn:
        """Refuse an event.

        Raises:
            ResourceNotFoundError: no such function (404).
            InvalidRequestContentError: the event is not JSON (400).
            NotImplementedHereError: otherwise (501): what is taken must be durable.
        """
        await self._check(names.resolve(caller, request.function_name), request.invoke_args)
        raise NotImplementedHereError(
            "InvokeAsync is not available yet: nothing is accepted before it can be kept durably. Use Invoke."
        )

    async def _check(self, arn: FunctionArn, payload: bytes | None) -> None:
        if await self._targets.find(arn) is None:
            raise names.not_found(arn)
        try:
            json.loads(payload or b"{}")
        except (ValueError, RecursionError) as error:
            raise InvalidRequestContentError(f"Could not parse request body into json: {error}") from None
