"""Aliases: names for versions, with a share of the invocations for a second version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from lambent.functions import names, paging
from lambent.functions.lookups import STALE_REVISION, TRIES, overtaken
from lambent.model.arn import LATEST
from lambent.model.errors import (
    UNTYPED,
    InvalidParameterValueError,
    PreconditionFailedError,
    ResourceConflictError,
    ResourceNotFoundError,
)
from lambent.model.function import Alias, RoutingConfig, VersionCounter
from lambent.store.contracts import CommitRefusedError
from lambent.wire.generated import shared as shapes
from lambent.wire.generated.list_aliases import ListAliasesResponse

if TYPE_CHECKING:
    from lambent.functions.ids import Ids
    from lambent.functions.parts import ControlPlaneParts
    from lambent.model.arn import FunctionArn
    from lambent.model.caller import Caller
    from lambent.store.contracts import Write
    from lambent.wire.generated.create_alias import CreateAliasRequest
    from lambent.wire.generated.delete_alias import DeleteAliasRequest
    from lambent.wire.generated.get_alias import GetAliasRequest
    from lambent.wire.generated.list_aliases import ListAliasesRequest
    from lambent.wire.generated.update_alias import UpdateAliasRequest


class Aliases:
    """The five operations on aliases. Scope: cluster; keeps no state, the store does."""

    def __init__(self, parts: ControlPlaneParts, ids: Ids) -> None:
        self._store = parts.store
        self._resources = parts.store.resources
        self._ids = ids

    async def create_alias(self, caller: Caller, request: CreateAliasRequest) -> shapes.AliasConfiguration:
        """Create an alias.

        Raises:
            ResourceNotFoundError: there is no such function or version (404).
            InvalidParameterValueError: the versions do not go together (400).
            ResourceConflictError: the name is taken (409).
        Source: recorded (test_notfound_and_invalid_routingconfigs, test_alias_naming).
        """
        arn = names.resolve(caller, request.function_name).unqualified
        alias = Alias(
            account_id=arn.account_id,
            region=arn.region,
            function_name=arn.name,
            name=request.name,
            function_version=request.function_version,
            revision_id=self._ids.new(),
            description=request.description or "",
            routing_config=_routing(request.routing_config),
        )
        _check_routing(alias)
        for _ in range(TRIES):
            creation = self._resources.put_new(alias)
            conditions = await self._conditions(arn, alias)
            try:
                await self._resources.commit(creation, *conditions)
            except CommitRefusedError as error:
                if error.key == creation.record.key:
                    raise ResourceConflictError(f"Alias already exists: {alias.arn}") from None
                continue
            return _shape(alias)
        raise overtaken(arn)

    async def get_alias(self, caller: Caller, request: GetAliasRequest) -> shapes.AliasConfiguration:
        """Return an alias. Raises ResourceNotFoundError (404). Source: recorded."""
        arn = names.resolve(caller, request.function_name).unqualified
        alias = await self._find(arn, request.name)
        if alias is None:
            raise ResourceNotFoundError(f"Cannot find alias arn: {arn.qualified(request.name)}")
        return _shape(alias)

    async def update_alias(self, caller: Caller, request: UpdateAliasRequest) -> shapes.AliasConfiguration:
        """Change the members that are given; weights are replaced as a whole, and none take the second version away.

        Raises:
            PreconditionFailedError: RevisionId is not the present one (412).
            ResourceNotFoundError, InvalidParameterValueError: as `create_alias`.
        Source: recorded (test_function_revisions_version_and_alias); observed for an alias that is not there.
        """
        arn = names.resolve(caller, request.function_name).unqualified
        for _ in range(TRIES):
            current = await self._find(arn, request.name)
            if current is None:
                raise ResourceNotFoundError(f"Alias not found: {arn.qualified(request.name)}")
            if request.revision_id is not None and request.revision_id != current.revision_id:
                raise PreconditionFailedError(STALE_REVISION)
            changed = self._changed(current, request)
            _check_routing(changed)
            conditions = await self._conditions(arn, changed)
            try:
                await self._resources.commit(self._resources.put_over(changed, current.revision_id), *conditions)
            except CommitRefusedError:
                continue
            return _shape(changed)
        raise overtaken(arn)

    async def delete_alias(self, caller: Caller, request: DeleteAliasRequest) -> None:
        """Remove an alias with the configurations that name it; one that is not there is no error.

        Raises ResourceNotFoundError when there is no such function (404). Source: observed.
        """
        arn = names.resolve(caller, request.function_name).unqualified
        for _ in range(TRIES):
            if await self._find(arn, request.name) is None:
                return
            try:
                await self._resources.commit(*await self._resources.delete_qualified(arn.qualified(request.name)))
            except CommitRefusedError:
                continue
            return
        raise overtaken(arn)

    async def list_aliases(self, caller: Caller, request: ListAliasesRequest) -> ListAliasesResponse:
        """Return a page of aliases by name; of those that may run `FunctionVersion`, if it is given.

        Raises ResourceNotFoundError (404).
        """
        arn = names.resolve(caller, request.function_name).unqualified
        await self._check_function(arn)
        limit = paging.page_size(request.max_items)
        place = paging.place_of(request.marker, 1)
        after = None if place is None else (arn.name, place[0])
        found: list[Alias] = []
        while len(found) <= limit:
            page = await self._resources.page(
                Alias, arn.account_id, arn.region, name=arn.name, after=after, limit=limit + 1
            )
            found += [alias for alias in page if _is_asked_for(alias, request.function_version)]
            if len(page) <= limit:
                break
            after = (arn.name, page[-1].name)
        shown, last = paging.cut(found, limit)
        return ListAliasesResponse(
            next_marker=None if last is None else paging.marker_of(last.name),
            aliases=[_shape(alias) for alias in shown],
        )

    def _changed(self, current: Alias, request: UpdateAliasRequest) -> Alias:
        routing = current.routing_config if request.routing_config is None else _routing(request.routing_config)
        return replace(
            current,
            function_version=request.function_version or current.function_version,
            description=current.description if request.description is None else request.description,
            routing_config=routing,
            revision_id=self._ids.new(),
        )

    async def _find(self, arn: FunctionArn, name: str) -> Alias | None:
        """Return an alias of a function that must be there."""
        alias = await self._resources.get(Alias, arn.account_id, arn.region, arn.name, name)
        if alias is None:
            await self._check_function(arn)
        return alias

    async def _check_function(self, arn: FunctionArn) -> None:
        if await self._store.get(arn) is None:
            raise names.not_found(arn)

    async def _conditions(self, arn: FunctionArn, alias: Alias) -> list[Write]:
        """Return what must be committed with an alias so that no version it points at goes at the same moment.

        The deletion of a version writes the function's counter, and so do we: of two at once one begins anew.
        """
        conditions: list[Write] = []
        additional = alias.routing_config.additional_version_weights if alias.routing_config is not None else {}
        for number in (alias.function_version, *additional):
            version = await self._store.get(arn.qualified(number))
            if version is None:
                raise names.not_found(arn.qualified(number))
            conditions.append(self._resources.require(version, is_any_revision=True))
        counter = await self._resources.get(VersionCounter, arn.account_id, arn.region, arn.name)
        if counter is not None:
            touched = replace(counter, revision_id=self._ids.new())
            conditions.append(self._resources.put_over(touched, counter.revision_id))
        return conditions


def _routing(given: shapes.AliasRoutingConfiguration | None) -> RoutingConfig | None:
    weights = None if given is None else given.additional_version_weights
    return RoutingConfig(dict(weights)) if weights else None


def _check_routing(alias: Alias) -> None:
    """Refuse versions that do not go together. Source: recorded (test_notfound_and_invalid_routingconfigs)."""
    if alias.routing_config is None:
        return
    versions = alias.routing_config.additional_version_weights
    if len(versions) > 1:
        raise InvalidParameterValueError("Number of items in AdditionalVersionWeights cannot be greater than 1")
    if alias.function_version.startswith(LATEST):
        raise InvalidParameterValueError(
            f"{LATEST} is not supported for an alias pointing to more than 1 version", members=UNTYPED
        )
    if alias.function_version in versions:
        raise InvalidParameterValueError(
            f"Invalid function version {alias.function_version}. Function version {alias.function_version} "
            "is already included in routing configuration."
        )


def _is_asked_for(alias: Alias, version: str | None) -> bool:
    return version is None or alias.points_at(version)


def _shape(alias: Alias) -> shapes.AliasConfiguration:
    routing = alias.routing_config
    return shapes.AliasConfiguration(
        alias_arn=str(alias.arn),
        name=alias.name,
        function_version=alias.function_version,
        description=alias.description,
        routing_config=None
        if routing is None
        else shapes.AliasRoutingConfiguration(additional_version_weights=dict(routing.additional_version_weights)),
        revision_id=alias.revision_id,
    )
