"""How a function's work is kept apart: executions that are durable, environments for each tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.model.errors import InvalidParameterValueError
from lambent.model.function import DurableConfig
from lambent.wire.generated import shared as shapes

if TYPE_CHECKING:
    from lambent.model.function import FunctionVersion

# Source: developer guide, durable functions, "Retention period".
_RETENTION_DAYS = 14


def durable_of(given: shapes.DurableConfig | None, current: DurableConfig | None) -> DurableConfig | None:
    """Return the configuration after a request: members that are not given stay as they are."""
    if given is None:
        return current
    before = current or DurableConfig(_RETENTION_DAYS)
    return DurableConfig(
        given.retention_period_in_days or before.retention_days,
        given.execution_timeout or before.execution_timeout_seconds,
        before.kms_key_arn if given.kms_key_arn is None else given.kms_key_arn or None,
    )


def changed_durable(given: shapes.DurableConfig | None, current: DurableConfig | None) -> DurableConfig | None:
    """Return the configuration after UpdateFunctionConfiguration.

    Raises:
        InvalidParameterValueError: the function was not created as a durable one (400).
    Source: developer guide, durable functions: only a creation makes one.
    """
    if given is not None and current is None:
        raise InvalidParameterValueError("DurableConfig can only be changed for functions that were created with one.")
    return durable_of(given, current)


def tenant_mode_of(given: shapes.TenancyConfig | None) -> str | None:
    """Return the mode of isolation that CreateFunction asks for; it is never changed afterwards."""
    return None if given is None else given.tenant_isolation_mode


def durable_shape(function: FunctionVersion) -> shapes.DurableConfig | None:
    """Return the answer's form."""
    config = function.durable
    if config is None:
        return None
    return shapes.DurableConfig(
        kms_key_arn=config.kms_key_arn,
        retention_period_in_days=config.retention_days,
        execution_timeout=config.execution_timeout_seconds,
    )


def tenancy_shape(function: FunctionVersion) -> shapes.TenancyConfig | None:
    """Return the answer's form."""
    mode = function.tenant_isolation_mode
    return None if mode is None else shapes.TenancyConfig(tenant_isolation_mode=mode)
