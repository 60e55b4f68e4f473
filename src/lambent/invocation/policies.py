"""The data plane's own view of resource policies: who of another account may do what with a function."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lambent.model.configs.policy import Principal, is_allowed, is_denied, statements_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.model.arn import FunctionArn
    from lambent.model.configs.policy import FunctionPolicy, Statement


class ResourcePolicies:
    """Scope: node. Only writer: app.py's feed of committed changes. After a crash: rebuilt from the store."""

    def __init__(self) -> None:
        self._statements: dict[tuple[str, str, str, str], tuple[Statement, ...]] = {}

    def put(self, policy: FunctionPolicy) -> None:
        """Take a committed policy."""
        key = (policy.account_id, policy.region, policy.name, policy.qualifier)
        self._statements[key] = statements_of(json.loads(policy.document))

    def remove(self, arn: FunctionArn) -> None:
        """Forget the policy of a function, or of the version or alias that the qualifier names."""
        self._statements.pop(_key(arn), None)

    def allows(
        self, principal: Principal, action: str, arn: FunctionArn, context: Mapping[str, str] | None = None
    ) -> bool:
        """Return whether the policy of `arn` (of its qualifier, if it has one) allows the action.

        `action` is "lambda:GetFunction" and the like; `context` holds condition keys ("aws:SourceArn").
        """
        statements = self._statements.get(_key(arn))
        return statements is not None and is_allowed(principal, action, str(arn), (statements,), context)

    def denies(
        self, principal: Principal, action: str, arn: FunctionArn, context: Mapping[str, str] | None = None
    ) -> bool:
        """Return whether the policy of `arn` denies the action, whoever else allows it. Arguments as in `allows`."""
        statements = self._statements.get(_key(arn))
        return statements is not None and is_denied(principal, action, str(arn), (statements,), context)

    def allows_identity(self, principal_arn: str, account_id: str, action: str, arn: FunctionArn) -> bool:
        """Return `allows` for an identity of an account."""
        return self.allows(Principal(arn=principal_arn, account_id=account_id), action, arn)


def _key(arn: FunctionArn) -> tuple[str, str, str, str]:
    return arn.account_id, arn.region, arn.name, arn.qualifier or ""
