"""The data plane's own view of functions: name and qualifier → FunctionVersion, in memory, fed by changes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

from lambent.model.arn import LATEST, FunctionArn
from lambent.model.errors import ResourceNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.model.function import Alias, FunctionVersion

T = TypeVar("T")


class Catalog:
    """Scope: node. Only writer: app.py's feed of committed changes. After a crash: rebuilt from the store.

    `random_fraction` returns numbers from 0 up to 1: by them an alias with two versions chooses.
    """

    def __init__(self, random_fraction: Callable[[], float] = random.random) -> None:
        self._random_fraction = random_fraction
        self._versions: dict[tuple[str, str, str], dict[str, FunctionVersion]] = {}
        # Few functions have aliases: a place of their own costs the others nothing.
        self._aliases: dict[tuple[str, str, str], dict[str, Alias]] = {}

    def put(self, version: FunctionVersion) -> None:
        """Take a committed version."""
        self._versions.setdefault((version.account_id, version.region, version.name), {})[version.version] = version

    def remove(self, arn: FunctionArn, version: str) -> None:
        """Forget a deleted version."""
        _forget(self._versions, arn, version)

    def put_alias(self, alias: Alias) -> None:
        """Take a committed alias."""
        self._aliases.setdefault((alias.account_id, alias.region, alias.function_name), {})[alias.name] = alias

    def remove_alias(self, arn: FunctionArn, name: str) -> None:
        """Forget a deleted alias."""
        _forget(self._aliases, arn, name)

    def resolve(self, function: FunctionArn) -> FunctionVersion:
        """Return the version that the name and its qualifier mean; of an alias with weights, one drawn by them.

        Raises:
            ResourceNotFoundError: there is none. Source: recorded (lambda/test_lambda.json).
        """
        key = (function.account_id, function.region, function.name)
        qualifier = function.qualifier or LATEST
        versions = self._versions.get(key)
        if versions is not None:
            version = versions.get(qualifier)
            if version is None and (alias := self._alias(key, qualifier)) is not None:
                version = versions.get(self._drawn(alias))
            if version is not None:
                return version
        raise ResourceNotFoundError(f"Function not found: {function.qualified(qualifier)}")

    def has(self, function: FunctionArn) -> bool:
        """Whether there is a function of this name, whatever its qualifier."""
        return (function.account_id, function.region, function.name) in self._versions

    def alias(self, function: FunctionArn) -> Alias | None:
        """Return the alias that the qualifier names, or None."""
        return self._alias((function.account_id, function.region, function.name), function.qualifier or LATEST)

    def routes(self, function: FunctionArn) -> list[tuple[FunctionVersion, float]]:
        """Return the versions that the qualifier may mean, each with its share (0 to 1) of the invocations."""
        key = (function.account_id, function.region, function.name)
        versions = self._versions.get(key, {})
        qualifier = function.qualifier or LATEST
        alias = self._alias(key, qualifier)
        weights = {qualifier: 1.0}
        if qualifier not in versions and alias is not None:
            others = alias.routing_config.additional_version_weights if alias.routing_config is not None else {}
            weights = {alias.function_version: 1.0 - sum(others.values()), **others}
        return [(versions[number], weight) for number, weight in weights.items() if number in versions]

    def versions(self) -> list[FunctionVersion]:
        """Return every version of every function."""
        return [version for versions in self._versions.values() for version in versions.values()]

    def functions(self) -> list[FunctionArn]:
        """Return every function, without qualifiers."""
        return [FunctionArn(*key) for key in self._versions]

    def qualifiers(self, function: FunctionArn) -> tuple[dict[str, FunctionVersion], list[str]]:
        """Return the versions of a function by their numbers, and the names of its aliases."""
        key = (function.account_id, function.region, function.name)
        return dict(self._versions.get(key, {})), list(self._aliases.get(key, ()))

    def function_count(self) -> int:
        """Return how many functions it knows."""
        return len(self._versions)

    def _alias(self, key: tuple[str, str, str], name: str) -> Alias | None:
        aliases = self._aliases.get(key)
        return aliases.get(name) if aliases is not None else None

    def _drawn(self, alias: Alias) -> str:
        if alias.routing_config is None:
            return alias.function_version
        left = self._random_fraction()
        for version, weight in alias.routing_config.additional_version_weights.items():
            left -= weight
            if left < 0:
                return version
        return alias.function_version


def _forget(known: dict[tuple[str, str, str], dict[str, T]], arn: FunctionArn, qualifier: str) -> None:
    key = (arn.account_id, arn.region, arn.name)
    of_function = known.get(key)
    if of_function is not None:
        of_function.pop(qualifier, None)
        if not of_function:
            del known[key]
