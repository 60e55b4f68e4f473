"""The index: all 91 operations of AWS Lambda, and where each is answered.

A row names the method (the operation in snake case) and its room, `api` for what the door answers itself. A note says
what of it comes later; docs/operations.md is written from these rows, and the notes may only become fewer.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Row(NamedTuple):
    """How one operation is answered: a method of a room's plane, and what is still to come."""

    method: str
    room: str = "functions"
    note: str | None = None


INVOKE = Row(method="invoke", room="api", note="TenantId answers 501 yet")
INVOKE_STREAM = Row(method="invoke_with_response_stream", room="api", note="TenantId answers 501 yet")
_LATER_MEMBERS = "CapacityProviderConfig, RuntimeConfig, AcceleratorConfig answer 501 yet"


def _row(method: str, note: str | None = None) -> Row:
    return Row(method=method, note=note)


def _mapping(method: str) -> Row:
    return Row(method=method, room="events")


def _durable(method: str) -> Row:
    return Row(method=method, room="durable", note="there are no executions: functions cannot be durable yet")


def _scaling(method: str) -> Row:
    return Row(method=method, note="stored; nothing applies it: functions cannot use a capacity provider yet")


OPERATIONS: Mapping[str, Row] = MappingProxyType(
    {
        "AddLayerVersionPermission": _row("add_layer_version_permission"),
        "AddPermission": _row("add_permission"),
        "CheckpointDurableExecution": _durable("checkpoint_durable_execution"),
        "CreateAlias": _row("create_alias"),
        "CreateCapacityProvider": _row("create_capacity_provider", "stored; functions cannot use one yet"),
        "CreateCodeSigningConfig": _row("create_code_signing_config"),
        "CreateEventSourceMapping": _mapping("create_event_source_mapping"),
        "CreateFunction": _row("create_function", _LATER_MEMBERS),
        "CreateFunctionUrlConfig": _row("create_function_url_config"),
        "DeleteAlias": _row("delete_alias"),
        "DeleteCapacityProvider": _row("delete_capacity_provider"),
        "DeleteCodeSigningConfig": _row("delete_code_signing_config"),
        "DeleteDurableExecution": _durable("delete_durable_execution"),
        "DeleteEventSourceMapping": _mapping("delete_event_source_mapping"),
        "DeleteFunction": _row("delete_function"),
        "DeleteFunctionCodeSigningConfig": _row("delete_function_code_signing_config"),
        "DeleteFunctionConcurrency": _row("delete_function_concurrency"),
        "DeleteFunctionEventInvokeConfig": _row("delete_function_event_invoke_config"),
        "DeleteFunctionUrlConfig": _row("delete_function_url_config"),
        "DeleteLayerVersion": _row("delete_layer_version"),
        "DeleteProvisionedConcurrencyConfig": _row("delete_provisioned_concurrency_config"),
        "DeleteResourcePolicy": _row("delete_resource_policy"),
        "GetAccountSettings": _row("get_account_settings"),
        "GetAlias": _row("get_alias"),
        "GetCapacityProvider": _row("get_capacity_provider"),
        "GetCodeSigningConfig": _row("get_code_signing_config"),
        "GetDurableExecution": _durable("get_durable_execution"),
        "GetDurableExecutionHistory": _durable("get_durable_execution_history"),
        "GetDurableExecutionState": _durable("get_durable_execution_state"),
        "GetEventSourceMapping": _mapping("get_event_source_mapping"),
        "GetFunction": _row("get_function"),
        "GetFunctionCodeSigningConfig": _row("get_function_code_signing_config"),
        "GetFunctionConcurrency": _row("get_function_concurrency"),
        "GetFunctionConfiguration": _row("get_function_configuration"),
        "GetFunctionEventInvokeConfig": _row("get_function_event_invoke_config"),
        "GetFunctionRecursionConfig": _row("get_function_recursion_config"),
        "GetFunctionScalingConfig": _scaling("get_function_scaling_config"),
        "GetFunctionUrlConfig": _row("get_function_url_config"),
        "GetLayerVersion": _row("get_layer_version"),
        "GetLayerVersionByArn": _row("get_layer_version_by_arn"),
        "GetLayerVersionPolicy": _row("get_layer_version_policy"),
        "GetPolicy": _row("get_policy"),
        "GetProvisionedConcurrencyConfig": _row("get_provisioned_concurrency_config"),
        "GetResourcePolicy": _row("get_resource_policy"),
        "GetRuntimeManagementConfig": _row("get_runtime_management_config"),
        "Invoke": INVOKE,
        "InvokeAsync": Row("invoke_async", room="events.queue"),
        "InvokeWithResponseStream": INVOKE_STREAM,
        "ListAliases": _row("list_aliases"),
        "ListCapacityProviders": _row("list_capacity_providers"),
        "ListCodeSigningConfigs": _row("list_code_signing_configs"),
        "ListDurableExecutionsByFunction": _durable("list_durable_executions_by_function"),
        "ListEventSourceMappings": _mapping("list_event_source_mappings"),
        "ListFunctionEventInvokeConfigs": _row("list_function_event_invoke_configs"),
        "ListFunctionUrlConfigs": _row("list_function_url_configs"),
        "ListFunctionVersionsByCapacityProvider": _row("list_function_versions_by_capacity_provider"),
        "ListFunctions": _row("list_functions"),
        "ListFunctionsByCodeSigningConfig": _row("list_functions_by_code_signing_config"),
        "ListLayerVersions": _row("list_layer_versions"),
        "ListLayers": _row("list_layers"),
        "ListProvisionedConcurrencyConfigs": _row("list_provisioned_concurrency_configs"),
        "ListTags": _row("list_tags"),
        "ListVersionsByFunction": _row("list_versions_by_function"),
        "PauseDurableExecution": _durable("pause_durable_execution"),
        "PublishLayerVersion": _row("publish_layer_version"),
        "PublishVersion": _row("publish_version"),
        "PutFunctionCodeSigningConfig": _row("put_function_code_signing_config"),
        "PutFunctionConcurrency": _row("put_function_concurrency"),
        "PutFunctionEventInvokeConfig": _row("put_function_event_invoke_config"),
        "PutFunctionRecursionConfig": _row("put_function_recursion_config"),
        "PutFunctionScalingConfig": _scaling("put_function_scaling_config"),
        "PutProvisionedConcurrencyConfig": _row("put_provisioned_concurrency_config"),
        "PutResourcePolicy": _row("put_resource_policy"),
        "PutRuntimeManagementConfig": _row("put_runtime_management_config"),
        "RemoveLayerVersionPermission": _row("remove_layer_version_permission"),
        "RemovePermission": _row("remove_permission"),
        "ResumeDurableExecution": _durable("resume_durable_execution"),
        "SendDurableExecutionCallbackFailure": _durable("send_durable_execution_callback_failure"),
        "SendDurableExecutionCallbackHeartbeat": _durable("send_durable_execution_callback_heartbeat"),
        "SendDurableExecutionCallbackSuccess": _durable("send_durable_execution_callback_success"),
        "StopDurableExecution": _durable("stop_durable_execution"),
        "TagResource": _row("tag_resource"),
        "UntagResource": _row("untag_resource"),
        "UpdateAlias": _row("update_alias"),
        "UpdateCapacityProvider": _row("update_capacity_provider", "stored; functions cannot use one yet"),
        "UpdateCodeSigningConfig": _row("update_code_signing_config"),
        "UpdateEventSourceMapping": _mapping("update_event_source_mapping"),
        "UpdateFunctionCode": _row("update_function_code"),
        "UpdateFunctionConfiguration": _row("update_function_configuration", _LATER_MEMBERS),
        "UpdateFunctionEventInvokeConfig": _row("update_function_event_invoke_config"),
        "UpdateFunctionUrlConfig": _row("update_function_url_config"),
    }
)
