"""How many environments a function on a capacity provider may have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.functions import names
from lambent.functions.lookups import TRIES, existing, overtaken
from lambent.model.concurrency import FunctionScaling
from lambent.model.errors import InvalidParameterValueError
from lambent.store.contracts import CommitRefusedError
from lambent.wire.generated import shared as shapes
from lambent.wire.generated.get_function_scaling_config import GetFunctionScalingConfigResponse
from lambent.wire.generated.put_function_scaling_config import PutFunctionScalingConfigResponse

if TYPE_CHECKING:
    from lambent.functions.ids import Ids
    from lambent.model.arn import FunctionArn
    from lambent.model.caller import Caller
    from lambent.store import FunctionStore
    from lambent.store.contracts import Write
    from lambent.wire.generated.get_function_scaling_config import GetFunctionScalingConfigRequest
    from lambent.wire.generated.put_function_scaling_config import PutFunctionScalingConfigRequest


class FunctionScalings:
    """The two operations on scaling. Scope: cluster; keeps no state, the store does.

    Only capacity providers apply such bounds, and no function runs on one here: what is asked for is kept and
    answered as requested, and nothing as applied.
    """

    def __init__(self, store: FunctionStore, ids: Ids) -> None:
        self._store = store
        self._resources = store.resources
        self._ids = ids

    async def put_function_scaling_config(
        self, caller: Caller, request: PutFunctionScalingConfigRequest
    ) -> PutFunctionScalingConfigResponse:
        """Ask for bounds of a published version in place of what was asked before; without any, for none.

        Raises:
            ResourceNotFoundError: there is no such version (404).
            InvalidParameterValueError: the minimum is above the maximum (400).
            ResourceConflictError: other changes of the function kept coming first (409).
        Source: service description, PutFunctionScalingConfig.
        """
        arn = names.resolve(caller, request.function_name, request.qualifier)
        asked = request.function_scaling_config or shapes.FunctionScalingConfig()
        low, high = asked.min_execution_environments, asked.max_execution_environments
        if low is not None and high is not None and low > high:
            raise InvalidParameterValueError(
                "MinExecutionEnvironments must be less than or equal to MaxExecutionEnvironments."
            )
        for _ in range(TRIES):
            version = await existing(self._store, arn)
            present = await self._present(arn)
            writes: list[Write] = [self._resources.require(version, is_any_revision=True)]
            if low is not None or high is not None:
                scaling = FunctionScaling(
                    arn.account_id, arn.region, arn.name, version.version, low, high, self._ids.new()
                )
                writes.append(self._resources.put_over(scaling))
            elif present is not None:
                writes.append(self._resources.delete(present, is_any_revision=True))
            try:
                await self._resources.commit(*writes)
            except CommitRefusedError:
                continue
            return PutFunctionScalingConfigResponse(function_state=version.state.value)
        raise overtaken(arn)

    async def get_function_scaling_config(
        self, caller: Caller, request: GetFunctionScalingConfigRequest
    ) -> GetFunctionScalingConfigResponse:
        """Return what was asked for. Raises ResourceNotFoundError (404)."""
        arn = names.resolve(caller, request.function_name, request.qualifier)
        await existing(self._store, arn)
        present = await self._present(arn)
        requested = None
        if present is not None:
            requested = shapes.FunctionScalingConfig(
                min_execution_environments=present.environments_min,
                max_execution_environments=present.environments_max,
            )
        return GetFunctionScalingConfigResponse(function_arn=str(arn), requested_function_scaling_config=requested)

    async def _present(self, arn: FunctionArn) -> FunctionScaling | None:
        return await self._resources.get(FunctionScaling, arn.account_id, arn.region, arn.name, arn.qualifier or "")
