"""From requests to new values of a FunctionVersion: defaults on creation, members that were given on update."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from lambent.functions import rules
from lambent.functions.definition import images, isolation
from lambent.functions.definition.runtimes import check_runtime
from lambent.model.configs.tags import check_tags
from lambent.model.errors import InvalidParameterValueError
from lambent.model.function import (
    CodeReference,
    FileSystemConfig,
    FunctionVersion,
    PackageType,
    VpcConfig,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lambent.model.arn import FunctionArn
    from lambent.wire.generated import shared as shapes
    from lambent.wire.generated.create_function import CreateFunctionRequest
    from lambent.wire.generated.update_function_configuration import UpdateFunctionConfigurationRequest

T = TypeVar("T")

_DEAD_LETTER_SERVICES = frozenset(("sqs", "sns"))

# Stands in a value that is being built until the package is known, and where there is none but an image.
NO_CODE = CodeReference(sha256="", size_bytes=0, unpacked_bytes=0)


def new_function(
    request: CreateFunctionRequest, arn: FunctionArn, *, refuse_deprecated: bool, is_system: bool = False
) -> FunctionVersion:
    """Return the function that CreateFunction asks for, without code, ids and time. `is_system`: see check_tags.

    Raises:
        ValidationError, InvalidParameterValueError: AWS would refuse it (400).
        NotImplementedHereError: it needs what Lambent does not have yet (501).
    """
    _refuse_unfinished(request)
    rules.check_publish_to(request.publish_to)
    images.check_creation(request)
    if request.runtime:
        check_runtime(request.runtime, refuse_deprecated=refuse_deprecated)
    check_tags(request.tags or {}, is_system=is_system)
    start = FunctionVersion(
        account_id=arn.account_id,
        region=arn.region,
        name=arn.name,
        role=request.role,
        package_type=PackageType(request.package_type or PackageType.ZIP),
        runtime=request.runtime or None,
        handler=request.handler or None,
        code=NO_CODE,
        image_uri=request.code.image_uri,
        durable=isolation.durable_of(request.durable_config, None),
        tenant_isolation_mode=isolation.tenant_mode_of(request.tenancy_config),
        configuration_id="",
        revision_id="",
        last_modified_ms=0,
        source_kms_key_arn=request.code.source_kms_key_arn,
    )
    if request.architectures:
        start = replace(start, architecture=request.architectures[0])
    return _with_settings(start, request)


def updated_function(
    current: FunctionVersion, request: UpdateFunctionConfigurationRequest, *, refuse_deprecated: bool
) -> FunctionVersion:
    """Return the function after UpdateFunctionConfiguration, without new ids and time. Raises as `new_function`."""
    rules.refuse_unfinished(
        CapacityProviderConfig=request.capacity_provider_config,
        RuntimeConfig=request.runtime_config,
        AcceleratorConfig=request.accelerator_config,
    )
    images.check_update(current, request)
    renewed = replace(current, durable=isolation.changed_durable(request.durable_config, current.durable))
    if request.runtime is not None:
        if request.runtime != current.runtime:
            check_runtime(request.runtime, refuse_deprecated=refuse_deprecated)
        renewed = replace(renewed, runtime=request.runtime)
    if request.role is not None:
        renewed = replace(renewed, role=request.role)
    if request.handler is not None:
        renewed = replace(renewed, handler=request.handler)
    return _with_settings(renewed, request)


def _with_settings(
    function: FunctionVersion, request: CreateFunctionRequest | UpdateFunctionConfigurationRequest
) -> FunctionVersion:
    """Return the function with every member of `request` that creation and update share."""
    storage = request.ephemeral_storage
    storage_mib = None if storage is None else storage.size
    rules.check_ranges(request.timeout, request.memory_size, storage_mib)
    rules.check_layers(request.layers or (), function.region)
    apply_on = None if request.snap_start is None else request.snap_start.apply_on
    rules.check_snap_start(apply_on or function.snap_start_apply_on, function.runtime)
    vpc = _vpc(request.vpc_config, function.vpc)
    file_systems = _file_systems(request.file_system_configs, function.file_systems)
    _check_file_systems(file_systems, vpc)
    before = _with_environment(function, request.environment)
    return replace(
        before,
        description=_given_or(request.description, before.description),
        timeout_seconds=_given_or(request.timeout, before.timeout_seconds),
        memory_mib=_given_or(request.memory_size, before.memory_mib),
        ephemeral_storage_mib=_given_or(storage_mib, before.ephemeral_storage_mib),
        logging=rules.merge_logging(request.logging_config, before.logging),
        tracing_mode=_tracing(request.tracing_config) or before.tracing_mode,
        kms_key_arn=_emptied(request.kms_key_arn, before.kms_key_arn),
        dead_letter_target_arn=_dead_letter(request.dead_letter_config, before.dead_letter_target_arn),
        vpc=vpc,
        file_systems=file_systems,
        snap_start_apply_on=apply_on or before.snap_start_apply_on,
        image_config=images.image_config_of(request.image_config, before.image_config),
    )


def _with_environment(function: FunctionVersion, given: shapes.Environment | None) -> FunctionVersion:
    if given is None:
        return function
    variables = given.variables or {}
    rules.check_environment(variables)
    return replace(function, environment=variables, environment_given=True, environment_error=None)


def _refuse_unfinished(request: CreateFunctionRequest) -> None:
    check_storage_mode(request.code.s3_object_storage_mode)
    rules.refuse_unfinished(
        CapacityProviderConfig=request.capacity_provider_config,
        RuntimeConfig=request.runtime_config,
        AcceleratorConfig=request.accelerator_config,
    )


def check_storage_mode(mode: str | None) -> None:
    """Refuse code that stays in the caller's bucket: here it is always copied. Raises NotImplementedHereError (501)."""
    if mode == "REFERENCE":
        rules.refuse_unfinished(S3ObjectStorageMode=mode)


