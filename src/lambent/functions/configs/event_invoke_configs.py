"""How asynchronous invocations are retried and where their outcome goes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from lambent.functions import names
from lambent.functions.configs.targets import Targets
from lambent.functions.lookups import TRIES, overtaken
from lambent.functions.paging import page_of_function
from lambent.model.arn import LATEST, FunctionArn
from lambent.model.configs.event import EventInvokeConfig, is_destination
from lambent.model.errors import InvalidParameterValueError, ResourceNotFoundError
from lambent.store.contracts import CommitRefusedError
from lambent.wire.generated import shared as shapes
from lambent.wire.generated.list_function_event_invoke_configs import ListFunctionEventInvokeConfigsResponse

if TYPE_CHECKING:
    from lambent.clock import Clock
    from lambent.functions.ids import Ids
    from lambent.model.caller import Caller
    from lambent.store import Resources
    from lambent.store.contracts import Write
    from lambent.wire.generated.delete_function_event_invoke_config import DeleteFunctionEventInvokeConfigRequest
    from lambent.wire.generated.get_function_event_invoke_config import GetFunctionEventInvokeConfigRequest
    from lambent.wire.generated.list_function_event_invoke_configs import ListFunctionEventInvokeConfigsRequest
    from lambent.wire.generated.put_function_event_invoke_config import PutFunctionEventInvokeConfigRequest
    from lambent.wire.generated.update_function_event_invoke_config import UpdateFunctionEventInvokeConfigRequest

    Change = PutFunctionEventInvokeConfigRequest | UpdateFunctionEventInvokeConfigRequest

_FUNCTION = re.compile(r"arn:[^:]+:lambda:(?P<region>[^:]+):(?P<account>\d{12}):function:(?P<name>[^:]+)(:[^:]+)?")
# Source: developer guide, "Adding a destination": S3 buckets take records of failures only.
_SUCCESS_SERVICES = frozenset(("lambda", "sns", "sqs", "events"))
_FAILURE_SERVICES = _SUCCESS_SERVICES | {"s3"}


class EventInvokeConfigs:
    """The five operations on event invoke configs. Scope: cluster; keeps no state, the store does."""

    def __init__(self, resources: Resources, ids: Ids, clock: Clock) -> None:
        self._resources = resources
        self._targets = Targets(resources)
        self._ids = ids
        self._clock = clock

    async def put_function_event_invoke_config(
        self, caller: Caller, request: PutFunctionEventInvokeConfigRequest
    ) -> shapes.FunctionEventInvokeConfig:
        """Replace the configuration; what is not given is unset.

        Raises:
            InvalidParameterValueError: nothing given, or a destination that cannot be (400).
            ResourceNotFoundError: no such function, version or alias (404).
        Source: observed for the texts of refusals.
        """
        _require_something(request)
        arn, there = await self._target(caller, request)
        await self._check_destinations(arn, request.destination_config)
        empty = EventInvokeConfig(arn.account_id, arn.region, arn.name, arn.qualifier or LATEST, "", 0)
        config = self._changed(empty, request)
        try:
            await self._resources.commit(there, self._resources.put_over(config))
        except CommitRefusedError:
            raise _no_function() from None
        return _shown(config)

    async def update_function_event_invoke_config(
        self, caller: Caller, request: UpdateFunctionEventInvokeConfigRequest
    ) -> shapes.FunctionEventInvokeConfig:
        """Change what is given. Raises as `put_function_event_invoke_config`, and 404 without a configuration."""
        _require_something(request)
        arn, _ = await self._target(caller, request)
        await self._check_destinations(arn, request.destination_config)
        for _ in range(TRIES):
            current = await self._existing(arn)
            config = self._changed(current, request)
            try:
                await self._resources.commit(self._resources.put_over(config, current.revision_id))
            except CommitRefusedError:
                continue
            return _shown(config)
        raise overtaken(arn)

    async def get_function_event_invoke_config(
        self, caller: Caller, request: GetFunctionEventInvokeConfigRequest
    ) -> shapes.FunctionEventInvokeConfig:
        """Return the configuration. Raises ResourceNotFoundError (404)."""
        return _shown(await self._existing(_qualified(names.resolve(caller, request.function_name, request.qualifier))))

    async def delete_function_event_invoke_config(
        self, caller: Caller, request: DeleteFunctionEventInvokeConfigRequest
    ) -> None:
        """Remove the configuration. Raises ResourceNotFoundError (404)."""
        arn = _qualified(names.resolve(caller, request.function_name, request.qualifier))
        config = await self._existing(arn)
        try:
            await self._resources.commit(self._resources.delete(config, is_any_revision=True))
        except CommitRefusedError:
            raise _missing(arn) from None

    async def list_function_event_invoke_configs(
        self, caller: Caller, request: ListFunctionEventInvokeConfigsRequest
    ) -> ListFunctionEventInvokeConfigsResponse:
        """Return a page of a function's configurations. Raises ResourceNotFoundError (404)."""
        arn = names.resolve(caller, request.function_name).unqualified
        if await self._targets.find(arn) is None:
            raise _no_function()
        page, marker = await page_of_function(self._resources, EventInvokeConfig, arn, request)
        return ListFunctionEventInvokeConfigsResponse(
            function_event_invoke_configs=[_shown(config) for config in page], next_marker=marker
        )

    async def _target(self, caller: Caller, request: Change) -> tuple[FunctionArn, Write]:
        arn = names.resolve(caller, request.function_name, request.qualifier)
        target = await self._targets.find(arn)
        if target is None:
            raise _no_function()
        return _qualified(arn), self._targets.require(target)

    async def _existing(self, arn: FunctionArn) -> EventInvokeConfig:
        found = await self._resources.get(
            EventInvokeConfig, arn.account_id, arn.region, arn.name, arn.qualifier or LATEST
        )
        if found is None:
            raise _missing(arn)
        return found

    def _changed(self, config: EventInvokeConfig, request: Change) -> EventInvokeConfig:
        changed = replace(config, revision_id=self._ids.new(), last_modified_ms=self._clock.time_ms())
        if request.maximum_retry_attempts is not None:
            changed = replace(changed, maximum_retry_attempts=request.maximum_retry_attempts)
        if request.maximum_event_age_in_seconds is not None:
            changed = replace(changed, maximum_event_age_seconds=request.maximum_event_age_in_seconds)
        if request.destination_config is not None:
            success, failure = _destinations(request.destination_config)
            changed = replace(changed, on_success=success, on_failure=failure)
        return changed

    async def _check_destinations(self, arn: FunctionArn, given: shapes.DestinationConfig | None) -> None:
        if given is None:
            return
        success, failure = _destinations(given)
        if not _is_of(success, _SUCCESS_SERVICES) or not _is_of(failure, _FAILURE_SERVICES):
            shown_success = "null" if success is None else f"OnSuccess(destination={success})"
            shown_failure = "null" if failure is None else f"OnFailure(destination={failure})"
            raise InvalidParameterValueError(
                f"The provided destination config DestinationConfig(onSuccess={shown_success}, "
                f"onFailure={shown_failure}) is invalid."
            )
        for destination in (failure, success):
            if destination is not None and destination.split(":")[2] == "lambda":
                await self._check_function(arn, destination)

    async def _check_function(self, arn: FunctionArn, destination: str) -> None:
        match = _FUNCTION.fullmatch(destination)
        if match is not None and (match["account"], match["region"], match["name"]) == (
            arn.account_id,
            arn.region,
            arn.name,
        ):
            raise InvalidParameterValueError("You can't specify the function as a destination for itself.")
        target = None if match is None else FunctionArn(match["account"], match["region"], match["name"])
        is_ours = target is not None and (target.account_id, target.region) == (arn.account_id, arn.region)
        # Of functions elsewhere nothing is known here; delivery tells whether they exist.
        if target is None or (is_ours and await self._targets.find(target) is None):
            raise InvalidParameterValueError(f"The destination ARN {destination} is invalid.")


