"""Statements of AddPermission and documents of PutResourcePolicy, in AWS's form and order of members."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lambent.model.configs.policy import statements_of
from lambent.model.configs.policy_conditions import is_like
from lambent.model.errors import InvalidParameterValueError, LambdaError
from lambent.model.quotas import POLICY_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lambent.model.arn import FunctionArn
    from lambent.wire.generated.add_permission import AddPermissionRequest

# Regional and global services, and those of Alexa, which are not under amazonaws.com.
_SERVICE = re.compile(r"[a-z0-9][a-z0-9.-]*\.amazonaws\.com(\.cn)?|[a-z0-9][a-z0-9.-]*\.amazon\.com")
_ACCOUNT = re.compile(r"\d{12}")
_IDENTITY = re.compile(r"arn:aws[a-zA-Z-]*:(iam|sts)::\d{12}:.+|arn:aws[a-zA-Z-]*:iam::cloudfront:.+")
_INVOKE_URL = "lambda:InvokeFunctionUrl"


def statement_of(request: AddPermissionRequest, arn: FunctionArn) -> dict[str, Any]:
    """Return the statement that AddPermission adds to the policy of `arn`.

    Raises:
        InvalidParameterValueError: the principal is nobody, or FunctionUrlAuthType with another action (400).
    Source: recorded (TestLambdaPermissions; TestLambdaUrl for the condition of the URL's auth type).
    """
    if request.function_url_auth_type is not None and request.action != _INVOKE_URL:
        # Source: observed.
        raise InvalidParameterValueError(f"FunctionUrlAuthType is only supported for {_INVOKE_URL} action")
    statement = {
        "Sid": request.statement_id,
        "Effect": "Allow",
        "Principal": _principal(request.principal, arn.partition),
        "Action": request.action,
        "Resource": str(arn),
    }
    condition = _condition(request)
    return {**statement, "Condition": condition} if condition else statement


def document_of(statements: Sequence[Any]) -> str:
    """Return the document of a policy made by AddPermission. Source: recorded (test_add_lambda_permission_aws)."""
    return compact({"Version": "2012-10-17", "Id": "default", "Statement": list(statements)})


def compact(value: object) -> str:
    """Return JSON as AWS prints policies: without blanks."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def check_length(document: str) -> None:
    """Refuse a policy over the quota. Raises PolicyLengthExceededException (400). Source: observed."""
    size = len(document.encode())
    if size > POLICY_BYTES.value:
        raise LambdaError(
            f"The final policy size ({size}) is bigger than the limit ({POLICY_BYTES.value}).",
            code="PolicyLengthExceededException",
        )


def check_document(text: str, arn: FunctionArn) -> None:
    """Refuse a document that is no policy for `arn`.

    Raises:
        InvalidParameterValueError: not JSON, not a policy, an unknown principal, or another resource (400).
    """
    try:
        document = json.loads(text)
        # Half a character cannot be printed again when a statement is added.
        compact(document).encode()
    except (ValueError, RecursionError):
        raise InvalidParameterValueError("The provided policy document is invalid: it is not JSON.") from None
    for statement in statements_of(document):
        for kind, value in statement.principals:
            if (kind, value) != ("AWS", "*") and kind in ("AWS", "Service"):
                _principal(value, arn.partition)
        for pattern in statement.resources.patterns:
            if not is_like(pattern, str(arn)) and not pattern.startswith(f"{arn}:"):
                raise InvalidParameterValueError(
                    f"The provided policy document is invalid: Resource {pattern} is not {arn}."
                )


def _principal(principal: str, partition: str) -> str | dict[str, str]:
    if principal == "*":
        return "*"
    if _ACCOUNT.fullmatch(principal):
        return {"AWS": f"arn:{partition}:iam::{principal}:root"}
    if _IDENTITY.fullmatch(principal):
        return {"AWS": principal}
    if _SERVICE.fullmatch(principal):
        return {"Service": principal}
    # Source: recorded (test_permission_exceptions).
    raise InvalidParameterValueError("The provided principal was invalid. Please check the principal and try again.")


def _condition(request: AddPermissionRequest) -> dict[str, dict[str, str]]:
    equals = {
        "AWS:SourceAccount": request.source_account,
        "aws:PrincipalOrgID": request.principal_org_id,
        "lambda:FunctionUrlAuthType": request.function_url_auth_type,
        "lambda:EventSourceToken": request.event_source_token,
    }
    is_by_url = request.invoked_via_function_url
    found = {
        "StringEquals": {key: value for key, value in equals.items() if value is not None},
        "ArnLike": {} if request.source_arn is None else {"AWS:SourceArn": request.source_arn},
        "Bool": {} if is_by_url is None else {"lambda:InvokedViaFunctionUrl": "true" if is_by_url else "false"},
    }
    return {operator: keys for operator, keys in found.items() if keys}
