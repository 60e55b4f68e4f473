"""Which function a request means, and which it may not mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.model.arn import LATEST, FunctionArn, parse_function_name
from lambent.model.errors import AccessDeniedError, InvalidParameterValueError, ResourceNotFoundError

if TYPE_CHECKING:
    from lambent.model.caller import Caller

_NAME_LENGTH_MAX = 64


def resolve(caller: Caller, reference: str, qualifier: str | None = None) -> FunctionArn:
    """Return the function that a caller names, by name, partial ARN or ARN.

    Raises:
        ValidationError, InvalidParameterValueError: see `parse_function_name` (400).
        ResourceNotFoundError: it is in another region (404).
        AccessDeniedError: it is another account's (403).
    Source: recorded (lambda/test_lambda_api.json, test_function_arns, test_function_name_and_qualifier_validation).
    """
    arn = parse_function_name(reference, account_id=caller.account_id, region=caller.region, qualifier=qualifier)
    if arn.region != caller.region:
        raise ResourceNotFoundError(
            f"Functions from '{arn.region}' are not reachable in this region ('{caller.region}')"
        )
    if arn.account_id != caller.account_id:
        raise denied(caller, arn)
    return arn


def resolve_new(caller: Caller, reference: str) -> FunctionArn:
    """Return the function that CreateFunction is to make; without qualifier.

    Raises:
        InvalidParameterValueError: the name is longer than 64 (400). Others: see `resolve`.
    Source: recorded (test_function_arns: long_function_name_exc, function_arn_other_account_exc).
    """
    try:
        arn = resolve(caller, reference)
    except AccessDeniedError:
        # No policy could allow this, and AWS answers without a text.
        raise AccessDeniedError("") from None
    if len(arn.name) > _NAME_LENGTH_MAX:
        raise InvalidParameterValueError(
            f"1 validation error detected: Value '{arn.name}' at 'functionName' failed to satisfy constraint: "
            f"Member must have length less than or equal to {_NAME_LENGTH_MAX}"
        )
    return arn.unqualified


def resolve_latest(caller: Caller, reference: str) -> FunctionArn:
    """Return the function whose $LATEST an update means.

    Raises:
        ResourceNotFoundError: the reference has another qualifier, and versions cannot be changed (404).
        Others: see `resolve`.
    """
    arn = resolve(caller, reference)
    if arn.qualifier not in (None, LATEST):
        raise not_found(arn)
    return arn.unqualified


def denied(caller: Caller, arn: FunctionArn) -> AccessDeniedError:
    """Return the error for a function of another account, whether it is there or not. Source: observed."""
    action = f"lambda:{caller.operation}"
    return AccessDeniedError(
        f"User: {caller.principal_arn} is not authorized to perform: {action} on resource: {arn} "
        f"because no resource-based policy allows the {action} action"
    )


def not_found(arn: FunctionArn) -> ResourceNotFoundError:
    """Return the error for a function that is not there. Source: recorded (test_function_lifecycle)."""
    return ResourceNotFoundError(f"Function not found: {arn}")