def _require_something(request: Change) -> None:
    if (request.maximum_retry_attempts, request.maximum_event_age_in_seconds, request.destination_config) == (
        None,
        None,
        None,
    ):
        raise InvalidParameterValueError("You must specify at least one of error handling or destination setting.")


def _qualified(arn: FunctionArn) -> FunctionArn:
    # Source: recorded (test_lambda_eventinvokeconfig_lifecycle): a function's own is called $LATEST.
    return arn.qualified(arn.qualifier or LATEST)


def _destinations(given: shapes.DestinationConfig) -> tuple[str | None, str | None]:
    success = None if given.on_success is None else given.on_success.destination
    failure = None if given.on_failure is None else given.on_failure.destination
    return success or None, failure or None


def _is_of(destination: str | None, services: frozenset[str]) -> bool:
    return destination is None or is_destination(destination, services)


def _no_function() -> ResourceNotFoundError:
    # Source: observed.
    return ResourceNotFoundError("The function doesn't exist.")


def _missing(arn: FunctionArn) -> ResourceNotFoundError:
    # Source: recorded (test_ops_on_nonexisting_version[get_function_event_invoke_config]).
    return ResourceNotFoundError(f"The function {arn} doesn't have an EventInvokeConfig")


def _shown(config: EventInvokeConfig) -> shapes.FunctionEventInvokeConfig:
    return shapes.FunctionEventInvokeConfig(
        last_modified=config.last_modified_ms / 1000,
        function_arn=str(FunctionArn(config.account_id, config.region, config.name, config.qualifier)),
        maximum_retry_attempts=config.maximum_retry_attempts,
        maximum_event_age_in_seconds=config.maximum_event_age_seconds,
        destination_config=shapes.DestinationConfig(
            on_success=shapes.OnSuccess(destination=config.on_success),
            on_failure=shapes.OnFailure(destination=config.on_failure),
        ),
    )
