"""Another account's function: what its resource policy may allow, the caller does as if it were the owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from lambent.model.arn import parse_function_name
from lambent.model.errors import LambdaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.model.arn import FunctionArn
    from lambent.model.caller import Caller

# Source: developer guide, "Granting function access to other accounts".
_OPERATIONS = frozenset(
    (
        "GetFunction", "GetFunctionConfiguration", "UpdateFunctionCode", "DeleteFunction", "PublishVersion",
        "ListVersionsByFunction", "CreateAlias", "GetAlias", "ListAliases", "UpdateAlias", "DeleteAlias", "GetPolicy",
        "PutFunctionConcurrency", "DeleteFunctionConcurrency", "ListTags", "TagResource", "UntagResource",
        "InvokeAsync",
    )
)  # fmt: skip
# Source: API reference, InvokeAsync: the permission is that of Invoke.
_ACTIONS = {"InvokeAsync": "lambda:InvokeFunction"}


class ForeignFunctions:
    """Decides for whom a caller acts. Keeps no state.

    `allows(principal_arn, account_id, action, arn)` looks at the function's resource policy.
    """

    def __init__(self, allows: Callable[[str, str, str, FunctionArn], bool]) -> None:
        self._allows = allows

    def acting(self, caller: Caller, request: object) -> Caller:
        """Return the caller, in the owner's account if `request` names a function whose policy allows it.

        A caller who is not allowed comes back unchanged: the operation refuses in AWS's words.
        """
        if caller.operation not in _OPERATIONS:
            return caller
        reference = getattr(request, "function_name", None) or getattr(request, "resource", None)
        if not isinstance(reference, str) or ":" not in reference:
            return caller
        try:
            arn = parse_function_name(
                reference,
                account_id=caller.account_id,
                region=caller.region,
                qualifier=getattr(request, "qualifier", None),
            )
        except LambdaError:
            return caller
        if arn.account_id == caller.account_id or arn.region != caller.region:
            return caller
        action = _ACTIONS.get(caller.operation, f"lambda:{caller.operation}")
        if not self._allows(caller.principal_arn, caller.account_id, action, arn):
            return caller
        return replace(caller, account_id=arn.account_id)
