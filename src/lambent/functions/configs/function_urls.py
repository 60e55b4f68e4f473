"""Function URLs: configuration only; the URL is where the installation's endpoint serves them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec.structs import replace

from lambent.functions import names
from lambent.functions.configs.targets import Targets
from lambent.functions.configuration import iso_time
from lambent.functions.lookups import TRIES, overtaken
from lambent.functions.paging import page_of_function
from lambent.model.arn import FunctionArn
from lambent.model.configs.function_url import Cors, FunctionUrlConfig, host_of
from lambent.model.errors import ResourceConflictError, ResourceNotFoundError
from lambent.store.contracts import CommitRefusedError
from lambent.wire.conversion import copied
from lambent.wire.generated import shared as shapes
from lambent.wire.generated.create_function_url_config import CreateFunctionUrlConfigResponse
from lambent.wire.generated.get_function_url_config import GetFunctionUrlConfigResponse
from lambent.wire.generated.list_function_url_configs import FunctionUrlConfig as UrlShape
from lambent.wire.generated.list_function_url_configs import ListFunctionUrlConfigsResponse
from lambent.wire.generated.update_function_url_config import UpdateFunctionUrlConfigResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lambent.clock import Clock
    from lambent.functions.ids import Ids
    from lambent.model.caller import Caller
    from lambent.store import Resources
    from lambent.store.contracts import Write
    from lambent.wire.generated.create_function_url_config import CreateFunctionUrlConfigRequest
    from lambent.wire.generated.delete_function_url_config import DeleteFunctionUrlConfigRequest
    from lambent.wire.generated.get_function_url_config import GetFunctionUrlConfigRequest
    from lambent.wire.generated.list_function_url_configs import ListFunctionUrlConfigsRequest
    from lambent.wire.generated.update_function_url_config import UpdateFunctionUrlConfigRequest

_BUFFERED = "BUFFERED"
_ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_ID_LENGTH = 32


class FunctionUrls:
    """The five operations on function URL configs. Scope: cluster; keeps no state, the store does.

    `base_url` is where URLs are; empty: where the caller reaches the API.
    """

    def __init__(
        self, resources: Resources, ids: Ids, clock: Clock, random_bytes: Callable[[int], bytes], base_url: str = ""
    ) -> None:
        self._base_url = base_url
        self._resources = resources
        self._targets = Targets(resources)
        self._ids = ids
        self._clock = clock
        self._random_bytes = random_bytes

    async def create_function_url_config(
        self, caller: Caller, request: CreateFunctionUrlConfigRequest
    ) -> CreateFunctionUrlConfigResponse:
        """Give a function or alias a URL.

        Raises:
            ResourceNotFoundError: no such function or alias (404).
            ResourceConflictError: it has one (409).
        Source: recorded (TestLambdaUrl).
        """
        arn, there = await self._target(caller, request.function_name, request.qualifier)
        now_ms = self._clock.time_ms()
        config = FunctionUrlConfig(
            arn.account_id,
            arn.region,
            arn.name,
            arn.qualifier or "",
            self._ids.new(),
            "".join(_ID_ALPHABET[byte % len(_ID_ALPHABET)] for byte in self._random_bytes(_ID_LENGTH)),
            request.auth_type,
            now_ms,
            now_ms,
            _cors(request.cors),
            request.invoke_mode,
        )
        try:
            await self._resources.commit(there, self._resources.put_new(config))
        except CommitRefusedError as error:
            if error.found is None:
                raise _no_function() from None
            raise ResourceConflictError(
                f"Failed to create function url config for [functionArn = {arn}]. "
                "Error message:  FunctionUrlConfig exists for this Lambda function"
            ) from None
        return copied(self._shown(caller, config), CreateFunctionUrlConfigResponse, invoke_mode=config.invoke_mode)

    async def update_function_url_config(
        self, caller: Caller, request: UpdateFunctionUrlConfigRequest
    ) -> UpdateFunctionUrlConfigResponse:
        """Change what is given; Cors as a whole. Raises ResourceNotFoundError (404), ResourceConflictError (409)."""
        arn, _ = await self._target(caller, request.function_name, request.qualifier)
        for _ in range(TRIES):
            current = await self._existing(arn)
            config = replace(
                current,
                revision_id=self._ids.new(),
                auth_type=request.auth_type or current.auth_type,
                cors=current.cors if request.cors is None else _cors(request.cors),
                invoke_mode=request.invoke_mode or current.invoke_mode,
                last_modified_ms=self._clock.time_ms(),
            )
            try:
                await self._resources.commit(self._resources.put_over(config, current.revision_id))
            except CommitRefusedError:
                continue
            return copied(self._shown(caller, config), UpdateFunctionUrlConfigResponse, invoke_mode=config.invoke_mode)
        raise overtaken(arn)

    async def get_function_url_config(
        self, caller: Caller, request: GetFunctionUrlConfigRequest
    ) -> GetFunctionUrlConfigResponse:
        """Return a configuration. Raises ResourceNotFoundError (404)."""
        arn = names.resolve(caller, request.function_name, request.qualifier)
        config = await self._existing(arn)
        return copied(self._shown(caller, config), GetFunctionUrlConfigResponse)

    async def delete_function_url_config(self, caller: Caller, request: DeleteFunctionUrlConfigRequest) -> None:
        """Take the URL away; those of aliases stay. Raises ResourceNotFoundError (404)."""
        config = await self._existing(names.resolve(caller, request.function_name, request.qualifier))
        try:
            await self._resources.commit(self._resources.delete(config, is_any_revision=True))
        except CommitRefusedError:
            raise _missing() from None

    async def list_function_url_configs(
        self, caller: Caller, request: ListFunctionUrlConfigsRequest
    ) -> ListFunctionUrlConfigsResponse:
        """Return a page of the URLs of a function and its aliases. Raises ResourceNotFoundError (404)."""
        arn, _ = await self._target(caller, request.function_name, None)
        arn = arn.unqualified
        page, marker = await page_of_function(self._resources, FunctionUrlConfig, arn, request)
        return ListFunctionUrlConfigsResponse(
            function_url_configs=[self._shown(caller, config) for config in page], next_marker=marker
        )

    def _shown(self, caller: Caller, config: FunctionUrlConfig) -> UrlShape:
        return _shown(config, url_of(config.url_id, config.region, self._base_url or caller.base_url))

    async def _target(self, caller: Caller, reference: str, qualifier: str | None) -> tuple[FunctionArn, Write]:
        arn = names.resolve(caller, reference, qualifier)
        target = await self._targets.find(arn)
        if target is None:
            raise _no_function()
        return arn, self._targets.require(target)

    async def _existing(self, arn: FunctionArn) -> FunctionUrlConfig:
        found = await self._resources.get(FunctionUrlConfig, arn.account_id, arn.region, arn.name, arn.qualifier or "")
        if found is None:
            raise _missing()
        return found


def url_of(url_id: str, region: str, base_url: str) -> str:
    """Return the URL at an endpoint: below its own name, or below localhost where it has none."""
    endpoint = urlsplit(base_url)
    return f"{endpoint.scheme}://{host_of(url_id, region, endpoint.netloc)}/"


def _shown(config: FunctionUrlConfig, url: str) -> UrlShape:
    return UrlShape(
        function_url=url,
        function_arn=str(FunctionArn(config.account_id, config.region, config.name, config.qualifier or None)),
        creation_time=iso_time(config.created_ms),
        last_modified_time=iso_time(config.last_modified_ms),
        cors=_shown_cors(config.cors),
        auth_type=config.auth_type,
        invoke_mode=config.invoke_mode or _BUFFERED,
    )


def _cors(given: shapes.Cors | None) -> Cors | None:
    if given is None or given == shapes.Cors():
        return None
    return Cors(
        given.allow_credentials,
        _tuple(given.allow_headers),
        _tuple(given.allow_methods),
        _tuple(given.allow_origins),
        _tuple(given.expose_headers),
        given.max_age,
    )


def _shown_cors(cors: Cors | None) -> shapes.Cors | None:
    if cors is None:
        return None
    return shapes.Cors(
        allow_credentials=cors.allow_credentials,
        allow_headers=_list(cors.allow_headers),
        allow_methods=_list(cors.allow_methods),
        allow_origins=_list(cors.allow_origins),
        expose_headers=_list(cors.expose_headers),
        max_age=cors.max_age_seconds,
    )


def _tuple(given: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if given is None else tuple(given)


def _list(kept: Sequence[str] | None) -> list[str] | None:
    return None if kept is None else list(kept)


def _no_function() -> ResourceNotFoundError:
    # Source: recorded (test_url_config_exceptions).
    return ResourceNotFoundError("Function does not exist")


def _missing() -> ResourceNotFoundError:
    # Source: recorded (test_url_config_exceptions).
    return ResourceNotFoundError("The resource you requested does not exist.")
