"""Capacity providers: where functions would run on instances of the customer's own."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - the store reads the annotations of what it keeps

from msgspec import Struct


class ProviderVpc(Struct, frozen=True):
    """Networks of a capacity provider."""

    subnet_ids: tuple[str, ...] | None = None
    security_group_ids: tuple[str, ...] | None = None


class ProviderPermissions(Struct, frozen=True):
    """The role that a capacity provider works with."""

    capacity_provider_operator_role_arn: str | None = None


class InstanceRequirements(Struct, frozen=True):
    """Which instances may be taken."""

    architectures: tuple[str, ...] | None = None
    allowed_instance_types: tuple[str, ...] | None = None
    excluded_instance_types: tuple[str, ...] | None = None


class ScalingPolicy(Struct, frozen=True):
    """A metric and the value it is kept at, 0 to 100."""

    predefined_metric_type: str | None = None
    target_value: float | None = None


class ProviderScaling(Struct, frozen=True):
    """How a capacity provider grows."""

    max_v_cpu_count: int | None = None
    scaling_mode: str | None = None
    scaling_policies: tuple[ScalingPolicy, ...] | None = None


class TagPropagation(Struct, frozen=True):
    """Which tags instances get."""

    mode: str | None = None
    explicit_tags: Mapping[str, str] | None = None


class ProviderLogging(Struct, frozen=True):
    """What a capacity provider logs of itself, and where."""

    system_log_level: str | None = None
    log_group: str | None = None


class ProviderTelemetry(Struct, frozen=True):
    """Telemetry of a capacity provider."""

    logging_config: ProviderLogging | None = None


class CapacityProvider(Struct, frozen=True):
    """One capacity provider; members named as in AWS's shape."""

    account_id: str
    region: str
    name: str
    revision_id: str
    last_modified_ms: int
    vpc_config: ProviderVpc
    permissions_config: ProviderPermissions
    instance_requirements: InstanceRequirements | None = None
    capacity_provider_scaling_config: ProviderScaling | None = None
    kms_key_arn: str | None = None
    propagate_tags: TagPropagation | None = None
    telemetry_config: ProviderTelemetry | None = None

    @property
    def arn(self) -> str:
        """`CapacityProviderArn`."""
        return f"arn:aws:lambda:{self.region}:{self.account_id}:capacity-provider:{self.name}"
