"""The operations of CodeDeploy on deployment groups."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from lambent.model.configs.deployment import Deployment, DeploymentGroup
from lambent.store.contracts import CommitRefusedError
from lambent.triggers.deployments import endings
from lambent.triggers.deployments.control import asking
from lambent.triggers.deployments.control.asking import refused
from lambent.triggers.deployments.names import new_uuid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lambent.model.caller import Caller
    from lambent.store import Resources
    from lambent.store.contracts import Write
    from lambent.triggers.deployments.control.configs import DeploymentConfigs

# Members that are answered as they were given.
_KEPT = (
    "triggerConfigurations",
    "alarmConfiguration",
    "autoRollbackConfiguration",
    "deploymentStyle",
    "outdatedInstancesStrategy",
    "terminationHookEnabled",
)
# Members about servers and containers: a group of Lambda's has none of them.
_FOREIGN = (
    "ec2TagFilters",
    "onPremisesInstanceTagFilters",
    "autoScalingGroups",
    "loadBalancerInfo",
    "ec2TagSet",
    "ecsServices",
    "onPremisesTagSet",
)
# Members that are answered as lists, whoever gave them.
_LISTED = ("ec2TagFilters", "onPremisesInstanceTagFilters", "autoScalingGroups", "triggerConfigurations")
_STYLE = {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"}
_DEFAULT_CONFIG = "CodeDeployDefault.LambdaAllAtOnce"
_ALARMS_MAX = 10
_ALARM_NAME_MAX = 255
_EVENTS = (endings.ON_FAILURE, endings.ON_ALARM, endings.ON_REQUEST)
_TRIES = 5


class DeploymentGroups:
    """Scope: cluster; keeps no state, the store does."""

    def __init__(self, resources: Resources, configs: DeploymentConfigs, random_bytes: Callable[[int], bytes]) -> None:
        self._resources = resources
        self._configs = configs
        self._random_bytes = random_bytes

    async def create_deployment_group(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Make a group of an application."""
        owner = await asking.application(self._resources, caller, request.get("applicationName"))
        name = asking.named(request.get("deploymentGroupName"), "DeploymentGroup")
        config = request.get("deploymentConfigName", _DEFAULT_CONFIG)
        await self._configs.config(caller, config)
        made = DeploymentGroup(
            caller.account_id,
            caller.region,
            owner.name,
            name,
            new_uuid(self._random_bytes),
            new_uuid(self._random_bytes),
            config,
            _role(request.get("serviceRoleArn")),
            json.dumps({"deploymentStyle": _STYLE} | checked(request)),
            asking.tag_pairs(caller, request.get("tags")),
        )
        condition = self._resources.require(owner, is_any_revision=True)
        try:
            await self._resources.commit(self._resources.put_new(made), condition)
        except CommitRefusedError as error:
            await asking.application(self._resources, caller, owner.name)
            raise _taken(name) from error
        return {"deploymentGroupId": made.group_id}

    async def get_deployment_group(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a group."""
        found = await asking.group(
            self._resources, caller, request.get("applicationName"), request.get("deploymentGroupName")
        )
        return {"deploymentGroupInfo": await self._described(found)}

    async def batch_get_deployment_groups(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return groups of an application by name; one that is not there is left out."""
        owner = await asking.application(self._resources, caller, request.get("applicationName"))
        found = []
        for name in asking.batch(request.get("deploymentGroupNames", ())):
            one = await self._resources.get(DeploymentGroup, caller.account_id, caller.region, owner.name, name)
            if one is not None:
                found.append(await self._described(one))
        return {"deploymentGroupsInfo": found}

    async def list_deployment_groups(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a page of names of an application's groups."""
        owner = await asking.application(self._resources, caller, request.get("applicationName"))
        found = await asking.all_of(self._resources, DeploymentGroup, caller, owner.name)
        names, token = asking.cut([one.name for one in found], request.get("nextToken"))
        return {"applicationName": owner.name, "deploymentGroups": names, "nextToken": token}

    async def update_deployment_group(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Change the members that are given; deployments under way go on as they began."""
        changes = checked(request)
        if "deploymentConfigName" in request:
            await self._configs.config(caller, request["deploymentConfigName"])
        for _ in range(_TRIES):
            known = await asking.group(
                self._resources, caller, request.get("applicationName"), request.get("currentDeploymentGroupName")
            )
            changed = replace(
                known,
                name=asking.named(request.get("newDeploymentGroupName", known.name), "DeploymentGroup"),
                revision_id=new_uuid(self._random_bytes),
                config_name=request.get("deploymentConfigName", known.config_name),
                service_role_arn=_role(request.get("serviceRoleArn", known.service_role_arn)),
                options=json.dumps(json.loads(known.options) | changes),
            )
            writes: list[Write] = [self._resources.put_over(changed, known.revision_id)]
            if changed.name != known.name:
                writes = [self._resources.delete(known), self._resources.put_new(changed)]
            try:
                await self._resources.commit(*writes)
            except CommitRefusedError as error:
                if changed.name != known.name and error.key.qualifier == changed.name:
                    raise _taken(changed.name) from error
                # A deployment of the group began or ended.
                continue
            return {}
        raise refused("Throttling", "The deployment group is being changed.")

    async def delete_deployment_group(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Remove a group; one that is not there is no error, and what it began goes on."""
        owner = await asking.application(self._resources, caller, request.get("applicationName"))
        name = asking.named(request.get("deploymentGroupName"), "DeploymentGroup")
        found = await self._resources.get(DeploymentGroup, caller.account_id, caller.region, owner.name, name)
        if found is not None:
            await self._resources.commit(self._resources.delete(found, is_any_revision=True))
        return {"hooksNotCleanedUp": []}

    async def _described(self, found: DeploymentGroup) -> dict[str, Any]:
        attempted = await self._deployment(found, found.attempted)
        succeeded = await self._deployment(found, found.succeeded)
        members = {
            "applicationName": found.application,
            "deploymentGroupId": found.group_id,
            "deploymentGroupName": found.name,
            "deploymentConfigName": found.config_name,
            "serviceRoleArn": found.service_role_arn,
            "computePlatform": "Lambda",
            "targetRevision": None if attempted is None else json.loads(attempted.revision),
            "lastAttemptedDeployment": _last(attempted),
            "lastSuccessfulDeployment": _last(succeeded),
            **{name: [] for name in _LISTED},
            **json.loads(found.options),
        }
        return asking.without_none(members)

    async def _deployment(self, of: DeploymentGroup, name: str) -> Deployment | None:
        return await self._resources.get(Deployment, of.account_id, of.region, name) if name else None


def checked(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a request that a group keeps.

    Raises:
        LambdaError: InvalidAlarmConfig…, AlarmsLimitExceeded…, InvalidAutoRollbackConfig…, InvalidDeploymentStyle…,
            InvalidInputException.
    """
    foreign = next((name for name in _FOREIGN if request.get(name)), None)
    if foreign is not None:
        raise refused("InvalidInput", f"For Lambda deployment groups, {foreign} can not be specified.")
    if "deploymentStyle" in request and dict(request["deploymentStyle"]) != _STYLE:
        text = (
            "Only the deployment type BLUE_GREEN and the deployment option WITH_TRAFFIC_CONTROL are supported by the "
            "compute platform Lambda."
        )
        raise refused("InvalidDeploymentStyle", text)
    check_alarms(request.get("alarmConfiguration"))
    check_rollback(request.get("autoRollbackConfiguration"))
    return {name: request[name] for name in _KEPT if name in request}


def check_alarms(given: Mapping[str, Any] | None) -> None:
    """Refuse alarms that are none. Source: API reference, InvalidAlarmConfigException."""
    if given is None:
        return
    names = [one.get("name", "") for one in given.get("alarms", ())]
    if len(names) > _ALARMS_MAX:
        text = f"The maximum number of alarms for a deployment group ({_ALARMS_MAX}) was exceeded."
        raise refused("AlarmsLimitExceeded", text)
    is_wrong = any(not name or len(name) > _ALARM_NAME_MAX for name in names) or len(set(names)) < len(names)
    if is_wrong or (given.get("enabled") and not names):
        raise refused("InvalidAlarmConfig", "The format of the alarm configuration is invalid.")


def check_rollback(given: Mapping[str, Any] | None) -> None:
    """Refuse an automatic rollback that is none. Source: API reference, InvalidAutoRollbackConfigException."""
    if given is None:
        return
    events = given.get("events", ())
    if (given.get("enabled") and not events) or any(event not in _EVENTS for event in events):
        text = "The automatic rollback configuration was specified in an invalid format."
        raise refused("InvalidAutoRollbackConfig", text)


def _role(arn: str | None) -> str:
    if not arn:
        raise refused("RoleRequired", "The role ID was not specified.")
    if not arn.startswith("arn:"):
        raise refused("InvalidRole", "The service role ARN was specified in an invalid format.")
    return arn


def _taken(name: str) -> Exception:
    return refused("DeploymentGroupAlreadyExists", f"A deployment group already exists with the name: {name}")


def _last(deployment: Deployment | None) -> dict[str, Any] | None:
    if deployment is None:
        return None
    return asking.without_none(
        {
            "deploymentId": deployment.deployment_id,
            "status": deployment.status,
            "createTime": asking.seconds(deployment.created_ms),
            "endTime": asking.seconds(deployment.completed_ms),
        }
    )
