"""Reserved concurrency of functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.functions import names
from lambent.model.arn import LATEST
from lambent.model.concurrency import ReservedConcurrency
from lambent.model.errors import UNTYPED, InvalidParameterValueError
from lambent.model.quotas import UNRESERVED_CONCURRENCY_MIN
from lambent.wire.generated import shared as shapes
from lambent.wire.generated.get_function_concurrency import GetFunctionConcurrencyResponse

if TYPE_CHECKING:
    from lambent.functions.account.budget import ConcurrencyBudget
    from lambent.functions.account.quotas import AccountQuotas
    from lambent.functions.ids import Ids
    from lambent.model.arn import FunctionArn
    from lambent.model.caller import Caller
    from lambent.store import FunctionStore
    from lambent.store.contracts import Write
    from lambent.wire.generated.delete_function_concurrency import DeleteFunctionConcurrencyRequest
    from lambent.wire.generated.get_function_concurrency import GetFunctionConcurrencyRequest
    from lambent.wire.generated.put_function_concurrency import PutFunctionConcurrencyRequest


class ReservedConcurrencies:
    """The three operations on reserved concurrency. Scope: cluster; keeps no state, the store does.

    What is committed here the data plane's limiter enforces before the operation answers.
    """

    def __init__(self, store: FunctionStore, quotas: AccountQuotas, ids: Ids) -> None:
        self._store = store
        self._resources = store.resources
        self._quotas = quotas
        self._ids = ids

    async def put_function_concurrency(
        self, caller: Caller, request: PutFunctionConcurrencyRequest
    ) -> shapes.Concurrency:
        """Reserve concurrency for a function, in place of what it had reserved.

        Raises:
            ResourceNotFoundError: there is no such function (404).
            InvalidParameterValueError: too little would stay unreserved, or the function has more provisioned; or the
                name has a qualifier (400).
            ResourceConflictError: see `Fences.change`.
        Source: recorded (lambda/test_lambda_api.json, TestLambdaReservedConcurrency).
        """
        arn = _unqualified(caller, request.function_name)
        executions = request.reserved_concurrent_executions

        async def decide() -> list[Write]:
            function = await self._store.get(arn)
            if function is None:
                raise names.not_found(arn.qualified(LATEST))
            _check(await self._quotas.budget(arn.account_id, arn.region), arn.name, executions)
            reserved = ReservedConcurrency(arn.account_id, arn.region, arn.name, executions, self._ids.new())
            is_there = self._resources.require(function, is_any_revision=True)
            return [is_there, self._resources.put_over(reserved)]

        await self._quotas.fences.change(arn.account_id, arn.region, decide)
        return shapes.Concurrency(reserved_concurrent_executions=executions)

    async def get_function_concurrency(
        self, caller: Caller, request: GetFunctionConcurrencyRequest
    ) -> GetFunctionConcurrencyResponse:
        """Return what is reserved; nothing in it when nothing is. Raises ResourceNotFoundError (404)."""
        arn = _unqualified(caller, request.function_name)
        if await self._store.get(arn) is None:
            raise names.not_found(arn)
        return GetFunctionConcurrencyResponse(reserved_concurrent_executions=await self.reserved(arn))

    async def delete_function_concurrency(self, caller: Caller, request: DeleteFunctionConcurrencyRequest) -> None:
        """Reserve nothing any more; to have reserved nothing is no error.

        Raises:
            ResourceNotFoundError: there is no such function (404).
            ResourceConflictError: see `Fences.change`.
        """
        arn = _unqualified(caller, request.function_name)

        async def decide() -> list[Write]:
            if await self._store.get(arn) is None:
                raise names.not_found(arn)
            present = await self._resources.get(ReservedConcurrency, arn.account_id, arn.region, arn.name)
            return [] if present is None else [self._resources.delete(present)]

        await self._quotas.fences.change(arn.account_id, arn.region, decide)

    async def reserved(self, arn: FunctionArn) -> int | None:
        """Return what a function has reserved, or None."""
        found = await self._resources.get(ReservedConcurrency, arn.account_id, arn.region, arn.name)
        return None if found is None else found.executions


def _unqualified(caller: Caller, reference: str) -> FunctionArn:
    arn = names.resolve(caller, reference)
    if arn.qualifier is not None:
        # Source: recorded (test_function_concurrency_exceptions); $LATEST is one too.
        raise InvalidParameterValueError(
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
            "Please specify either a function name or an unqualified function ARN."
        )
    return arn


def _check(budget: ConcurrencyBudget, name: str, executions: int) -> None:
    # Nothing is always allowed: it is how a function is stopped. Source: recorded (test_lambda_concurrency_crud).
    unreserved_min = UNRESERVED_CONCURRENCY_MIN.value
    if executions and budget.unreserved(without=name) - executions < unreserved_min:
        raise InvalidParameterValueError(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
            f"below its minimum value of [{unreserved_min}].",
            members=UNTYPED,
        )
    provisioned = budget.provisioned_of(name)
    if provisioned > executions:
        # Source: observed, with its spaces.
        raise InvalidParameterValueError(
            f" ReservedConcurrentExecutions  {executions} should not be lower than function's total provisioned "
            f"concurrency [{provisioned}]."
        )
