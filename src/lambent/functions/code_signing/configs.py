"""Code signing configurations, and which functions have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from lambent.functions import names, paging
from lambent.functions.code_signing.signatures import check_package_type
from lambent.functions.configuration import iso_time
from lambent.functions.lookups import TRIES, overtaken
from lambent.model.code_signing import CodeSigningConfig, CodeSigningFence, CodeSigningPolicy, FunctionCodeSigning
from lambent.model.configs.tags import ResourceTags, check_tags
from lambent.model.errors import UNTYPED, ResourceConflictError, ResourceNotFoundError
from lambent.store.contracts import CommitRefusedError
from lambent.wire.generated import (
    create_code_signing_config,
    get_code_signing_config,
    get_function_code_signing_config,
    list_code_signing_configs,
    list_functions_by_code_signing_config,
    put_function_code_signing_config,
    update_code_signing_config,
)
from lambent.wire.generated import shared as shapes

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.functions.code_signing.signatures import Signatures
    from lambent.functions.ids import Ids
    from lambent.functions.parts import ControlPlaneParts
    from lambent.model.arn import FunctionArn
    from lambent.model.caller import Caller
    from lambent.model.function import FunctionVersion
    from lambent.wire.generated.delete_code_signing_config import DeleteCodeSigningConfigRequest
    from lambent.wire.generated.delete_function_code_signing_config import DeleteFunctionCodeSigningConfigRequest

_BASE_36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_AT_ONCE = 200
# Source: service description, shape MaxListItems: up to 10,000, and 50 unless asked.
_PAGE = 50


class CodeSigningConfigs:
    """The nine operations on code signing. Scope: cluster; keeps no state, the store does."""

    def __init__(self, parts: ControlPlaneParts, ids: Ids, signatures: Signatures) -> None:
        self._resources = parts.store.resources
        self._store = parts.store
        self._clock = parts.clock
        self._random_bytes = parts.random_bytes
        self._ids = ids
        self._signatures = signatures

    async def create_code_signing_config(
        self, caller: Caller, request: create_code_signing_config.CreateCodeSigningConfigRequest
    ) -> create_code_signing_config.CreateCodeSigningConfigResponse:
        """Make a configuration; it warns unless told to enforce."""
        now_ms = self._clock.time_ms()
        config = CodeSigningConfig(
            account_id=caller.account_id,
            region=caller.region,
            config_id=_new_id(now_ms, self._random_bytes),
            allowed_publishers=_publishers(request.allowed_publishers),
            policy=_policy(request.code_signing_policies) or CodeSigningPolicy.WARN,
            last_modified_ms=now_ms,
            revision_id=self._ids.new(),
            description=request.description,
        )
        fence = CodeSigningFence(config.account_id, config.region, config.config_id, self._ids.new())
        check_tags(request.tags or {}, is_system=caller.is_system)
        tags = ResourceTags(config.account_id, config.region, _tagged(config), request.tags or {}, self._ids.new())
        await self._resources.commit(*(self._resources.put_new(item) for item in (config, fence, tags)))
        return create_code_signing_config.CreateCodeSigningConfigResponse(code_signing_config=_shown(config))

    async def get_code_signing_config(
        self, caller: Caller, request: get_code_signing_config.GetCodeSigningConfigRequest
    ) -> get_code_signing_config.GetCodeSigningConfigResponse:
        """Return a configuration. Raises ResourceNotFoundError (404)."""
        config = await self._existing(caller, request.code_signing_config_arn)
        return get_code_signing_config.GetCodeSigningConfigResponse(code_signing_config=_shown(config))

    async def update_code_signing_config(
        self, caller: Caller, request: update_code_signing_config.UpdateCodeSigningConfigRequest
    ) -> update_code_signing_config.UpdateCodeSigningConfigResponse:
        """Change what is given; what is deployed already is not judged again. Raises ResourceNotFoundError (404)."""
        for _ in range(TRIES):
            config = await self._existing(caller, request.code_signing_config_arn)
            changed = config
            if request.description is not None:
                changed = replace(changed, description=request.description)
            if request.allowed_publishers is not None:
                changed = replace(changed, allowed_publishers=_publishers(request.allowed_publishers))
            changed = replace(changed, policy=_policy(request.code_signing_policies) or changed.policy)
            if changed != config:
                changed = replace(changed, last_modified_ms=self._clock.time_ms(), revision_id=self._ids.new())
                try:
                    await self._resources.commit(self._resources.put_over(changed, config.revision_id))
                except CommitRefusedError:
                    continue
            return update_code_signing_config.UpdateCodeSigningConfigResponse(code_signing_config=_shown(changed))
        raise overtaken(request.code_signing_config_arn)

    async def delete_code_signing_config(self, caller: Caller, request: DeleteCodeSigningConfigRequest) -> None:
        """Remove a configuration that no function has.

        Raises:
            ResourceNotFoundError: there is none (404).
            ResourceConflictError: a function has it (409). Source: API reference.
        """
        for _ in range(TRIES):
            config = await self._existing(caller, request.code_signing_config_arn)
            fence = await self._resources.get(CodeSigningFence, config.account_id, config.region, config.config_id)
            if await self._functions_of(config, after=None, limit=1):
                raise ResourceConflictError(
                    f"The code signing configuration {config.arn} is in use by functions and cannot be deleted."
                )
            tags = await self._resources.get(ResourceTags, config.account_id, config.region, _tagged(config))
            writes = [self._resources.delete(item) for item in (config, fence, tags) if item is not None]
            try:
                await self._resources.commit(*writes)
            except CommitRefusedError:
                # It was changed, or a function got it.
                continue
            return
        raise overtaken(request.code_signing_config_arn)

    async def list_code_signing_configs(
        self, caller: Caller, request: list_code_signing_configs.ListCodeSigningConfigsRequest
    ) -> list_code_signing_configs.ListCodeSigningConfigsResponse:
        """Return a page of the account's configurations, oldest first."""
        limit = request.max_items or _PAGE
        place = paging.place_of(request.marker, 1)
        found = await self._resources.page(
            CodeSigningConfig,
            caller.account_id,
            caller.region,
            after=None if place is None else (place[0], ""),
            limit=limit + 1,
        )
        page, last = paging.cut(found, limit)
        return list_code_signing_configs.ListCodeSigningConfigsResponse(
            next_marker=None if last is None else paging.marker_of(last.config_id),
            code_signing_configs=[_shown(config) for config in page],
        )

    async def list_functions_by_code_signing_config(
        self, caller: Caller, request: list_functions_by_code_signing_config.ListFunctionsByCodeSigningConfigRequest
    ) -> list_functions_by_code_signing_config.ListFunctionsByCodeSigningConfigResponse:
        """Return a page of the ARNs of functions that have a configuration. Raises ResourceNotFoundError (404)."""
        config = await self._existing(caller, request.code_signing_config_arn)
        limit = request.max_items or _PAGE
        place = paging.place_of(request.marker, 1)
        found = await self._functions_of(config, after=None if place is None else place[0], limit=limit + 1)
        page, last = paging.cut(found, limit)
        return list_functions_by_code_signing_config.ListFunctionsByCodeSigningConfigResponse(
            next_marker=None if last is None else paging.marker_of(last),
            function_arns=[f"arn:aws:lambda:{config.region}:{config.account_id}:function:{name}" for name in page],
        )

    async def put_function_code_signing_config(
        self, caller: Caller, request: put_function_code_signing_config.PutFunctionCodeSigningConfigRequest
    ) -> put_function_code_signing_config.PutFunctionCodeSigningConfigResponse:
        """Give a function a configuration; it judges the next deployment, not the code that is there.

        Raises:
            CodeSigningConfigNotFoundException: see `Signatures.usable` (404); told before the next.
            ResourceNotFoundError: there is no such function (404).
            InvalidParameterValueError: see `check_package_type` (400).
        """
        arn = names.resolve_latest(caller, request.function_name)
        for _ in range(TRIES):
            config = await self._signatures.usable(caller, request.code_signing_config_arn)
            function = await self._function(arn)
            check_package_type(function)
            there = self._resources.require(function, is_any_revision=True)
            try:
                await self._resources.commit(there, *self._signatures.attachment(arn, config))
            except CommitRefusedError:
                continue
            return put_function_code_signing_config.PutFunctionCodeSigningConfigResponse(
                code_signing_config_arn=config.arn, function_name=arn.name
            )
        raise overtaken(arn)

    async def get_function_code_signing_config(
        self, caller: Caller, request: get_function_code_signing_config.GetFunctionCodeSigningConfigRequest
    ) -> get_function_code_signing_config.GetFunctionCodeSigningConfigResponse:
        """Return a function's configuration; an empty answer when it has none. Raises ResourceNotFoundError (404)."""
        arn = names.resolve_latest(caller, request.function_name)
        await self._function(arn)
        config = await self._signatures.of_function(arn)
        if config is None:
            return get_function_code_signing_config.GetFunctionCodeSigningConfigResponse()
        return get_function_code_signing_config.GetFunctionCodeSigningConfigResponse(
            code_signing_config_arn=config.arn, function_name=arn.name
        )

    async def delete_function_code_signing_config(
        self, caller: Caller, request: DeleteFunctionCodeSigningConfigRequest
    ) -> None:
        """Take a function's configuration away; none is no failure. Raises ResourceNotFoundError (404)."""
        arn = names.resolve_latest(caller, request.function_name)
        await self._function(arn)
        kept = await self._resources.get(FunctionCodeSigning, arn.account_id, arn.region, arn.name)
        if kept is None:
            return
        try:
            await self._resources.commit(self._resources.delete(kept, is_any_revision=True))
        except CommitRefusedError:
            # Somebody took it away first.
            return

    async def _existing(self, caller: Caller, config_arn: str) -> CodeSigningConfig:
        config = await self._signatures.find(caller, config_arn)
        if config is None:
            # Source: recorded (test_code_signing_not_found_excs).
            text = f"The Lambda code signing configuration {config_arn} can not be found."
            raise ResourceNotFoundError(text, members=UNTYPED)
        return config

    async def _function(self, arn: FunctionArn) -> FunctionVersion:
        function = await self._store.get(arn)
        if function is None:
            raise names.not_found(arn)
        return function

    async def _functions_of(self, config: CodeSigningConfig, *, after: str | None, limit: int) -> list[str]:
        """Return up to `limit` names of functions that have it, after a name, in order."""
        found: list[str] = []
        while True:
            page = await self._resources.page(
                FunctionCodeSigning,
                config.account_id,
                config.region,
                after=None if after is None else (after, ""),
                limit=_AT_ONCE,
            )
            found += [kept.function_name for kept in page if kept.config_id == config.config_id]
            if len(found) >= limit or len(page) < _AT_ONCE:
                return found[:limit]
            after = page[-1].function_name


