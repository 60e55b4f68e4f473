"""Deployments and their targets in AWS's form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lambent.model.arn import parse_function_name
from lambent.triggers.deployments.control.asking import seconds, without_none

if TYPE_CHECKING:
    from lambent.model.configs.deployment import Deployment, LifecycleEvent

_COUNTED = ("Pending", "InProgress", "Succeeded", "Failed", "Skipped", "Ready")
# A target is in the state of its deployment, in its own words.
_TARGET_STATUSES = {"Created": "Pending", "Queued": "Pending", "Stopped": "Failed"}


def deployment(found: Deployment) -> dict[str, Any]:
    """Return what GetDeployment answers of it."""
    own = _TARGET_STATUSES.get(found.status, found.status)
    error = {"code": found.error_code, "message": found.error_message} if found.error_code else None
    rollback = {
        "rollbackDeploymentId": found.rollback_id or None,
        "rollbackTriggeringDeploymentId": found.rollback_of or None,
        "rollbackMessage": found.rollback_message or None,
    }
    alarms = json.loads(found.alarm_options)
    return without_none(
        {
            "applicationName": found.application,
            "deploymentGroupName": found.group,
            "deploymentConfigName": found.config_name,
            "deploymentId": found.deployment_id,
            "revision": json.loads(found.revision),
            "status": found.status,
            "errorInformation": error,
            "createTime": seconds(found.created_ms),
            "startTime": seconds(found.started_ms),
            "completeTime": seconds(found.completed_ms),
            "deploymentOverview": {name: int(name == own) for name in _COUNTED},
            "description": found.description or None,
            "creator": found.creator,
            "ignoreApplicationStopFailures": False,
            "autoRollbackConfiguration": json.loads(found.rollback_options) or None,
            "updateOutdatedInstancesOnly": False,
            "rollbackInfo": without_none(rollback) or None,
            "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
            "instanceTerminationWaitTimeStarted": False,
            "fileExistsBehavior": "DISALLOW",
            "deploymentStatusMessages": [],
            "computePlatform": "Lambda",
            "externalId": found.external_id or None,
            "overrideAlarmConfiguration": alarms or None,
        }
    )


def target_id(found: Deployment) -> str:
    """Return the id of a deployment's one target: function and alias."""
    return f"{found.function}:{found.alias}"


def target(found: Deployment) -> dict[str, Any]:
    """Return what GetDeploymentTarget answers of it."""
    function = parse_function_name(found.function, account_id=found.account_id, region=found.region)
    members = {
        "deploymentId": found.deployment_id,
        "targetId": target_id(found),
        "targetArn": str(function.unqualified.qualified(found.alias)),
        "status": _TARGET_STATUSES.get(found.status, found.status),
        "lastUpdatedAt": seconds(found.updated_ms),
        "lifecycleEvents": [_event(one) for one in found.events],
        "lambdaFunctionInfo": {
            "functionName": found.function,
            "functionAlias": found.alias,
            "currentVersion": found.current,
            "targetVersion": found.target,
            "targetVersionWeight": found.percent / 100,
        },
    }
    return {"deploymentTargetType": "LambdaTarget", "lambdaTarget": without_none(members)}


def _event(one: LifecycleEvent) -> dict[str, Any]:
    diagnostics = None
    if one.message:
        diagnostics = {"errorCode": "UnknownError", "scriptName": "", "message": one.message, "logTail": ""}
    return without_none(
        {
            "lifecycleEventName": one.name,
            "diagnostics": diagnostics,
            "startTime": seconds(one.started_ms),
            "endTime": seconds(one.ended_ms),
            "status": one.status,
        }
    )
