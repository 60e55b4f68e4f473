"""What several resources ask about a function before they do anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.functions import names
from lambent.model.arn import LATEST
from lambent.model.errors import PreconditionFailedError, ResourceConflictError
from lambent.model.function import Alias, FunctionState, UpdateStatus

if TYPE_CHECKING:
    from lambent.model.arn import FunctionArn
    from lambent.model.function import FunctionVersion
    from lambent.store import FunctionStore

# Source: recorded (test_function_revisions_version_and_alias).
STALE_REVISION = (
    "The Revision Id provided does not match the latest Revision Id. "
    "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
)
# How often a change is tried when others of the same resource come first. Each try that is lost is another's success.
TRIES = 50


def overtaken(what: object) -> ResourceConflictError:
    """Return the error of a change that others of the same resource kept overtaking."""
    return ResourceConflictError(f"Other changes of {what} were faster; try again.")


async def find_alias(store: FunctionStore, arn: FunctionArn) -> Alias | None:
    """Return the alias that the qualifier names."""
    if arn.qualifier is None or arn.qualifier == LATEST or arn.qualifier.isdigit():
        return None
    return await store.resources.get(Alias, arn.account_id, arn.region, arn.name, arn.qualifier)


async def find_version(store: FunctionStore, arn: FunctionArn) -> FunctionVersion | None:
    """Return the version that the qualifier means ($LATEST when None); an alias means the version it points at."""
    alias = await find_alias(store, arn)
    return await store.get(arn if alias is None else arn.qualified(alias.function_version))


async def existing(store: FunctionStore, arn: FunctionArn) -> FunctionVersion:
    """Return the version as `find_version`. Raises ResourceNotFoundError in AWS's words (404)."""
    version = await find_version(store, arn)
    if version is None:
        raise names.not_found(arn)
    return version


async def changeable(store: FunctionStore, arn: FunctionArn, revision_id: str | None) -> FunctionVersion:
    """Return $LATEST if it may be changed or published now.

    Raises:
        ResourceNotFoundError: there is no such function (404).
        PreconditionFailedError: `revision_id` is given and not the present one (412).
        ResourceConflictError: it is being created or updated (409).
    """
    latest = await existing(store, arn.unqualified)
    if revision_id is not None and revision_id != latest.revision_id:
        raise PreconditionFailedError(STALE_REVISION)
    if latest.state is FunctionState.PENDING:
        # Source: observed; the same sentence as for an invocation of a pending function.
        raise ResourceConflictError(
            "The operation cannot be performed at this time. "
            f"The function is currently in the following state: {latest.state.value}"
        )
    if latest.last_update_status is UpdateStatus.IN_PROGRESS:
        raise update_in_progress(arn)
    return latest


def update_in_progress(arn: FunctionArn) -> ResourceConflictError:
    """Return the error about a second update. Source: recorded (test_lambda_concurrent_code_updates)."""
    return ResourceConflictError(
        f"The operation cannot be performed at this time. An update is in progress for resource: {arn}"
    )
