"""The twelve operations on durable executions.

A function's DurableConfig is kept, but invoking such a function is refused, so no execution and no callback exists: an
ARN, a token or a callback id leads nowhere, and a list is empty. That is the truth, not a stand-in for an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from lambent.model.arn import LATEST, FunctionArn, parse_function_name
from lambent.model.errors import InvalidParameterValueError, ResourceNotFoundError
from lambent.model.function import Alias, FunctionVersion
from lambent.wire.generated.list_durable_executions_by_function import ListDurableExecutionsByFunctionResponse

if TYPE_CHECKING:
    from lambent.model.caller import Caller
    from lambent.store import Resources
    from lambent.wire.generated.checkpoint_durable_execution import CheckpointDurableExecutionRequest
    from lambent.wire.generated.delete_durable_execution import DeleteDurableExecutionRequest
    from lambent.wire.generated.get_durable_execution import GetDurableExecutionRequest
    from lambent.wire.generated.get_durable_execution_history import GetDurableExecutionHistoryRequest
    from lambent.wire.generated.get_durable_execution_state import GetDurableExecutionStateRequest
    from lambent.wire.generated.list_durable_executions_by_function import ListDurableExecutionsByFunctionRequest
    from lambent.wire.generated.pause_durable_execution import PauseDurableExecutionRequest
    from lambent.wire.generated.resume_durable_execution import ResumeDurableExecutionRequest
    from lambent.wire.generated.send_durable_execution_callback_failure import (
        SendDurableExecutionCallbackFailureRequest,
    )
    from lambent.wire.generated.send_durable_execution_callback_heartbeat import (
        SendDurableExecutionCallbackHeartbeatRequest,
    )
    from lambent.wire.generated.send_durable_execution_callback_success import (
        SendDurableExecutionCallbackSuccessRequest,
    )
    from lambent.wire.generated.stop_durable_execution import StopDurableExecutionRequest


class DurableExecutions:
    """Answers about executions that do not exist. Keeps no state."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def get_durable_execution(self, _caller: Caller, request: GetDurableExecutionRequest) -> NoReturn:
        """Raise ResourceNotFoundError (404)."""
        _no_execution(request.durable_execution_arn)

    async def get_durable_execution_history(
        self, _caller: Caller, request: GetDurableExecutionHistoryRequest
    ) -> NoReturn:
        """Raise ResourceNotFoundError (404)."""
        _no_execution(request.durable_execution_arn)

    async def delete_durable_execution(self, _caller: Caller, request: DeleteDurableExecutionRequest) -> NoReturn:
        """Raise ResourceNotFoundError (404)."""
        _no_execution(request.durable_execution_arn)

    async def pause_durable_execution(self, _caller: Caller, request: PauseDurableExecutionRequest) -> NoReturn:
        """Raise ResourceNotFoundError (404)."""
        _no_execution(request.durable_execution_arn)

    async def resume_durable_execution(self, _caller: Caller, request: ResumeDurableExecutionRequest) -> NoReturn:
        """Raise ResourceNotFoundError (404)."""
        _no_execution(request.durable_execution_arn)

    async def stop_durable_execution(self, _caller: Caller, request: StopDurableExecutionRequest) -> NoReturn:
        """Raise ResourceNotFoundError (404)."""
        _no_execution(request.durable_execution_arn)

    async def get_durable_execution_state(self, _caller: Caller, _request: GetDurableExecutionStateRequest) -> NoReturn:
        """Raise InvalidParameterValueError (400): the description knows no 404 here."""
        _no_token()

    async def checkpoint_durable_execution(
        self, _caller: Caller, _request: CheckpointDurableExecutionRequest
    ) -> NoReturn:
        """Raise InvalidParameterValueError (400): the description knows no 404 here."""
        _no_token()

    async def send_durable_execution_callback_success(
        self, _caller: Caller, _request: SendDurableExecutionCallbackSuccessRequest
    ) -> NoReturn:
        """Raise ResourceNotFoundError (404)."""
        _no_callback()

    async def send_durable_execution_callback_failure(
        self, _caller: Caller, _request: SendDurableExecutionCallbackFailureRequest
    ) -> NoReturn:
        """Raise ResourceNotFoundError (404)."""
        _no_callback()

    async def send_durable_execution_callback_heartbeat(
        self, _caller: Caller, _request: SendDurableExecutionCallbackHeartbeatRequest
    ) -> NoReturn:
        """Raise ResourceNotFoundError (404)."""
        _no_callback()

    async def list_durable_executions_by_function(
        self, caller: Caller, request: ListDurableExecutionsByFunctionRequest
    ) -> ListDurableExecutionsByFunctionResponse:
        """Return the executions of a function: none. Raises ResourceNotFoundError without the function (404)."""
        arn = parse_function_name(
            request.function_name, account_id=caller.account_id, region=caller.region, qualifier=request.qualifier
        )
        if not await self._is_there(caller, arn):
            raise ResourceNotFoundError(f"Function not found: {arn}")
        return ListDurableExecutionsByFunctionResponse(durable_executions=[])

    async def _is_there(self, caller: Caller, arn: FunctionArn) -> bool:
        if (arn.account_id, arn.region) != (caller.account_id, caller.region):
            return False
        for kind in (FunctionVersion, Alias):
            found = await self._resources.get(kind, arn.account_id, arn.region, arn.name, arn.qualifier or LATEST)
            if found is not None:
                return True
        return False


def _no_execution(arn: str) -> NoReturn:
    raise ResourceNotFoundError(f"Durable execution not found: {arn}")


def _no_token() -> NoReturn:
    raise InvalidParameterValueError("The checkpoint token is invalid: there is no such durable execution.")


def _no_callback() -> NoReturn:
    raise ResourceNotFoundError("There is no callback with this id.")