def _publishers(given: shapes.AllowedPublishers) -> tuple[str, ...]:
    return tuple(given.signing_profile_version_arns or ())


def _policy(given: shapes.CodeSigningPolicies | None) -> CodeSigningPolicy | None:
    if given is None or given.untrusted_artifact_on_deployment is None:
        return None
    return CodeSigningPolicy(given.untrusted_artifact_on_deployment)


def _shown(config: CodeSigningConfig) -> shapes.CodeSigningConfig:
    return shapes.CodeSigningConfig(
        code_signing_config_id=config.config_id,
        code_signing_config_arn=config.arn,
        description=config.description,
        allowed_publishers=shapes.AllowedPublishers(signing_profile_version_arns=list(config.allowed_publishers)),
        code_signing_policies=shapes.CodeSigningPolicies(untrusted_artifact_on_deployment=config.policy.value),
        last_modified=iso_time(config.last_modified_ms),
    )


def _tagged(config: CodeSigningConfig) -> str:
    return f"code-signing-config:{config.config_id}"


def _new_id(now_ms: int, random_bytes: Callable[[int], bytes]) -> str:
    """Return csc- and 17 characters: nine of the time, so that listings are in order, and eight by chance."""
    return f"csc-{_text(now_ms, 9)}{_text(int.from_bytes(random_bytes(8), 'big'), 8)}"


def _text(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 36)
        digits.append(_BASE_36[digit])
    return "".join(reversed(digits))
