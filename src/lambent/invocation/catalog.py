"""The data plane's own view of functions: name and qualifier → FunctionVersion, in memory, fed by changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.model.arn import LATEST, FunctionArn
from lambent.model.errors import ResourceNotFoundError

if TYPE_CHECKING:
    from lambent.model.function import FunctionVersion


class Catalog:
    """Scope: node. Only writer: app.py's feed of committed changes. After a crash: rebuilt from the store."""

    def __init__(self) -> None:
        self._versions: dict[tuple[str, str, str], dict[str, FunctionVersion]] = {}

    def put(self, version: FunctionVersion) -> None:
        """Take a committed version."""
        self._versions.setdefault((version.account_id, version.region, version.name), {})[version.version] = version

    def remove(self, arn: FunctionArn, version: str) -> None:
        """Forget a deleted version."""
        key = (arn.account_id, arn.region, arn.name)
        versions = self._versions.get(key)
        if versions is not None:
            versions.pop(version, None)
            if not versions:
                del self._versions[key]

    def resolve(self, function: FunctionArn) -> FunctionVersion:
        """Return the version that the name and its qualifier mean.

        Raises:
            ResourceNotFoundError: there is none. Source: recorded (lambda/test_lambda.json).
        """
        versions = self._versions.get((function.account_id, function.region, function.name))
        version = versions.get(function.qualifier or LATEST) if versions is not None else None
        if version is None:
            raise ResourceNotFoundError(f"Function not found: {function.qualified(function.qualifier or LATEST)}")
        return version

    def function_count(self) -> int:
        """Return how many functions it knows."""
        return len(self._versions)
