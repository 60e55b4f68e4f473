"""What a function's configurations hang on: the function itself, a version, or an alias."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lambent.functions import names
from lambent.model.arn import LATEST
from lambent.model.errors import ResourceNotFoundError
from lambent.model.function import Alias, FunctionVersion

if TYPE_CHECKING:
    from lambent.model.arn import FunctionArn
    from lambent.store import Resources
    from lambent.store.contracts import Write

    Target = FunctionVersion | Alias

# Source: service description, shape Alias.
_ALIAS = re.compile(r"(?!^[0-9]+$)[a-zA-Z0-9-_]+")


class Targets:
    """Looks up what an ARN means. Keeps no state."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def find(self, arn: FunctionArn) -> Target | None:
        """Return the version or alias that the ARN means; $LATEST when it has no qualifier."""
        qualifier = arn.qualifier or LATEST
        resource = Alias if is_alias(qualifier) else FunctionVersion
        return await self._resources.get(resource, arn.account_id, arn.region, arn.name, qualifier)

    async def get(self, arn: FunctionArn) -> Target:
        """Return what the ARN means.

        Raises:
            ResourceNotFoundError: the function, version or alias is not there (404).
        Source: recorded (test_permission_exceptions).
        """
        found = await self.find(arn)
        if found is not None:
            return found
        if is_alias(arn.qualifier) and await self.find(arn.unqualified) is not None:
            raise ResourceNotFoundError(f"Cannot find alias arn: {arn}")
        raise names.not_found(arn)

    def require(self, target: Target) -> Write:
        """Return the condition that `target` is still there when something that hangs on it is committed."""
        return self._resources.require(target, is_any_revision=True)


def is_alias(qualifier: str | None) -> bool:
    """Whether a qualifier can only be an alias's name."""
    return qualifier is not None and _ALIAS.fullmatch(qualifier) is not None
