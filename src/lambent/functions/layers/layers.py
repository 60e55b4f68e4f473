"""Layers: publish, read, list, delete."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from lambent.functions import paging
from lambent.functions.configuration import iso_time
from lambent.functions.definition.building import check_storage_mode
from lambent.functions.layers.compatibility import check_compatibilities, check_filter
from lambent.functions.layers.lookup import LayerLookup, denied, not_found, own_layer
from lambent.functions.lookups import TRIES, overtaken
from lambent.functions.packages.sources import Packages, PackageSource
from lambent.model.errors import InvalidParameterValueError, LambdaError
from lambent.model.layer import Layer, LayerPolicy, LayerVersion, parse_layer
from lambent.store.contracts import CommitRefusedError
from lambent.wire.generated import list_layer_versions, list_layers
from lambent.wire.generated import shared as shapes
from lambent.wire.generated.publish_layer_version import PublishLayerVersionResponse

if TYPE_CHECKING:
    from lambent.functions.account import CodeStorage
    from lambent.functions.ids import Ids
    from lambent.functions.packages.links import CodeLinks
    from lambent.functions.packages.sweeping import Sweeper
    from lambent.functions.parts import ControlPlaneParts
    from lambent.model.caller import Caller
    from lambent.model.function import CodeReference
    from lambent.model.layer import LayerArn
    from lambent.wire.generated.delete_layer_version import DeleteLayerVersionRequest
    from lambent.wire.generated.get_layer_version import GetLayerVersionRequest
    from lambent.wire.generated.get_layer_version_by_arn import GetLayerVersionByArnRequest
    from lambent.wire.generated.publish_layer_version import LayerVersionContentInput, PublishLayerVersionRequest

_Answer = TypeVar("_Answer", PublishLayerVersionResponse, shapes.GetLayerVersionResponse)

_AT_ONCE = 100
_PUBLISH = "lambda:PublishLayerVersion"
_DELETE = "lambda:DeleteLayerVersion"


class Layers:
    """The six operations on layers and their versions. Scope: cluster; keeps no state, the store does."""

    def __init__(
        self, parts: ControlPlaneParts, ids: Ids, links: CodeLinks, sweeper: Sweeper, storage: CodeStorage
    ) -> None:
        self._store = parts.store
        self._resources = parts.store.resources
        self._code = parts.code
        self._clock = parts.clock
        self._storage = storage
        self._packages = Packages(parts.download)
        self._lookup = LayerLookup(self._resources)
        self._ids = ids
        self._links = links
        self._sweeper = sweeper

    async def publish_layer_version(
        self, caller: Caller, request: PublishLayerVersionRequest
    ) -> PublishLayerVersionResponse:
        """Make the next version of a layer, the first one if there is none; a number is never given twice.

        Raises:
            CodeStorageExceededError: the account's code quota is used up (400).
            AccessDeniedError: LayerName is an ARN of another account (403).
            ValidationError: see `check_compatibilities` (400).
            Others: see `Packages.open`, `CodeStore.add`.
        """
        check_compatibilities(request.compatible_runtimes, request.compatible_architectures)
        arn = own_layer(caller, request.layer_name, _PUBLISH)
        check_storage_mode(request.content.s3_object_storage_mode)
        source = _source(request.content)
        try:
            async with self._packages.open(caller, source) as package, self._code.add(package) as reference:
                await self._storage.check(arn, reference)
                version = await self._commit_next(arn, request, reference)
        except LambdaError:
            # The package may have been placed before the commit failed.
            self._sweeper.want()
            raise
        return _answered(PublishLayerVersionResponse, version, self._content(caller, version))

    async def get_layer_version(
        self, caller: Caller, request: GetLayerVersionRequest
    ) -> shapes.GetLayerVersionResponse:
        """Return a version and a URL of its archive.

        Raises:
            InvalidParameterValueError: the number is less than 1 (400).
            ResourceNotFoundError: there is none (404).
            AccessDeniedError: see `LayerLookup.readable` (403).
        """
        check_number(request.version_number)
        arn = parse_layer(request.layer_name, account_id=caller.account_id, region=caller.region)
        if arn is None:
            raise not_found()
        return await self._answer(caller, _numbered(arn, request.version_number))

    async def get_layer_version_by_arn(
        self, caller: Caller, request: GetLayerVersionByArnRequest
    ) -> shapes.GetLayerVersionResponse:
        """Return a version by its ARN. Raises as `get_layer_version`."""
        arn = parse_layer(request.arn, account_id=caller.account_id, region=caller.region)
        if arn is None or arn.version is None:
            raise not_found()
        return await self._answer(caller, arn)

    async def list_layers(
        self, caller: Caller, request: list_layers.ListLayersRequest
    ) -> list_layers.ListLayersResponse:
        """Return the account's layers by name, each with its latest version that matches; others are left out."""
        check_filter(request.compatible_runtime)
        limit = paging.page_size(request.max_items)
        place = paging.place_of(request.marker, 1)
        after = (place[0], "") if place is not None else None
        found: list[list_layers.LayersListItem] = []
        while len(found) <= limit:
            page = await self._resources.page(Layer, caller.account_id, caller.region, after=after, limit=_AT_ONCE)
            for layer in page:
                latest = await self._latest(layer, request.compatible_runtime, request.compatible_architecture)
                if latest is not None:
                    found.append(_layer_item(layer, latest))
                if len(found) > limit:
                    break
            if len(page) < _AT_ONCE:
                break
            after = (page[-1].name, "")
        shown, last = paging.cut(found, limit)
        marker = None if last is None else paging.marker_of(last.layer_name or "")
        return list_layers.ListLayersResponse(next_marker=marker, layers=list(shown))

    async def list_layer_versions(
        self, caller: Caller, request: list_layer_versions.ListLayerVersionsRequest
    ) -> list_layer_versions.ListLayerVersionsResponse:
        """Return a layer's versions that match, newest first; none is no failure. Raises AccessDeniedError (403)."""
        check_filter(request.compatible_runtime)
        arn = own_layer(caller, request.layer_name, "lambda:ListLayerVersions")
        limit = paging.page_size(request.max_items)
        below = _number_of(request.marker)
        matching = [
            version
            for version in await self._versions(arn)
            if (below is None or version.version < below)
            and _is_matching(version, request.compatible_runtime, request.compatible_architecture)
        ]
        shown, last = paging.cut(matching, limit)
        return list_layer_versions.ListLayerVersionsResponse(
            next_marker=None if last is None else paging.marker_of(str(last.version)),
            layer_versions=[_version_item(version) for version in shown],
        )

    async def delete_layer_version(self, caller: Caller, request: DeleteLayerVersionRequest) -> None:
        """Remove a version and its policy; functions that have it keep it. One that is not there is no failure.

        Raises:
            InvalidParameterValueError: the number is less than 1 (400).
            AccessDeniedError: it is another account's (403).
        Source: recorded (test_layer_exceptions).
        """
        check_number(request.version_number)
        arn = _numbered(own_layer(caller, request.layer_name, _DELETE), request.version_number)
        resources, key = self._resources, (arn.account_id, arn.region, arn.name, request.version_number)
        for _ in range(TRIES):
            layer = await resources.get(Layer, arn.account_id, arn.region, arn.name)
            version, policy = await resources.get(LayerVersion, *key), await resources.get(LayerPolicy, *key)
            if layer is None or version is None:
                return
            left = replace(layer, version_count=layer.version_count - 1, revision_id=self._ids.new())
            try:
                await resources.commit(
                    resources.put_over(left, layer.revision_id),
                    resources.delete(version),
                    resources.require_none(LayerPolicy, *key) if policy is None else resources.delete(policy),
                )
            except CommitRefusedError:
                # A version or a permission came or went meanwhile.
                continue
            self._sweeper.want()
            return
        raise overtaken(arn)

    async def _commit_next(
        self, arn: LayerArn, request: PublishLayerVersionRequest, code: CodeReference
    ) -> LayerVersion:
        resources = self._resources
        for _ in range(TRIES):
            layer = await resources.get(Layer, arn.account_id, arn.region, arn.name)
            number, count = (1, 1) if layer is None else (layer.last_version + 1, layer.version_count + 1)
            counted = Layer(arn.account_id, arn.region, arn.name, number, self._ids.new(), count)
            version = self._version(arn, number, request, code)
            counter = resources.put_new(counted) if layer is None else resources.put_over(counted, layer.revision_id)
            try:
                await resources.commit(counter, resources.put_new(version))
            except CommitRefusedError:
                # Another publication took the number.
                continue
            return version
        raise overtaken(arn)

    def _version(
        self, arn: LayerArn, number: int, request: PublishLayerVersionRequest, code: CodeReference
    ) -> LayerVersion:
        runtimes, architectures = request.compatible_runtimes, request.compatible_architectures
        return LayerVersion(
            account_id=arn.account_id,
            region=arn.region,
            name=arn.name,
            version=number,
            code=code,
            created_ms=self._clock.time_ms(),
            description=request.description or "",
            revision_id=self._ids.new(),
            license_info=request.license_info,
            compatible_runtimes=None if runtimes is None else tuple(runtimes),
            compatible_architectures=None if architectures is None else tuple(architectures),
        )

    async def _answer(self, caller: Caller, arn: LayerArn) -> shapes.GetLayerVersionResponse:
        if arn.region != caller.region:
            raise not_found() if arn.account_id == caller.account_id else denied(caller, arn, "lambda:GetLayerVersion")
        version = await self._lookup.readable(caller, arn)
        if version is None:
            raise not_found()
        return _answered(shapes.GetLayerVersionResponse, version, self._content(caller, version))

    def _content(self, caller: Caller, version: LayerVersion) -> shapes.LayerVersionContentOutput:
        code = version.code
        return shapes.LayerVersionContentOutput(
            location=self._links.url(caller, code.sha256, f"{version.name}-{version.version}"),
            code_sha256=base64.b64encode(bytes.fromhex(code.sha256)).decode(),
            code_size=code.size_bytes,
        )

    async def _latest(self, layer: Layer, runtime: str | None, architecture: str | None) -> LayerVersion | None:
        if not layer.version_count:
            return None
        newest = await self._resources.get(LayerVersion, layer.account_id, layer.region, layer.name, layer.last_version)
        if newest is not None and _is_matching(newest, runtime, architecture):
            return newest
        versions = await self._versions(layer.arn)
        return next((version for version in versions if _is_matching(version, runtime, architecture)), None)

    async def _versions(self, arn: LayerArn) -> list[LayerVersion]:
        """Return all versions, newest first."""
        found: list[LayerVersion] = []
        while True:
            after = (arn.name, found[-1].version) if found else None
            page = await self._resources.page(
                LayerVersion, arn.account_id, arn.region, name=arn.name, after=after, limit=_AT_ONCE
            )
            found += page
            if len(page) < _AT_ONCE:
                return found[::-1]


