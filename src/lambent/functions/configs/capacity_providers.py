"""Capacity providers: kept and answered. Functions on instances of one's own do not run here yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from lambent.functions.account import quota_value
from lambent.functions.configuration import iso_time
from lambent.functions.lookups import TRIES, overtaken
from lambent.functions.paging import cut, marker_of, page_size, place_of
from lambent.model.configs.capacity_provider import CapacityProvider
from lambent.model.configs.tags import ResourceTags, check_tags
from lambent.model.errors import (
    InvalidParameterValueError,
    LambdaError,
    ResourceConflictError,
    ResourceNotFoundError,
)
from lambent.model.function import VpcConfig
from lambent.model.quotas import CAPACITY_PROVIDERS
from lambent.store.contracts import CommitRefusedError
from lambent.wire.conversion import copied, given_members
from lambent.wire.generated import shared as shapes
from lambent.wire.generated.create_capacity_provider import CreateCapacityProviderResponse
from lambent.wire.generated.delete_capacity_provider import DeleteCapacityProviderResponse
from lambent.wire.generated.get_capacity_provider import GetCapacityProviderResponse
from lambent.wire.generated.list_capacity_providers import ListCapacityProvidersResponse
from lambent.wire.generated.list_function_versions_by_capacity_provider import (
    ListFunctionVersionsByCapacityProviderResponse,
)
from lambent.wire.generated.update_capacity_provider import UpdateCapacityProviderResponse

if TYPE_CHECKING:
    from lambent.functions.ids import Ids
    from lambent.functions.parts import ControlPlaneParts
    from lambent.model.caller import Caller
    from lambent.wire.generated.create_capacity_provider import CreateCapacityProviderRequest
    from lambent.wire.generated.delete_capacity_provider import DeleteCapacityProviderRequest
    from lambent.wire.generated.get_capacity_provider import GetCapacityProviderRequest
    from lambent.wire.generated.list_capacity_providers import ListCapacityProvidersRequest
    from lambent.wire.generated.list_function_versions_by_capacity_provider import (
        ListFunctionVersionsByCapacityProviderRequest,
    )
    from lambent.wire.generated.update_capacity_provider import UpdateCapacityProviderRequest

# A capacity provider is a description: as on AWS no instance stands behind it before a function needs one.
_ACTIVE = "Active"


class CapacityProviders:
    """The six operations on capacity providers. Scope: cluster; keeps no state, the store does."""

    def __init__(self, parts: ControlPlaneParts, ids: Ids) -> None:
        self._resources = parts.store.resources
        self._vpc_id = parts.vpc_id
        self._ids = ids
        self._clock = parts.clock

    async def create_capacity_provider(
        self, caller: Caller, request: CreateCapacityProviderRequest
    ) -> CreateCapacityProviderResponse:
        """Create a provider.

        Raises:
            ResourceConflictError: the name is taken (409).
            InvalidParameterValueError: networks that EC2 does not know, instance types both allowed and excluded, tags,
                another account's ARN (400).
            LambdaError: CapacityProviderLimitExceededException (400).
        """
        name = _name(caller, request.capacity_provider_name)
        if name is None:
            raise InvalidParameterValueError("The capacity provider must be in the account and region of the caller.")
        check_tags(request.tags or {}, is_system=caller.is_system)
        provider = copied(
            request,
            CapacityProvider,
            account_id=caller.account_id,
            region=caller.region,
            name=name,
            revision_id=self._ids.new(),
            last_modified_ms=self._clock.time_ms(),
        )
        _check(provider)
        vpc = request.vpc_config
        await self._vpc_id(caller, VpcConfig(tuple(vpc.subnet_ids or ()), tuple(vpc.security_group_ids or ())))
        resources = self._resources
        scope = (caller.account_id, caller.region)
        providers_max = await quota_value(resources, *scope, CAPACITY_PROVIDERS, CAPACITY_PROVIDERS.value)
        if await resources.count(CapacityProvider, *scope) >= providers_max:
            raise LambdaError(
                f"The maximum number of capacity providers ({providers_max}) is reached.",
                code="CapacityProviderLimitExceededException",
            )
        tags = ResourceTags(
            caller.account_id, caller.region, _tagged(provider), request.tags or {}, provider.revision_id
        )
        try:
            await resources.commit(resources.put_new(provider), resources.put_over(tags))
        except CommitRefusedError:
            raise ResourceConflictError(f"Capacity provider already exists: {provider.arn}") from None
        return CreateCapacityProviderResponse(capacity_provider=_shown(provider, "Pending"))

    async def get_capacity_provider(
        self, caller: Caller, request: GetCapacityProviderRequest
    ) -> GetCapacityProviderResponse:
        """Return a provider. Raises ResourceNotFoundError (404)."""
        provider = await self._existing(caller, request.capacity_provider_name)
        return GetCapacityProviderResponse(capacity_provider=_shown(provider))

    async def update_capacity_provider(
        self, caller: Caller, request: UpdateCapacityProviderRequest
    ) -> UpdateCapacityProviderResponse:
        """Change what is given. Raises ResourceNotFoundError (404), InvalidParameterValueError (400)."""
        for _ in range(TRIES):
            current = await self._existing(caller, request.capacity_provider_name)
            if len(given_members(request)) == 1:
                raise InvalidParameterValueError("At least one setting of the capacity provider must be given.")
            asked = copied(request, CapacityProvider, **_identity(current))
            provider = replace(
                current,
                revision_id=self._ids.new(),
                last_modified_ms=self._clock.time_ms(),
                capacity_provider_scaling_config=asked.capacity_provider_scaling_config
                or current.capacity_provider_scaling_config,
                propagate_tags=asked.propagate_tags or current.propagate_tags,
                telemetry_config=asked.telemetry_config or current.telemetry_config,
            )
            _check(provider)
            try:
                await self._resources.commit(self._resources.put_over(provider, current.revision_id))
            except CommitRefusedError:
                continue
            return UpdateCapacityProviderResponse(capacity_provider=_shown(provider))
        raise overtaken(request.capacity_provider_name)

    async def delete_capacity_provider(
        self, caller: Caller, request: DeleteCapacityProviderRequest
    ) -> DeleteCapacityProviderResponse:
        """Remove a provider and its tags. Raises ResourceNotFoundError (404)."""
        resources = self._resources
        for _ in range(TRIES):
            provider = await self._existing(caller, request.capacity_provider_name)
            tags = await resources.get(ResourceTags, provider.account_id, provider.region, _tagged(provider))
            found = [provider] if tags is None else [provider, tags]
            try:
                await resources.commit(*(resources.delete(one, is_any_revision=True) for one in found))
            except CommitRefusedError:
                continue
            return DeleteCapacityProviderResponse(capacity_provider=_shown(provider, "Deleting"))
        raise overtaken(request.capacity_provider_name)

    async def list_capacity_providers(
        self, caller: Caller, request: ListCapacityProvidersRequest
    ) -> ListCapacityProvidersResponse:
        """Return a page of providers by name."""
        place = place_of(request.marker, 1)
        limit = page_size(request.max_items)
        found = await self._resources.page(
            CapacityProvider,
            caller.account_id,
            caller.region,
            after=None if place is None else (place[0], ""),
            limit=limit + 1,
        )
        if request.state not in (None, _ACTIVE):
            found = []
        page, last = cut(found, limit)
        return ListCapacityProvidersResponse(
            capacity_providers=[_shown(provider) for provider in page],
            next_marker=None if last is None else marker_of(last.name),
        )

    async def list_function_versions_by_capacity_provider(
        self, caller: Caller, request: ListFunctionVersionsByCapacityProviderRequest
    ) -> ListFunctionVersionsByCapacityProviderResponse:
        """Return the versions that use a provider: none, for CapacityProviderConfig is refused. Raises 404."""
        provider = await self._existing(caller, request.capacity_provider_name)
        return ListFunctionVersionsByCapacityProviderResponse(capacity_provider_arn=provider.arn, function_versions=[])

    async def _existing(self, caller: Caller, reference: str) -> CapacityProvider:
        name = _name(caller, reference)
        found = None
        if name is not None:
            found = await self._resources.get(CapacityProvider, caller.account_id, caller.region, name)
        if found is None:
            raise ResourceNotFoundError(f"Capacity provider not found: {reference}")
        return found


def _name(caller: Caller, reference: str) -> str | None:
    """Return the name that a name or ARN means; None when the ARN is of another account or region."""
    if not reference.startswith("arn:"):
        return reference
    parts = reference.split(":")
    return parts[6] if (parts[3], parts[4]) == (caller.region, caller.account_id) else None


def _identity(provider: CapacityProvider) -> dict[str, object]:
    members = ("account_id", "region", "name", "revision_id", "last_modified_ms", "vpc_config", "permissions_config")
    return {name: getattr(provider, name) for name in members}


def _check(provider: CapacityProvider) -> None:
    instances = provider.instance_requirements
    if instances is not None and instances.allowed_instance_types and instances.excluded_instance_types:
        # Source: developer guide, "Lambda Managed Instances": one of the two.
        raise InvalidParameterValueError("AllowedInstanceTypes and ExcludedInstanceTypes cannot be used together.")
    propagated = provider.propagate_tags
    if propagated is not None and propagated.mode != "Explicit" and propagated.explicit_tags:
        raise InvalidParameterValueError("ExplicitTags can only be given when the mode of PropagateTags is Explicit.")


def _shown(provider: CapacityProvider, state: str = _ACTIVE) -> shapes.CapacityProvider:
    return copied(
        provider,
        shapes.CapacityProvider,
        capacity_provider_arn=provider.arn,
        state=state,
        last_modified=iso_time(provider.last_modified_ms),
    )


def _tagged(provider: CapacityProvider) -> str:
    return f"capacity-provider:{provider.name}"
