"""Which build of its runtime a function runs on, and when it gets another: Auto, FunctionUpdate, Manual.

A build is an installed root, by its image's digest, or None: what the host has. A move is an ordinary commit of the
function's version with another build; its environments of before retire as after any change, busy ones when they are
done, so no call fails while it moves.
Source: developer guide, "Understanding how Lambda manages runtime version updates".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from lambent.model.configs.management import RuntimeManagementConfig
from lambent.model.errors import PreconditionFailedError, ResourceNotFoundError
from lambent.model.function import runtime_version_arn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lambent.functions.ids import Ids
    from lambent.model.function import FunctionVersion
    from lambent.store import FunctionStore

# Source: service description, UpdateRuntimeOn: "Auto (default)".
AUTO = "Auto"
MANUAL = "Manual"
_TRIES = 10


class RuntimeMoves:
    """Scope: cluster; keeps no state. `builds_of(runtime)` returns the builds there are, the present one first."""

    def __init__(self, store: FunctionStore, builds_of: Callable[[str], Sequence[str | None]], ids: Ids) -> None:
        self._store = store
        self._builds_of = builds_of
        self._ids = ids

    async def renewed(self, function: FunctionVersion, before: FunctionVersion | None = None) -> FunctionVersion:
        """Return a function that is created, or changed from `before`, with the build that it shall have."""
        if function.runtime is None:
            return replace(function, runtime_build=None) if function.runtime_build is not None else function
        present = self._present(function.runtime)
        if present == function.runtime_build:
            return function
        is_same = before is not None and before.runtime == function.runtime
        if is_same and await self._mode(function) == MANUAL:
            return function
        return replace(function, runtime_build=present)

    async def move(self, runtime: str, versions: Iterable[FunctionVersion]) -> int:
        """Move those of `versions` whose mode is Auto to the present build of their runtime; return how many moved."""
        moved = 0
        for version in [each for each in versions if each.runtime == runtime]:
            if await self._mode(version) == AUTO:
                moved += await self.put_on(version, self._present(runtime))
        return moved

    async def put_on(self, version: FunctionVersion, build: str | None) -> bool:
        """Let a version run on a build from now on; False if it does already, or is gone."""
        for _ in range(_TRIES):
            present = await self._store.get(version.arn.qualified(version.version))
            if present is None or present.runtime != version.runtime or present.runtime_build == build:
                return False
            changed = replace(
                present, runtime_build=build, configuration_id=self._ids.new(), revision_id=self._ids.new()
            )
            try:
                await self._store.update(changed, expected_revision_id=present.revision_id)
            except PreconditionFailedError:
                continue
            except ResourceNotFoundError:
                return False
            return True
        return False

    def build_of(self, version: FunctionVersion, arn: str) -> tuple[bool, str | None]:
        """Return whether a runtime version's ARN is one that a function can run on here, and its build."""
        if version.runtime is not None:
            for build in (version.runtime_build, *self._builds_of(version.runtime), None):
                if runtime_version_arn(version.region, version.runtime, build) == arn:
                    return True, build
        return False, None

    def _present(self, runtime: str) -> str | None:
        builds = self._builds_of(runtime)
        return builds[0] if builds else None

    async def _mode(self, version: FunctionVersion) -> str:
        config = await self._store.resources.get(
            RuntimeManagementConfig, version.account_id, version.region, version.name, version.version
        )
        return AUTO if config is None else config.update_runtime_on
