"""A FunctionVersion as AWS answers it: the shape FunctionConfiguration."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lambent.functions.definition.images import image_config_shape
from lambent.functions.definition.isolation import durable_shape, tenancy_shape
from lambent.model.function import FunctionState, PackageType
from lambent.wire.generated import shared as shapes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lambent.model.arn import FunctionArn
    from lambent.model.function import FileSystemConfig, FunctionVersion, LoggingConfig, VpcConfig

# How many shapes of a list are made before others have their turn: a quarter of a millisecond.
_TURN = 8


def configuration_of(
    function: FunctionVersion, arn: FunctionArn, *, is_listed: bool = False
) -> shapes.FunctionConfiguration:
    """Return the shape; `arn` is what the caller asked for, so with a qualifier if it had one.

    In a list AWS leaves out state, last update and runtime version.
    Source: recorded (lambda/test_lambda_api.json: test_function_lifecycle, test_list_functions).
    """
    # While a function is being created AWS does not speak of updates.
    is_pending = function.state is FunctionState.PENDING
    shows_state, shows_update = not is_listed, not is_listed and not is_pending
    version_arn = None if is_listed else function.runtime_version_arn
    return shapes.FunctionConfiguration(
        function_name=function.name,
        function_arn=str(arn),
        runtime=function.runtime,
        role=function.role,
        handler=function.handler,
        code_size=function.code.size_bytes,
        description=function.description,
        timeout=function.timeout_seconds,
        memory_size=function.memory_mib,
        last_modified=iso_time(function.last_modified_ms),
        code_sha256=code_sha256_of(function),
        version=function.version,
        vpc_config=_vpc(function.vpc),
        dead_letter_config=_dead_letter(function.dead_letter_target_arn),
        environment=_environment(function),
        kms_key_arn=function.kms_key_arn,
        tracing_config=shapes.TracingConfigResponse(mode=function.tracing_mode),
        revision_id=function.revision_id,
        layers=[shapes.Layer(arn=layer.arn, code_size=layer.code.size_bytes) for layer in function.layers] or None,
        state=function.state.value if shows_state else None,
        state_reason=function.state_reason if shows_state else None,
        state_reason_code=function.state_reason_code if shows_state else None,
        last_update_status=function.last_update_status.value if shows_update else None,
        last_update_status_reason=function.last_update_status_reason if shows_update else None,
        last_update_status_reason_code=function.last_update_status_reason_code if shows_update else None,
        file_system_configs=[_file_system(item) for item in function.file_systems] or None,
        package_type=function.package_type.value,
        architectures=[function.architecture],
        ephemeral_storage=shapes.EphemeralStorage(size=function.ephemeral_storage_mib),
        durable_config=durable_shape(function),
        tenancy_config=tenancy_shape(function),
        image_config_response=image_config_shape(function.image_config),
        snap_start=shapes.SnapStartResponse(apply_on=function.snap_start_apply_on, optimization_status="Off"),
        runtime_version_config=_runtime_version(function, version_arn),
        logging_config=_logging(function.logging, function.log_group),
    )


async def listed(versions: Sequence[FunctionVersion], *, is_qualified: bool) -> list[shapes.FunctionConfiguration]:
    """Return the shapes of a list, under qualified ARNs or not."""
    made: list[shapes.FunctionConfiguration] = []
    for number, version in enumerate(versions, 1):
        arn = version.arn.qualified(version.version) if is_qualified else version.arn
        made.append(configuration_of(version, arn, is_listed=True))
        if number % _TURN == 0:
            # A page takes milliseconds: whoever is called meanwhile comes in between.
            await asyncio.sleep(0)
    return made


def code_sha256_of(function: FunctionVersion) -> str | None:
    """Return the hash as AWS writes it: of a package in base64, of an image in hex; None if only a registry knows."""
    if function.package_type is PackageType.IMAGE:
        return function.image_digest
    return base64.b64encode(bytes.fromhex(function.code.sha256)).decode()


def iso_time(time_ms: int) -> str:
    """Return a time as Lambda's API writes it: 2026-01-01T00:00:00.000+0000."""
    seconds, milliseconds = divmod(time_ms, 1000)
    # Half of what a format takes.
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{milliseconds:03d}+0000"


def _environment(function: FunctionVersion) -> shapes.EnvironmentResponse | None:
    if function.environment_error is not None:
        code, message = function.environment_error
        return shapes.EnvironmentResponse(error=shapes.EnvironmentError(error_code=code, message=message))
    if not function.environment and not function.environment_given:
        return None
    return shapes.EnvironmentResponse(variables=dict(function.environment))


def _vpc(vpc: VpcConfig | None) -> shapes.VpcConfigResponse | None:
    if vpc is None:
        return None
    return shapes.VpcConfigResponse(
        subnet_ids=list(vpc.subnet_ids),
        security_group_ids=list(vpc.security_group_ids),
        vpc_id=vpc.vpc_id or "",
        ipv6_allowed_for_dual_stack=vpc.ipv6_allowed_for_dual_stack,
    )


def _dead_letter(target_arn: str | None) -> shapes.DeadLetterConfig | None:
    return None if target_arn is None else shapes.DeadLetterConfig(target_arn=target_arn)


def _file_system(item: FileSystemConfig) -> shapes.FileSystemConfig:
    s3_files = None if item.direct_s3_read is None else shapes.S3FilesConfig(direct_s3_read=item.direct_s3_read)
    return shapes.FileSystemConfig(arn=item.arn, local_mount_path=item.local_mount_path, s3_files_config=s3_files)


def _runtime_version(function: FunctionVersion, arn: str | None) -> shapes.RuntimeVersionConfig | None:
    if arn is None or function.package_type is PackageType.IMAGE:
        return None
    return shapes.RuntimeVersionConfig(runtime_version_arn=arn)


def _logging(logging: LoggingConfig, log_group: str) -> shapes.LoggingConfig:
    return shapes.LoggingConfig(
        log_format=logging.log_format.value,
        application_log_level=logging.application_log_level,
        system_log_level=logging.system_log_level,
        log_group=log_group,
    )