def check_number(version_number: int) -> None:
    """Refuse what can be no version. Raises InvalidParameterValueError (400). Source: recorded."""
    if version_number < 1:
        raise InvalidParameterValueError("Layer Version Cannot be less than 1")


def _numbered(arn: LayerArn, number: int) -> LayerArn:
    return replace(arn, version=number)


def _number_of(marker: str | None) -> int | None:
    place = paging.place_of(marker, 1)
    if place is None:
        return None
    if not place[0].isdecimal():
        raise InvalidParameterValueError("Invalid marker.")
    return int(place[0])


def _source(content: LayerVersionContentInput) -> PackageSource:
    return PackageSource(
        "Content.ZipFile",
        content.zip_file,
        content.s3_bucket,
        content.s3_key,
        content.s3_object_version,
        # Source: observed.
        refusal_of_nothing="Missing Content",
    )


def _is_matching(version: LayerVersion, runtime: str | None, architecture: str | None) -> bool:
    return (runtime is None or runtime in (version.compatible_runtimes or ())) and (
        architecture is None or architecture in (version.compatible_architectures or ())
    )


def _answered(kind: type[_Answer], version: LayerVersion, content: shapes.LayerVersionContentOutput) -> _Answer:
    return kind(
        content=content,
        layer_arn=str(_numberless(version.arn)),
        layer_version_arn=str(version.arn),
        description=version.description,
        created_date=iso_time(version.created_ms),
        version=version.version,
        compatible_architectures=_listed(version.compatible_architectures),
        compatible_runtimes=_listed(version.compatible_runtimes),
        license_info=version.license_info,
    )


def _version_item(version: LayerVersion) -> shapes.LayerVersionsListItem:
    return shapes.LayerVersionsListItem(
        layer_version_arn=str(version.arn),
        version=version.version,
        # Source: observed; an answer about one version has the empty text.
        description=version.description or None,
        created_date=iso_time(version.created_ms),
        compatible_architectures=_listed(version.compatible_architectures),
        compatible_runtimes=_listed(version.compatible_runtimes),
        license_info=version.license_info,
    )


def _layer_item(layer: Layer, latest: LayerVersion) -> list_layers.LayersListItem:
    return list_layers.LayersListItem(
        layer_name=layer.name, layer_arn=str(layer.arn), latest_matching_version=_version_item(latest)
    )


def _numberless(arn: LayerArn) -> LayerArn:
    return replace(arn, version=None)


def _listed(names: tuple[str, ...] | None) -> list[str] | None:
    return None if names is None else list(names)
