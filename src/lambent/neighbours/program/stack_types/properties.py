"""Properties of the eleven types: which there are, which replace a resource, and how they become members of requests.

Source: CloudFormation template reference, the page of each type. Names agree with Lambda's API but for those here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Properties = dict[str, Any]

_RENAMED = {"KmsKeyArn": "KMSKeyArn"}


class TypeDescription(NamedTuple):
    """`replacing`: a change of one of these makes a new resource. `required`: without one there is none."""

    properties: frozenset[str]
    required: tuple[str, ...] = ()
    replacing: tuple[str, ...] = ()


def _of(names: str, required: str = "", replacing: str | None = None) -> TypeDescription:
    everything = frozenset(names.split())
    replaced = tuple(sorted(everything)) if replacing is None else tuple(replacing.split())
    assert everything.issuperset(replaced)
    return TypeDescription(everything, tuple(required.split()), replaced)


FUNCTION = "AWS::Lambda::Function"
VERSION = "AWS::Lambda::Version"
ALIAS = "AWS::Lambda::Alias"
PERMISSION = "AWS::Lambda::Permission"
LAYER_VERSION = "AWS::Lambda::LayerVersion"
LAYER_VERSION_PERMISSION = "AWS::Lambda::LayerVersionPermission"
EVENT_SOURCE_MAPPING = "AWS::Lambda::EventSourceMapping"
EVENT_INVOKE_CONFIG = "AWS::Lambda::EventInvokeConfig"
URL = "AWS::Lambda::Url"
CODE_SIGNING_CONFIG = "AWS::Lambda::CodeSigningConfig"
CAPACITY_PROVIDER = "AWS::Lambda::CapacityProvider"

TYPES = {
    FUNCTION: _of(
        "Architectures CapacityProviderConfig Code CodeSigningConfigArn DeadLetterConfig Description DurableConfig "
        "Environment EphemeralStorage FileSystemConfigs FunctionName FunctionScalingConfig Handler ImageConfig "
        "KmsKeyArn Layers LoggingConfig MemorySize PackageType PublishToLatestPublished RecursiveLoop "
        "ReservedConcurrentExecutions Role Runtime RuntimeManagementConfig SnapStart Tags TenancyConfig Timeout "
        "TracingConfig VpcConfig",
        required="Code Role",
        replacing="FunctionName PackageType TenancyConfig",
    ),
    VERSION: _of(
        "CodeSha256 Description FunctionName FunctionScalingConfig ProvisionedConcurrencyConfig RuntimePolicy",
        required="FunctionName",
        replacing="CodeSha256 Description FunctionName ProvisionedConcurrencyConfig RuntimePolicy",
    ),
    ALIAS: _of(
        "Description FunctionName FunctionVersion Name ProvisionedConcurrencyConfig RoutingConfig",
        required="FunctionName FunctionVersion Name",
        replacing="FunctionName Name",
    ),
    PERMISSION: _of(
        "Action EventSourceToken FunctionName FunctionUrlAuthType InvokedViaFunctionUrl Principal PrincipalOrgID "
        "SourceAccount SourceArn",
        required="Action FunctionName Principal",
    ),
    LAYER_VERSION: _of(
        "CompatibleArchitectures CompatibleRuntimes Content Description LayerName LicenseInfo", required="Content"
    ),
    LAYER_VERSION_PERMISSION: _of(
        "Action LayerVersionArn OrganizationId Principal", required="Action LayerVersionArn Principal"
    ),
    EVENT_SOURCE_MAPPING: _of(
        "AmazonManagedKafkaEventSourceConfig BatchSize BisectBatchOnFunctionError DestinationConfig "
        "DocumentDBEventSourceConfig Enabled EventSourceArn FilterCriteria FunctionName FunctionResponseTypes "
        "KmsKeyArn LoggingConfig MaximumBatchingWindowInSeconds MaximumRecordAgeInSeconds MaximumRetryAttempts "
        "MetricsConfig ParallelizationFactor ProvisionedPollerConfig Queues ScalingConfig SelfManagedEventSource "
        "SelfManagedKafkaEventSourceConfig SourceAccessConfigurations StartingPosition StartingPositionTimestamp "
        "Tags Topics TumblingWindowInSeconds",
        required="FunctionName",
        replacing="EventSourceArn SelfManagedEventSource StartingPosition StartingPositionTimestamp",
    ),
    EVENT_INVOKE_CONFIG: _of(
        "DestinationConfig FunctionName MaximumEventAgeInSeconds MaximumRetryAttempts Qualifier",
        required="FunctionName Qualifier",
        replacing="FunctionName Qualifier",
    ),
    URL: _of(
        "AuthType Cors InvokeMode Qualifier TargetFunctionArn",
        required="AuthType TargetFunctionArn",
        replacing="Qualifier TargetFunctionArn",
    ),
    CODE_SIGNING_CONFIG: _of(
        "AllowedPublishers CodeSigningPolicies Description Tags", required="AllowedPublishers", replacing=""
    ),
    CAPACITY_PROVIDER: _of(
        "CapacityProviderName CapacityProviderScalingConfig InstanceRequirements KmsKeyArn PermissionsConfig "
        "PropagateTags Tags VpcConfig",
        required="PermissionsConfig VpcConfig",
        replacing="CapacityProviderName InstanceRequirements KmsKeyArn PermissionsConfig VpcConfig",
    ),
}

# What a property that a template no longer names goes back to, where leaving it out of a request would keep it.
FUNCTION_DEFAULTS: Properties = {
    "DeadLetterConfig": {"TargetArn": ""},
    "Description": "",
    "Environment": {"Variables": {}},
    "EphemeralStorage": {"Size": 512},
    "FileSystemConfigs": [],
    "ImageConfig": {},
    "KmsKeyArn": "",
    "Layers": [],
    "MemorySize": 128,
    "SnapStart": {"ApplyOn": "None"},
    "Timeout": 3,
    "TracingConfig": {"Mode": "PassThrough"},
    "VpcConfig": {"SecurityGroupIds": [], "SubnetIds": []},
}
EVENT_SOURCE_MAPPING_DEFAULTS: Properties = {
    "BisectBatchOnFunctionError": False,
    "DestinationConfig": {},
    "Enabled": True,
    "FilterCriteria": {},
    "FunctionResponseTypes": [],
    "KmsKeyArn": "",
    "MaximumBatchingWindowInSeconds": 0,
    "MaximumRecordAgeInSeconds": -1,
    "MaximumRetryAttempts": -1,
    "MetricsConfig": {},
    "ParallelizationFactor": 1,
    "ProvisionedPollerConfig": {},
    "ScalingConfig": {},
    "TumblingWindowInSeconds": 0,
}


def problem(type_name: str, logical_id: str, properties: Properties) -> str | None:
    """Return what CloudFormation says of properties that its schema does not have or misses, or None."""
    described = TYPES[type_name]
    found = [f"#: required key [{name}] not found" for name in described.required if name not in properties]
    found += [f"#: extraneous key [{name}] is not permitted" for name in properties if name not in described.properties]
    if not found:
        return None
    return f"Properties validation failed for resource {logical_id} with message:\n" + "\n".join(found)


def members(properties: Properties, *names: str) -> Properties:
    """Return these properties as members of a request: `Tags` as a mapping, names as Lambda spells them."""
    found = {_RENAMED.get(name, name): properties[name] for name in names if properties.get(name) is not None}
    if "Tags" in found:
        found["Tags"] = tag_mapping(found["Tags"])
    return found


def tag_mapping(tags: Any) -> dict[str, str]:
    """Return tags as Lambda has them, by their keys."""
    if isinstance(tags, dict):
        return {str(key): str(value) for key, value in tags.items()}
    return {str(one.get("Key")): str(one.get("Value", "")) for one in tags or () if isinstance(one, dict)}


def weights(routing: Any) -> Properties | None:
    """Return an alias' RoutingConfig as Lambda has it: weights by their versions."""
    if routing is None:
        return None
    listed = routing.get("AdditionalVersionWeights") or ()
    if isinstance(listed, dict):
        return {"AdditionalVersionWeights": listed}
    return {"AdditionalVersionWeights": {str(one.get("FunctionVersion")): one.get("FunctionWeight") for one in listed}}


def changed(old: Properties, new: Properties, names: frozenset[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Return which of these properties differ."""
    return tuple(name for name in sorted(names) if old.get(name) != new.get(name))


def with_defaults(new: Properties, names: tuple[str, ...], defaults: Properties) -> Properties:
    """Return these properties; those that are gone as what they go back to, where that has to be said."""
    return {
        name: new[name] if new.get(name) is not None else defaults[name]
        for name in names
        if new.get(name) is not None or name in defaults
    }
