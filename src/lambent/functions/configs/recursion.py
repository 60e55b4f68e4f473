"""Recursive loop detection: what a function asks for. Loops are looked for by the invocation's side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.functions import names
from lambent.functions.configs.targets import Targets
from lambent.model.configs.management import RecursionConfig
from lambent.store.contracts import CommitRefusedError
from lambent.wire.generated.get_function_recursion_config import GetFunctionRecursionConfigResponse
from lambent.wire.generated.put_function_recursion_config import PutFunctionRecursionConfigResponse

if TYPE_CHECKING:
    from lambent.functions.ids import Ids
    from lambent.model.caller import Caller
    from lambent.store import Resources
    from lambent.wire.generated.get_function_recursion_config import GetFunctionRecursionConfigRequest
    from lambent.wire.generated.put_function_recursion_config import PutFunctionRecursionConfigRequest

# Source: recorded (test_put_function_recursion_config_default_terminate).
DEFAULT = "Terminate"


class Recursion:
    """The two operations on recursion configs. Scope: cluster; keeps no state, the store does."""

    def __init__(self, resources: Resources, ids: Ids) -> None:
        self._resources = resources
        self._targets = Targets(resources)
        self._ids = ids

    async def put_function_recursion_config(
        self, caller: Caller, request: PutFunctionRecursionConfigRequest
    ) -> PutFunctionRecursionConfigResponse:
        """Set what happens to a loop. Raises ResourceNotFoundError (404)."""
        arn = names.resolve(caller, request.function_name).unqualified
        target = await self._targets.get(arn)
        config = RecursionConfig(arn.account_id, arn.region, arn.name, request.recursive_loop, self._ids.new())
        try:
            await self._resources.commit(self._targets.require(target), self._resources.put_over(config))
        except CommitRefusedError:
            raise names.not_found(arn) from None
        return PutFunctionRecursionConfigResponse(recursive_loop=request.recursive_loop)

    async def get_function_recursion_config(
        self, caller: Caller, request: GetFunctionRecursionConfigRequest
    ) -> GetFunctionRecursionConfigResponse:
        """Return what happens to a loop. Raises ResourceNotFoundError (404)."""
        arn = names.resolve(caller, request.function_name).unqualified
        await self._targets.get(arn)
        config = await self._resources.get(RecursionConfig, arn.account_id, arn.region, arn.name)
        return GetFunctionRecursionConfigResponse(recursive_loop=DEFAULT if config is None else config.recursive_loop)
