"""Runtime management: when a version gets another build of its runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.functions import names
from lambent.functions.configs.runtime_moves import AUTO, MANUAL
from lambent.functions.configs.targets import Targets
from lambent.model.arn import LATEST
from lambent.model.configs.management import RuntimeManagementConfig
from lambent.model.errors import InvalidParameterValueError
from lambent.model.function import FunctionVersion
from lambent.store.contracts import CommitRefusedError
from lambent.wire.generated.get_runtime_management_config import GetRuntimeManagementConfigResponse
from lambent.wire.generated.put_runtime_management_config import PutRuntimeManagementConfigResponse

if TYPE_CHECKING:
    from lambent.functions.configs.runtime_moves import RuntimeMoves
    from lambent.functions.ids import Ids
    from lambent.model.arn import FunctionArn
    from lambent.model.caller import Caller
    from lambent.store import Resources
    from lambent.wire.generated.get_runtime_management_config import GetRuntimeManagementConfigRequest
    from lambent.wire.generated.put_runtime_management_config import PutRuntimeManagementConfigRequest


class RuntimeManagement:
    """The two operations on runtime management configs. Scope: cluster; keeps no state, the store does."""

    def __init__(self, resources: Resources, ids: Ids, moves: RuntimeMoves) -> None:
        self._resources = resources
        self._moves = moves
        self._targets = Targets(resources)
        self._ids = ids

    async def put_runtime_management_config(
        self, caller: Caller, request: PutRuntimeManagementConfigRequest
    ) -> PutRuntimeManagementConfigResponse:
        """Set the mode of a version.

        Raises:
            InvalidParameterValueError: an image, or a runtime version that is not the one here (400).
            ResourceNotFoundError: no such version (404).
        """
        arn = names.resolve(caller, request.function_name, request.qualifier)
        version = await self._version(arn)
        build = self._check(version, request.update_runtime_on, request.runtime_version_arn)
        config = RuntimeManagementConfig(
            arn.account_id,
            arn.region,
            arn.name,
            version.version,
            request.update_runtime_on,
            self._ids.new(),
            request.runtime_version_arn,
        )
        try:
            await self._resources.commit(self._targets.require(version), self._resources.put_over(config))
        except CommitRefusedError:
            raise names.not_found(arn) from None
        if config.update_runtime_on == MANUAL:
            await self._moves.put_on(version, build)
        elif config.update_runtime_on == AUTO and version.runtime is not None:
            await self._moves.move(version.runtime, (version,))
        return PutRuntimeManagementConfigResponse(
            update_runtime_on=config.update_runtime_on,
            function_arn=str(arn),
            runtime_version_arn=config.runtime_version_arn,
        )

    async def get_runtime_management_config(
        self, caller: Caller, request: GetRuntimeManagementConfigRequest
    ) -> GetRuntimeManagementConfigResponse:
        """Return the mode of a version. Raises ResourceNotFoundError (404)."""
        arn = names.resolve(caller, request.function_name, request.qualifier)
        version = await self._version(arn)
        config = await self._resources.get(
            RuntimeManagementConfig, arn.account_id, arn.region, arn.name, version.version
        )
        return GetRuntimeManagementConfigResponse(
            update_runtime_on=AUTO if config is None else config.update_runtime_on,
            function_arn=str(arn),
            runtime_version_arn=None if config is None else config.runtime_version_arn,
        )

    async def _version(self, arn: FunctionArn) -> FunctionVersion:
        found = await self._resources.get(
            FunctionVersion, arn.account_id, arn.region, arn.name, arn.qualifier or LATEST
        )
        if found is None:
            raise names.not_found(arn)
        return found

    def _check(self, version: FunctionVersion, mode: str, runtime_version_arn: str | None) -> str | None:
        """Return the build that Manual names."""
        if version.runtime_version_arn is None:
            raise InvalidParameterValueError("Runtime management is not supported for functions made from images.")
        if mode != MANUAL and runtime_version_arn is not None:
            raise InvalidParameterValueError("RuntimeVersionArn can only be given when UpdateRuntimeOn is Manual.")
        if runtime_version_arn is None:
            if mode == MANUAL:
                raise InvalidParameterValueError("RuntimeVersionArn is required when UpdateRuntimeOn is Manual.")
            return None
        is_known, build = self._moves.build_of(version, runtime_version_arn)
        if not is_known:
            # What cannot be had here is not pinned: one that is and does not run would be a lie.
            raise InvalidParameterValueError(
                f"Runtime version {runtime_version_arn} is not available for {version.runtime}; "
                f"the one that the function runs on is {version.runtime_version_arn}."
            )
        return build
