"""What AWS refuses although its service description allows it, in AWS's words."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from lambent.functions.definition.runtimes import SNAP_START
from lambent.model.errors import InvalidParameterValueError, NotImplementedHereError, ValidationError
from lambent.model.function import LogFormat, LoggingConfig
from lambent.model.quotas import (
    ENVIRONMENT_BYTES,
    EPHEMERAL_STORAGE_MIB_MAX,
    EPHEMERAL_STORAGE_MIB_MIN,
    LAYERS_PER_FUNCTION,
    MEMORY_MIB_MAX,
    MEMORY_MIB_MIN,
    TIMEOUT_SECONDS_MAX,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lambent.wire.generated import shared as shapes

# Source: developer guide, "Defined runtime environment variables", reserved.
_RESERVED_NAMES = frozenset(
    (
        "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_MAX_CONCURRENCY", "AWS_LAMBDA_METADATA_API",
        "AWS_LAMBDA_METADATA_TOKEN", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
    )
)  # fmt: skip

_LAYER_ARN = re.compile(r"arn:[^:]*:lambda:(?P<region>[^:]*):[^:]*:layer:[^:]*:\d+")


def check_ranges(timeout_seconds: int | None, memory_mib: int | None, ephemeral_storage_mib: int | None) -> None:
    """Refuse what only other kinds of compute may have.

    Raises:
        ValidationError: a value is outside an ordinary function's range (400).
    """
    found = [
        *_range("memorySize", memory_mib, MEMORY_MIB_MIN.value, MEMORY_MIB_MAX.value),
        *_range("timeout", timeout_seconds, 1, TIMEOUT_SECONDS_MAX.value),
        *_range(
            "ephemeralStorage.size",
            ephemeral_storage_mib,
            EPHEMERAL_STORAGE_MIB_MIN.value,
            EPHEMERAL_STORAGE_MIB_MAX.value,
        ),
    ]
    if found:
        noun = "error" if len(found) == 1 else "errors"
        raise ValidationError(f"{len(found)} validation {noun} detected: {'; '.join(found)}")


def check_environment(variables: Mapping[str, str]) -> None:
    """Refuse reserved names and more than 4 KB.

    Raises:
        InvalidParameterValueError: in AWS's words (400).
    Source: recorded (TestLambdaSizeLimits); observed for reserved names.
    """
    refused = "Lambda was unable to configure your environment variables because the environment variables you have "
    reserved = [name for name in variables if name in _RESERVED_NAMES]
    if reserved:
        raise InvalidParameterValueError(
            f"{refused}provided contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    measured = json.dumps(dict(variables), separators=(",", ":"), ensure_ascii=False)
    if len(measured.encode("utf-8", "surrogatepass")) > ENVIRONMENT_BYTES.value:
        raise InvalidParameterValueError(f"{refused}provided exceeded the 4KB limit. String measured: {measured}")


def merge_logging(given: shapes.LoggingConfig | None, current: LoggingConfig) -> LoggingConfig:
    """Return the logging configuration after a request; JSON has levels (INFO unless told), text has none.

    Raises:
        InvalidParameterValueError: a level with text (400).
    Source: recorded (TestLoggingConfig); observed for the refusal.
    """
    if given is None:
        return current
    log_format = current.log_format if given.log_format is None else LogFormat(given.log_format)
    log_group = current.log_group if given.log_group is None else given.log_group
    if log_format is LogFormat.TEXT:
        if given.application_log_level is not None or given.system_log_level is not None:
            raise InvalidParameterValueError(
                'LogLevel is not supported when LogFormat is set to "Text". '
                'Remove LogLevel from your request or change the LogFormat to "Json" and try again.'
            )
        return LoggingConfig(log_format, log_group=log_group)
    return LoggingConfig(
        log_format,
        given.application_log_level or current.application_log_level or "INFO",
        given.system_log_level or current.system_log_level or "INFO",
        log_group,
    )


def check_layers(layers: Sequence[str], region: str) -> None:
    """Refuse what no list of layers may be, whether they exist or not.

    Raises:
        InvalidParameterValueError: in AWS's words (400).
    Source: recorded (test_layer_function_exceptions, test_layer_function_quota_exception).
    """
    if len(layers) > LAYERS_PER_FUNCTION.value:
        raise InvalidParameterValueError(f"Cannot reference more than {LAYERS_PER_FUNCTION.value} layers.")
    seen: dict[str, str] = {}
    for layer in layers:
        match = _LAYER_ARN.fullmatch(layer)
        if match is not None and match["region"] not in ("", region):
            raise InvalidParameterValueError(
                f"Layers are not in the same region as the function. Layers are expected to be in region {region}."
            )
        name = layer.rpartition(":")[0]
        if name in seen:
            raise InvalidParameterValueError(
                "Two different versions of the same layer are not allowed to be referenced in the same function. "
                f"{seen[name]} and {layer} are versions of the same layer."
            )
        seen[name] = layer


def check_snap_start(apply_on: str | None, runtime: str | None) -> None:
    """Refuse SnapStart for runtimes without it. Source: observed. Raises InvalidParameterValueError (400)."""
    if apply_on == "PublishedVersions" and runtime not in SNAP_START:
        raise InvalidParameterValueError(
            f"{runtime or 'PackageType Image'} is not supported for SnapStart enabled functions."
        )


def check_publish_to(publish_to: str | None) -> None:
    """Refuse a publication to $LATEST.PUBLISHED: only functions on a capacity provider have one, and none are here.

    Raises:
        InvalidParameterValueError: it is asked for (400).
    Source: developer guide, Lambda Managed Instances, "$LATEST.PUBLISHED version".
    """
    if publish_to is not None:
        raise InvalidParameterValueError("PublishTo is only supported for functions with a CapacityProviderConfig.")


def refuse_unfinished(**members: object) -> None:
    """Refuse members whose feature Lambent does not have yet, rather than to take and forget them.

    Raises:
        NotImplementedHereError: one is not None (501).
    """
    for member, value in members.items():
        if value is not None:
            raise NotImplementedHereError(f"Lambent does not support {member} yet.")


def _range(member: str, value: int | None, low: int, high: int) -> list[str]:
    if value is None or low <= value <= high:
        return []
    bound = f"less than or equal to {high}" if value > high else f"greater than or equal to {low}"
    return [f"Value '{value}' at '{member}' failed to satisfy constraint: Member must have value {bound}"]
