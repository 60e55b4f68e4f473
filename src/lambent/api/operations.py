"""The index: all 91 operations of AWS Lambda, and where each is answered.

A row names the method of the control plane (the operation in snake case, in the room `functions`), or INVOKE for
the door's own file, or says why the operation is not there yet. The list of those may only shrink.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Row(NamedTuple):
    """How one operation is answered: a method of the control plane, or the reason why it is not."""

    method: str | None = None
    missing: str | None = None


INVOKE = Row(method="invoke")


def _row(method: str) -> Row:
    return Row(method=method)


def _missing(what: str) -> Row:
    return Row(missing=f"{what} not implemented yet")


_ALIASES = _missing("aliases are")
_CAPACITY = _missing("capacity providers are")
_CODE_SIGNING = _missing("code signing is")
_CONCURRENCY = _missing("reserved and provisioned concurrency are")
_DURABLE = _missing("durable executions are")
_EVENT_INVOKE = _missing("asynchronous invocation is")
_LAYERS = _missing("layers are")
_MAPPINGS = _missing("event source mappings are")
_RECURSION = _missing("recursion detection is")
_RUNTIME_MANAGEMENT = _missing("runtime management is")
_STREAMING = _missing("response streaming is")
_URLS = _missing("function URLs are")
_VERSIONS = _missing("published versions are")

OPERATIONS: Mapping[str, Row] = MappingProxyType(
    {
        "AddLayerVersionPermission": _LAYERS,
        "AddPermission": _row("add_permission"),
        "CheckpointDurableExecution": _DURABLE,
        "CreateAlias": _ALIASES,
        "CreateCapacityProvider": _CAPACITY,
        "CreateCodeSigningConfig": _CODE_SIGNING,
        "CreateEventSourceMapping": _MAPPINGS,
        "CreateFunction": _row("create_function"),
        "CreateFunctionUrlConfig": _URLS,
        "DeleteAlias": _ALIASES,
        "DeleteCapacityProvider": _CAPACITY,
        "DeleteCodeSigningConfig": _CODE_SIGNING,
        "DeleteDurableExecution": _DURABLE,
        "DeleteEventSourceMapping": _MAPPINGS,
        "DeleteFunction": _row("delete_function"),
        "DeleteFunctionCodeSigningConfig": _CODE_SIGNING,
        "DeleteFunctionConcurrency": _CONCURRENCY,
        "DeleteFunctionEventInvokeConfig": _EVENT_INVOKE,
        "DeleteFunctionUrlConfig": _URLS,
        "DeleteLayerVersion": _LAYERS,
        "DeleteProvisionedConcurrencyConfig": _CONCURRENCY,
        "DeleteResourcePolicy": _row("delete_resource_policy"),
        "GetAccountSettings": _row("get_account_settings"),
        "GetAlias": _ALIASES,
        "GetCapacityProvider": _CAPACITY,
        "GetCodeSigningConfig": _CODE_SIGNING,
        "GetDurableExecution": _DURABLE,
        "GetDurableExecutionHistory": _DURABLE,
        "GetDurableExecutionState": _DURABLE,
        "GetEventSourceMapping": _MAPPINGS,
        "GetFunction": _row("get_function"),
        "GetFunctionCodeSigningConfig": _CODE_SIGNING,
        "GetFunctionConcurrency": _CONCURRENCY,
        "GetFunctionConfiguration": _row("get_function_configuration"),
        "GetFunctionEventInvokeConfig": _EVENT_INVOKE,
        "GetFunctionRecursionConfig": _RECURSION,
        "GetFunctionScalingConfig": _CAPACITY,
        "GetFunctionUrlConfig": _URLS,
        "GetLayerVersion": _LAYERS,
        "GetLayerVersionByArn": _LAYERS,
        "GetLayerVersionPolicy": _LAYERS,
        "GetPolicy": _row("get_policy"),
        "GetProvisionedConcurrencyConfig": _CONCURRENCY,
        "GetResourcePolicy": _row("get_resource_policy"),
        "GetRuntimeManagementConfig": _RUNTIME_MANAGEMENT,
        "Invoke": INVOKE,
        "InvokeAsync": _EVENT_INVOKE,
        "InvokeWithResponseStream": _STREAMING,
        "ListAliases": _ALIASES,
        "ListCapacityProviders": _CAPACITY,
        "ListCodeSigningConfigs": _CODE_SIGNING,
        "ListDurableExecutionsByFunction": _DURABLE,
        "ListEventSourceMappings": _MAPPINGS,
        "ListFunctionEventInvokeConfigs": _EVENT_INVOKE,
        "ListFunctionUrlConfigs": _URLS,
        "ListFunctionVersionsByCapacityProvider": _CAPACITY,
        "ListFunctions": _row("list_functions"),
        "ListFunctionsByCodeSigningConfig": _CODE_SIGNING,
        "ListLayerVersions": _LAYERS,
        "ListLayers": _LAYERS,
        "ListProvisionedConcurrencyConfigs": _CONCURRENCY,
        "ListTags": _row("list_tags"),
        "ListVersionsByFunction": _VERSIONS,
        "PauseDurableExecution": _DURABLE,
        "PublishLayerVersion": _LAYERS,
        "PublishVersion": _VERSIONS,
        "PutFunctionCodeSigningConfig": _CODE_SIGNING,
        "PutFunctionConcurrency": _CONCURRENCY,
        "PutFunctionEventInvokeConfig": _EVENT_INVOKE,
        "PutFunctionRecursionConfig": _RECURSION,
        "PutFunctionScalingConfig": _CAPACITY,
        "PutProvisionedConcurrencyConfig": _CONCURRENCY,
        "PutResourcePolicy": _row("put_resource_policy"),
        "PutRuntimeManagementConfig": _RUNTIME_MANAGEMENT,
        "RemoveLayerVersionPermission": _LAYERS,
        "RemovePermission": _row("remove_permission"),
        "ResumeDurableExecution": _DURABLE,
        "SendDurableExecutionCallbackFailure": _DURABLE,
        "SendDurableExecutionCallbackHeartbeat": _DURABLE,
        "SendDurableExecutionCallbackSuccess": _DURABLE,
        "StopDurableExecution": _DURABLE,
        "TagResource": _row("tag_resource"),
        "UntagResource": _row("untag_resource"),
        "UpdateAlias": _ALIASES,
        "UpdateCapacityProvider": _CAPACITY,
        "UpdateCodeSigningConfig": _CODE_SIGNING,
        "UpdateEventSourceMapping": _MAPPINGS,
        "UpdateFunctionCode": _row("update_function_code"),
        "UpdateFunctionConfiguration": _row("update_function_configuration"),
        "UpdateFunctionEventInvokeConfig": _EVENT_INVOKE,
        "UpdateFunctionUrlConfig": _URLS,
    }
)
