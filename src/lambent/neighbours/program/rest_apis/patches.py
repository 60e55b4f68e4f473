"""What a patch makes of a REST API: MiniStack keeps each value as the text it came as, and lists as what they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_COMPRESSION_BYTES_MAX = 10_485_760


class _WrongValueError(Exception):
    """A value that its path does not take; the text is AWS's."""


def whole_patches(module: Any) -> None:
    """Let UpdateRestApi keep numbers, truth values and lists as what they are.

    Source: API Gateway's API reference, "Patch operations": RestApi.
    """
    update = module._update_rest_api

    def update_whole(api_id: str, data: dict[str, Any]) -> Any:
        api = module._rest_apis.get(api_id)
        if api is None:
            return update(api_id, data)
        left = []
        changed: dict[str, Any] = {}
        try:
            for patch in data.get("patchOperations") or ():
                name, _, rest = str(patch.get("path", "")).lstrip("/").partition("/")
                change = _CHANGES.get(name)
                if change is None:
                    left.append(patch)
                else:
                    changed[name] = change(changed.get(name, api.get(name)), patch, rest)
        except _WrongValueError as error:
            return module._v1_error("BadRequestException", str(error), 400)
        api.update(changed)
        return update(api_id, {**data, "patchOperations": left})

    vars(module)["_update_rest_api"] = update_whole


def _compression(_kept: Any, patch: dict[str, Any], _rest: str) -> int | None:
    value = patch.get("value")
    if patch.get("op") == "remove" or value in (None, ""):
        return None
    if not str(value).isdigit() or int(value) > _COMPRESSION_BYTES_MAX:
        raise _WrongValueError(
            f"Invalid minimum compression size, must be between 0 and {_COMPRESSION_BYTES_MAX} or unset"
        )
    return int(value)


def _media_types(kept: Any, patch: dict[str, Any], rest: str) -> list[str]:
    types = list(kept or ())
    named = rest.replace("~1", "/").replace("~0", "~")
    operation = patch.get("op", "replace")
    if operation == "add" and named not in types:
        return [*types, named]
    if operation == "remove":
        return [one for one in types if one != named]
    if operation == "replace":
        return [str(patch.get("value", "")) if one == named else one for one in types]
    return types


def _is_disabled(_kept: Any, patch: dict[str, Any], _rest: str) -> bool:
    return str(patch.get("value")).lower() == "true"


_CHANGES: dict[str, Callable[[Any, dict[str, Any], str], Any]] = {
    "minimumCompressionSize": _compression,
    "binaryMediaTypes": _media_types,
    "disableExecuteApiEndpoint": _is_disabled,
}