def _given_or(given: T | None, current: T) -> T:
    return current if given is None else given


def _emptied(given: str | None, current: str | None) -> str | None:
    """Return a text that an empty one takes away."""
    return current if given is None else given or None


def _tracing(given: shapes.TracingConfig | None) -> str | None:
    return None if given is None else given.mode


def _dead_letter(given: shapes.DeadLetterConfig | None, current: str | None) -> str | None:
    if given is None:
        return current
    if given.target_arn and given.target_arn.split(":")[2] not in _DEAD_LETTER_SERVICES:
        # Source: API reference, DeadLetterConfig: an SQS queue or an SNS topic.
        raise InvalidParameterValueError(
            f"Invalid dead letter queue ARN: {given.target_arn} is neither an SQS queue nor an SNS topic."
        )
    return given.target_arn or None


def _vpc(given: shapes.VpcConfig | None, current: VpcConfig | None) -> VpcConfig | None:
    if given is None:
        return current
    return VpcConfig(
        tuple(given.subnet_ids or ()), tuple(given.security_group_ids or ()), bool(given.ipv6_allowed_for_dual_stack)
    )


def _file_systems(
    given: Sequence[shapes.FileSystemConfig] | None, current: tuple[FileSystemConfig, ...]
) -> tuple[FileSystemConfig, ...]:
    if given is None:
        return current
    return tuple(
        FileSystemConfig(
            item.arn or "",
            item.local_mount_path or "",
            None if item.s3_files_config is None else item.s3_files_config.direct_s3_read,
        )
        for item in given
    )


def _check_file_systems(file_systems: Sequence[FileSystemConfig], vpc: VpcConfig | None) -> None:
    """Refuse network file systems without a network. Raises InvalidParameterValueError (400). Source: observed."""
    for item in file_systems:
        if ":elasticfilesystem:" in item.arn and (vpc is None or not vpc.subnet_ids):
            raise InvalidParameterValueError(
                f"Function must be configured to execute in a VPC to reference access point {item.arn}."
            )
