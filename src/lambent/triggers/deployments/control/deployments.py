"""The operations of CodeDeploy on deployments: begin, tell, stop, and what hook functions answer."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from lambent.model.configs.deployment import Deployment, DeploymentGroup
from lambent.store.contracts import CommitRefusedError
from lambent.triggers.deployments import endings, steps
from lambent.triggers.deployments.control import answers, asking
from lambent.triggers.deployments.control.asking import refused
from lambent.triggers.deployments.control.groups import check_alarms, check_rollback
from lambent.triggers.deployments.names import deployment_id, new_uuid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lambent.clock import Clock
    from lambent.model.caller import Caller
    from lambent.store import Resources
    from lambent.store.contracts import Write
    from lambent.triggers.deployments.control.configs import DeploymentConfigs

_TRIES = 5
# The oldest that are over go when an account has more; the newest of each group stay reachable by it.
_KEPT_MAX = 1_000
_DROPPED_AT_ONCE = 100
_STATUSES = ("Succeeded", "Failed")
_STOPPED = "No more commands will be scheduled for execution in the deployment instances"


class Deployments:
    """Scope: cluster; keeps no state, the store does. What is begun here is done by shifting.py."""

    def __init__(
        self, resources: Resources, configs: DeploymentConfigs, clock: Clock, random_bytes: Callable[[int], bytes]
    ) -> None:
        self._resources = resources
        self._configs = configs
        self._clock = clock
        self._random_bytes = random_bytes
        self._endings = endings.Endings(resources, random_bytes)

    async def create_deployment(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Begin a deployment.

        Raises:
            LambdaError: what is named is not there, the revision has no content, or the group has a deployment under
                way already (DeploymentLimitExceededException).
        """
        for _ in range(_TRIES):
            group = await asking.group(
                self._resources, caller, request.get("applicationName"), request.get("deploymentGroupName")
            )
            made = await self._made(caller, request, group)
            if group.active:
                text = f"The Deployment Group '{group.name}' already has an active Deployment '{group.active}'"
                raise refused("DeploymentLimitExceeded", text)
            begun = replace(
                group,
                active=made.deployment_id,
                attempted=made.deployment_id,
                revision_id=new_uuid(self._random_bytes),
            )
            old = await self._oldest(caller)
            try:
                await self._resources.commit(
                    self._resources.put_over(begun, group.revision_id), self._resources.put_new(made), *old
                )
            except CommitRefusedError:
                continue
            return {"deploymentId": made.deployment_id}
        raise refused("Throttling", "The deployment group is being changed.")

    async def get_deployment(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a deployment."""
        found = await self._existing(caller, request.get("deploymentId"))
        return {"deploymentInfo": answers.deployment(found)}

    async def batch_get_deployments(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return deployments by their ids; one that is not there is left out."""
        found = [await self._found(caller, name) for name in asking.batch(request.get("deploymentIds", ()))]
        return {"deploymentsInfo": [answers.deployment(one) for one in found if one is not None]}

    async def list_deployments(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a page of ids, the newest first: of a group, or of the account."""
        application, name = request.get("applicationName"), request.get("deploymentGroupName")
        if application is not None or name is not None:
            await asking.group(self._resources, caller, application, name)
        found = await asking.all_of(self._resources, Deployment, caller)
        wanted = [one for one in found if application is None or (one.application, one.group) == (application, name)]
        wanted = [one for one in wanted if _is_asked_for(one, request)]
        wanted.sort(key=lambda one: (-one.created_ms, one.rollback_of == "", one.deployment_id))
        names, token = asking.cut([one.deployment_id for one in wanted], request.get("nextToken"))
        return {"deployments": names, "nextToken": token}

    async def stop_deployment(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Stop a deployment; the alias goes back if `autoRollbackEnabled`, or else if the group says so."""
        for _ in range(_TRIES):
            found = await self._existing(caller, request.get("deploymentId"))
            if not found.is_active:
                text = f"The deployment {found.deployment_id} is already complete."
                raise refused("DeploymentAlreadyCompleted", text)
            is_back = request.get("autoRollbackEnabled", endings.rolls_back_on(found, endings.ON_REQUEST))
            text = "The deployment was stopped by a request."
            over = steps.ended(found, "Stopped", "MANUAL_STOP", text, self._clock.time_ms())
            try:
                await self._endings.commit(found, over, is_rolling_back=is_back)
            except CommitRefusedError:
                # It went a step further.
                continue
            return {"status": "Succeeded", "statusMessage": _STOPPED}
        raise refused("Throttling", "The deployment is being changed.")

    async def continue_deployment(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse: deployments of Lambda's wait for nobody."""
        found = await self._existing(caller, request.get("deploymentId"))
        if not found.is_active:
            text = f"The deployment {found.deployment_id} is already complete."
            raise refused("DeploymentAlreadyCompleted", text)
        text = "The deployment does not have a status of Ready and can't continue yet."
        raise refused("DeploymentIsNotInReadyState", text)

    async def put_lifecycle_event_hook_execution_status(
        self, caller: Caller, request: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Take a hook function's answer; the deployment goes on, or ends."""
        status, hook_id = request.get("status"), request.get("lifecycleEventHookExecutionId", "")
        for _ in range(_TRIES):
            found = await self._existing(caller, request.get("deploymentId"))
            if status not in _STATUSES:
                text = (
                    "The result of a Lambda validation function that verifies a lifecycle event is invalid. It should "
                    "return Succeeded or Failed."
                )
                raise refused("InvalidLifecycleEventHookExecutionStatus", text)
            if hook_id in found.hooks_over or (hook_id == found.hook_id and found.hook_status):
                text = "An attempt to return the status of an already completed lifecycle event occurred."
                raise refused("LifecycleEventAlreadyCompleted", text)
            if not hook_id or hook_id != found.hook_id:
                text = (
                    "A lifecycle event hook is invalid. Review the hooks section in your AppSpec file to ensure the "
                    "lifecycle events and hooks functions are valid."
                )
                raise refused("InvalidLifecycleEventHookExecutionId", text)
            answered = replace(found, hook_status=status, revision_id=new_uuid(self._random_bytes))
            try:
                await self._resources.commit(self._resources.put_over(answered, found.revision_id))
            except CommitRefusedError:
                continue
            return {"lifecycleEventHookExecutionId": hook_id}
        raise refused("Throttling", "The deployment is being changed.")

    async def list_deployment_targets(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the one target of a deployment: its function."""
        found = await self._started(caller, request.get("deploymentId"))
        return {"targetIds": [answers.target_id(found)]}

    async def get_deployment_target(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return how far the target of a deployment is."""
        found = await self._started(caller, request.get("deploymentId"))
        return {"deploymentTarget": _target(found, request.get("targetId"))}

    async def batch_get_deployment_targets(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return how far the targets of a deployment are."""
        found = await self._started(caller, request.get("deploymentId"))
        return {"deploymentTargets": [_target(found, name) for name in request.get("targetIds", ())]}

    async def _made(self, caller: Caller, request: Mapping[str, Any], group: DeploymentGroup) -> Deployment:
        config = await self._configs.config(caller, request.get("deploymentConfigName", group.config_name))
        revision = await self._revision(request, group)
        options = json.loads(group.options)
        check_alarms(request.get("overrideAlarmConfiguration"))
        check_rollback(request.get("autoRollbackConfiguration"))
        alarms = request.get("overrideAlarmConfiguration", options.get("alarmConfiguration", {}))
        rollback = request.get("autoRollbackConfiguration", options.get("autoRollbackConfiguration", {}))
        now_ms = self._clock.time_ms()
        return Deployment(
            caller.account_id,
            caller.region,
            deployment_id(self._random_bytes),
            new_uuid(self._random_bytes),
            group.application,
            group.name,
            config.name,
            config.kind,
            config.percentage,
            config.interval_minutes,
            json.dumps(revision),
            now_ms,
            now_ms,
            description=request.get("description", ""),
            alarm_options=json.dumps(alarms),
            rollback_options=json.dumps(rollback),
            # No client can say it; stacks do.
            external_id=request.get("externalId", ""),
        )

    async def _revision(self, request: Mapping[str, Any], group: DeploymentGroup) -> dict[str, Any]:
        revision = request.get("revision")
        if revision is None and group.attempted:
            last = await self._resources.get(Deployment, group.account_id, group.region, group.attempted)
            revision = None if last is None else json.loads(last.revision)
        if revision is None:
            raise refused("RevisionRequired", "The revision ID was not specified.")
        location, text = revision.get("s3Location"), revision.get("appSpecContent") or revision.get("string")
        if location is not None:
            if not location.get("bucket") or not location.get("key"):
                raise refused("InvalidRevision", "The revision was specified in an invalid format.")
            if location.get("bundleType") not in ("YAML", "JSON"):
                raise refused("InvalidRevision", "BundleType must be either YAML or JSON")
        elif text is None or not text.get("content"):
            raise refused("InvalidRevision", "The revision was specified in an invalid format.")
        elif text.get("sha256", "") not in ("", hashlib.sha256(text["content"].encode()).hexdigest()):
            raise refused("InvalidRevision", "The SHA-256 of the content is not the one that was specified.")
        return dict(revision)

    async def _oldest(self, caller: Caller) -> list[Write]:
        count = await self._resources.count(Deployment, caller.account_id, caller.region)
        if count < _KEPT_MAX:
            return []
        found = await asking.all_of(self._resources, Deployment, caller)
        over = sorted((one for one in found if not one.is_active), key=lambda one: one.created_ms)
        return [self._resources.delete(one) for one in over[:_DROPPED_AT_ONCE]]

    async def _existing(self, caller: Caller, name: str | None) -> Deployment:
        if not name:
            raise refused("DeploymentIdRequired", "At least one deployment ID must be specified.")
        if not name.startswith("d-"):
            text = "At least one of the deployment IDs was specified in an invalid format."
            raise refused("InvalidDeploymentId", text)
        found = await self._found(caller, name)
        if found is None:
            raise refused("DeploymentDoesNotExist", f"The deployment {name} could not be found")
        return found

    async def _found(self, caller: Caller, name: str) -> Deployment | None:
        return await self._resources.get(Deployment, caller.account_id, caller.region, name)

    async def _started(self, caller: Caller, name: str | None) -> Deployment:
        found = await self._existing(caller, name)
        if not found.function:
            raise refused("DeploymentNotStarted", "The specified deployment has not started.")
        return found


def _target(found: Deployment, name: str | None) -> dict[str, Any]:
    if not name:
        raise refused("DeploymentTargetIdRequired", "A deployment target ID was not provided.")
    if name not in (answers.target_id(found), found.function):
        text = "The provided target ID does not belong to the attempted deployment."
        raise refused("DeploymentTargetDoesNotExist", text)
    return answers.target(found)


def _is_asked_for(found: Deployment, request: Mapping[str, Any]) -> bool:
    statuses, times = request.get("includeOnlyStatuses"), request.get("createTimeRange") or {}
    if statuses and found.status not in statuses:
        return False
    if "externalId" in request and found.external_id != request["externalId"]:
        return False
    start, end = times.get("start"), times.get("end")
    created = found.created_ms / 1_000
    return (start is None or created >= start) and (end is None or created <= end)
