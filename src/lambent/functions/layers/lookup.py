"""Which layer version somebody means, and whether the caller may see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from lambent.model.errors import AccessDeniedError, InvalidParameterValueError, ResourceNotFoundError
from lambent.model.function import LayerReference
from lambent.model.layer import LayerArn, LayerPolicy, LayerVersion, parse_layer
from lambent.model.quotas import UNPACKED_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lambent.model.caller import Caller
    from lambent.model.function import FunctionVersion
    from lambent.store import Resources

_READ = "lambda:GetLayerVersion"


class LayerLookup:
    """Finds layer versions across the accounts of this installation. Keeps no state."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def readable(self, caller: Caller, arn: LayerArn) -> LayerVersion | None:
        """Return a version that the caller may read; None when its own account or one that let it has none.

        Raises:
            AccessDeniedError: it is another account's, which did not let the caller (403): whether it is there or not.
        """
        assert arn.version is not None
        if arn.account_id != caller.account_id:
            policy = await self._resources.get(LayerPolicy, arn.account_id, arn.region, arn.name, arn.version)
            if policy is None or not any(item.allows(caller.account_id) for item in policy.statements):
                raise denied(caller, arn, _READ)
        return await self._resources.get(LayerVersion, arn.account_id, arn.region, arn.name, arn.version)

    async def given(self, caller: Caller, function: FunctionVersion, arns: Sequence[str] | None) -> FunctionVersion:
        """Return the function with these layers, in order; as it is when the request names none.

        Raises:
            InvalidParameterValueError: one does not exist (400).
            AccessDeniedError: see `readable` (403).
        Source: recorded (test_layer_function_exceptions).
        """
        if arns is None:
            return function
        found = []
        for text in arns:
            arn = parse_layer(text, account_id=caller.account_id, region=caller.region)
            is_whole = arn is not None and arn.version is not None
            version = await self.readable(caller, arn) if arn is not None and is_whole else None
            if version is None:
                raise InvalidParameterValueError(f"Layer version {text} does not exist.")
            found.append(LayerReference(text, version.code))
        return replace(function, layers=tuple(found))


def check_unpacked_size(function: FunctionVersion) -> None:
    """Refuse code and layers that are too large together.

    Raises:
        InvalidParameterValueError: more than 262,144,000 bytes unpacked (400).
    Source: developer guide, quotas; observed texts.
    """
    layers_bytes = sum(layer.code.unpacked_bytes for layer in function.layers)
    if layers_bytes > UNPACKED_BYTES.value:
        raise InvalidParameterValueError(f"Layers consume more than the available size of {UNPACKED_BYTES.value} bytes")
    all_bytes = function.code.unpacked_bytes + layers_bytes
    if all_bytes > UNPACKED_BYTES.value:
        raise InvalidParameterValueError(
            "Function code combined with layers exceeds the maximum allowed size of "
            f"{UNPACKED_BYTES.value} bytes. The actual size is {all_bytes} bytes."
        )


def own_layer(caller: Caller, reference: str, action: str) -> LayerArn:
    """Return the layer of the caller's account that a name or ARN means; without version.

    Raises:
        AccessDeniedError: it is another account's (403).
        ResourceNotFoundError: it is in another region (404).
    """
    arn = parse_layer(reference, account_id=caller.account_id, region=caller.region)
    if arn is None or arn.region != caller.region:
        raise not_found()
    if arn.account_id != caller.account_id:
        raise denied(caller, arn, action)
    return LayerArn(arn.account_id, arn.region, arn.name)


def not_found() -> ResourceNotFoundError:
    """Return the error about a layer version that is not there. Source: recorded (test_layer_exceptions)."""
    return ResourceNotFoundError("The resource you requested does not exist.")


def denied(caller: Caller, arn: LayerArn, action: str) -> AccessDeniedError:
    """Return the error about another account's layer. Source: observed."""
    return AccessDeniedError(
        f"User: {caller.principal_arn} is not authorized to perform: {action} on resource: {arn} "
        f"because no resource-based policy allows the {action} action"
    )
