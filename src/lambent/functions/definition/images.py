"""Functions made from container images: what AWS lets such a function have, and what it answers about its code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from lambent.model.errors import InvalidParameterValueError
from lambent.model.function import ImageConfig, PackageType
from lambent.wire.generated import get_function
from lambent.wire.generated import shared as shapes

if TYPE_CHECKING:
    from lambent.model.function import FunctionVersion
    from lambent.wire.generated.create_function import CreateFunctionRequest
    from lambent.wire.generated.update_function_code import UpdateFunctionCodeRequest
    from lambent.wire.generated.update_function_configuration import UpdateFunctionConfigurationRequest

# A reference to an image: registry (with a port), repository, tag or digest.
# Source: the distribution project's grammar of references, as the service's own check is not described.
_REFERENCE = re.compile(
    r"(?:[A-Za-z0-9.-]+(?::\d{1,5})?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    r"(?:@sha256:[0-9a-f]{64})?"
)
_REFERENCE_LENGTH_MAX = 1024


def check_creation(request: CreateFunctionRequest) -> None:
    """Refuse members that do not go with the package type.

    Raises:
        InvalidParameterValueError: in AWS's words (400). Source: observed.
    """
    if request.package_type != PackageType.IMAGE.value:
        if not request.runtime or not request.handler:
            raise InvalidParameterValueError(
                "Runtime and Handler are mandatory parameters for functions created with deployment packages."
            )
        if request.code.image_uri is not None:
            # AWS does not see an image as a package.
            raise InvalidParameterValueError("Please provide a source for function code.")
        _refuse_image_config(request.image_config)
        return
    if request.runtime or request.handler or request.layers:
        raise _not_with_images()
    if request.code.image_uri is None:
        raise InvalidParameterValueError("Please provide a source for function code.")
    _check_reference(request.code.image_uri)


def check_update(function: FunctionVersion, request: UpdateFunctionConfigurationRequest) -> None:
    """Refuse members that do not go with the package type. Raises InvalidParameterValueError (400)."""
    if function.package_type is not PackageType.IMAGE:
        _refuse_image_config(request.image_config)
    elif request.runtime or request.handler or request.layers:
        raise _not_with_images()


def with_new_image(function: FunctionVersion, request: UpdateFunctionCodeRequest) -> FunctionVersion:
    """Return the function with the image that UpdateFunctionCode names.

    Raises:
        InvalidParameterValueError: an image for a zip function, or something else for an image function (400).
        Source: recorded (test_lambda_image_crud); observed for a zip function.
    """
    if function.package_type is not PackageType.IMAGE:
        if request.image_uri is not None:
            raise InvalidParameterValueError(
                "Please don't provide ImageUri when updating a function with packageType Zip."
            )
        return function
    if request.image_uri is None:
        raise InvalidParameterValueError("Please provide ImageUri when updating a function with packageType Image.")
    _check_reference(request.image_uri)
    return replace(function, image_uri=request.image_uri, image_manifest=None)


def image_config_of(given: shapes.ImageConfig | None, current: ImageConfig | None) -> ImageConfig | None:
    """Return the overrides after a request: given ones replace all, empty ones take them away. Source: recorded."""
    if given is None:
        return current
    config = ImageConfig(tuple(given.entry_point or ()), tuple(given.command or ()), given.working_directory or None)
    return None if config == ImageConfig() else config


def image_config_shape(config: ImageConfig | None) -> shapes.ImageConfigResponse | None:
    """Return the answer's form. Source: recorded (test_lambda_image_and_image_config_crud)."""
    if config is None:
        return None
    return shapes.ImageConfigResponse(
        image_config=shapes.ImageConfig(
            entry_point=list(config.entry_point) or None,
            command=list(config.command) or None,
            working_directory=config.working_directory,
        )
    )


def code_location(image_uri: str, digest: str | None) -> get_function.FunctionCodeLocation:
    """Return `Code` of GetFunction; `digest` None when no registry was asked. Source: recorded."""
    repository = image_uri.partition("@")[0]
    head, colon, tag = repository.rpartition(":")
    if colon and "/" not in tag:
        repository = head
    return get_function.FunctionCodeLocation(
        repository_type="ECR",
        image_uri=image_uri,
        resolved_image_uri=None if digest is None else f"{repository}@sha256:{digest}",
    )


def _check_reference(image_uri: str) -> None:
    if len(image_uri) > _REFERENCE_LENGTH_MAX or _REFERENCE.fullmatch(image_uri) is None:
        raise InvalidParameterValueError(f"Source image {image_uri} is not valid. Provide a valid source image.")


def _refuse_image_config(config: shapes.ImageConfig | None) -> None:
    # Source: API reference, ImageConfig: "configuration values that override the container image Dockerfile".
    if config is not None and any((config.entry_point, config.command, config.working_directory)):
        raise InvalidParameterValueError("ImageConfig is only for functions with PackageType Image.")


def _not_with_images() -> InvalidParameterValueError:
    return InvalidParameterValueError(
        "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."
    )
