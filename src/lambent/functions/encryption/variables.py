"""What the control plane does with variables under a KMS key."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from lambent.model.errors import InvalidParameterValueError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lambent.model.function import FunctionVersion

# How many functions of a listing are decrypted at a time.
_CONCURRENT_MAX = 8


class VariableKeys(Protocol):
    """Keys that are held elsewhere; see `kms.KmsKeys`."""

    async def encrypt(self, version: FunctionVersion) -> str:
        """Return the version's variables under its key, as text."""

    async def shown(self, version: FunctionVersion) -> tuple[Mapping[str, str], tuple[str, str] | None]:
        """Return the variables of `environment_cipher`, or none, and code and text of why."""


class Variables:
    """Keeps variables and their ciphertext in step. Keeps no state."""

    def __init__(self, keys: VariableKeys | None) -> None:
        self._keys = keys

    async def sealed(
        self, changed: FunctionVersion, current: FunctionVersion | None, *, is_given: bool
    ) -> FunctionVersion:
        """Return the function with the ciphertext of its variables, if it has a key and any; `is_given`: they are new.

        The variables stay beside it for the answer; the store keeps only one of both.

        Raises: see `KmsKeys.encrypt`; InvalidParameterValueError: what the function has cannot be decrypted (400).
        """
        if not is_given:
            if current is None or changed.kms_key_arn == current.kms_key_arn:
                return changed
            changed = await self._opened(current, changed)
        if self._keys is None or changed.kms_key_arn is None or not changed.environment:
            return changed if changed.environment_cipher is None else replace(changed, environment_cipher=None)
        return replace(changed, environment_cipher=await self._keys.encrypt(changed))

    async def shown(self, version: FunctionVersion) -> FunctionVersion:
        """Return the version as an answer shows it: with its variables, or the error that keeps them closed."""
        if self._keys is None or version.environment_cipher is None or version.environment:
            return version
        environment, error = await self._keys.shown(version)
        return replace(version, environment=environment, environment_error=error)

    async def all_shown(self, versions: Sequence[FunctionVersion]) -> list[FunctionVersion]:
        """Return all as `shown`."""
        if all(version.environment_cipher is None for version in versions):
            return list(versions)
        slots = asyncio.Semaphore(_CONCURRENT_MAX)

        async def one(version: FunctionVersion) -> FunctionVersion:
            async with slots:
                return await self.shown(version)

        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(one(version)) for version in versions]
        return [task.result() for task in running]

    async def _opened(self, current: FunctionVersion, changed: FunctionVersion) -> FunctionVersion:
        """Return `changed` with the variables that `current` has under another key, or none."""
        before = await self.shown(current)
        if before.environment_error is not None:
            raise InvalidParameterValueError(before.environment_error[1])
        return replace(changed, environment=before.environment)
