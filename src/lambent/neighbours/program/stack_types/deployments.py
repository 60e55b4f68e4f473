"""AWS::CodeDeploy's types for Lambda, and the UpdatePolicy CodeDeployLambdaAliasUpdate of aliases.

Source: CloudFormation template reference, the pages of the types and "UpdatePolicy attribute".
"""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import time
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

from lambent.neighbours.program.stack_types.operations import ResourceFailedError, returned_message
from lambent.neighbours.program.stack_types.rows import checked_row

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from lambent.neighbours.program.stack_types.operations import Answered

    Properties = dict[str, Any]
    Made = tuple[str, dict[str, Any]]
    Change = Callable[..., Made]

_log = logging.getLogger("ministack")

_APPLICATION = "AWS::CodeDeploy::Application"
_GROUP = "AWS::CodeDeploy::DeploymentGroup"
_CONFIG = "AWS::CodeDeploy::DeploymentConfig"
_ALIAS = "AWS::Lambda::Alias"
# Properties, those without which there is none, those that make a new resource.
_TYPES = {
    _APPLICATION: ("ApplicationName ComputePlatform Tags", "", "ApplicationName ComputePlatform"),
    _GROUP: (
        "AlarmConfiguration ApplicationName AutoRollbackConfiguration AutoScalingGroups "
        "BlueGreenDeploymentConfiguration Deployment DeploymentConfigName DeploymentGroupName DeploymentStyle "
        "ECSServices Ec2TagFilters Ec2TagSet LoadBalancerInfo OnPremisesInstanceTagFilters OnPremisesTagSet "
        "OutdatedInstancesStrategy ServiceRoleArn Tags TerminationHookEnabled TriggerConfigurations",
        "ApplicationName ServiceRoleArn",
        "ApplicationName DeploymentGroupName",
    ),
    _CONFIG: (
        "ComputePlatform DeploymentConfigName MinimumHealthyHosts TrafficRoutingConfig ZonalConfig",
        "",
        "ComputePlatform DeploymentConfigName MinimumHealthyHosts TrafficRoutingConfig ZonalConfig",
    ),
}
_POLICY = "CodeDeployLambdaAliasUpdate"
_HOOKS = {"BeforeAllowTrafficHook": "BeforeAllowTraffic", "AfterAllowTrafficHook": "AfterAllowTraffic"}
_ACTIVE = ("Created", "Queued", "InProgress")
_POLL_SECONDS = 0.5
_PASSING = frozenset({"ServiceException", "ThrottlingException", "InternalServerException"})
_TRIES = 60
_NUMBERS = frozenset({"canaryInterval", "canaryPercentage", "linearInterval", "linearPercentage"})


class CodeDeploy:
    """CodeDeploy's operations as a stack's handlers use them. Scope: process; keeps nothing. Blocks."""

    def __init__(self, send: Callable[[str, Properties], Answered]) -> None:
        self.send = send

    def call(self, operation: str, **members: Any) -> Properties:
        """Return the answer's members. Raises RefusedError."""
        for _ in range(_TRIES):
            answered = self.send(f"codedeploy:{operation}", members)
            if answered.code not in _PASSING:
                break
            time.sleep(_POLL_SECONDS)
        if answered.code:
            raise RefusedError(answered)
        return answered.members


class RefusedError(ResourceFailedError):
    """An operation was refused. `code`: CodeDeploy's, `text` its words."""

    def __init__(self, answered: Answered) -> None:
        status = f"Status Code: {answered.status}, Request ID: {answered.request_id}"
        inner = f"{answered.text} (Service: CodeDeploy, {status})"
        handler_code = "NotFound" if "DoesNotExist" in answered.code else "InvalidRequest"
        super().__init__(returned_message(inner, "AlreadyExists" if "AlreadyExists" in answered.code else handler_code))
        self.code = answered.code


class Resources:
    """Makes, changes and removes resources of CodeDeploy. Scope: process; keeps nothing."""

    def __init__(self, deploy: CodeDeploy, physical_name: Callable[..., str]) -> None:
        self._call = deploy.call
        self._name = physical_name

    def table(self) -> dict[str, dict[str, Any]]:
        """Return the rows of MiniStack's table."""
        return {
            _APPLICATION: self._row(
                _APPLICATION, self._create_application, self._update_tags, self._delete_application
            ),
            _GROUP: self._row(_GROUP, self._create_group, self._update_group, self._delete_group),
            _CONFIG: self._row(_CONFIG, self._create_config, None, self._delete_config),
        }

    @staticmethod
    def _row(type_name: str, create: Change, update: Change | None, delete: Callable[..., None]) -> Any:
        return checked_row(partial(_check, type_name), create, update, delete)

    def _create_application(self, logical_id: str, properties: Properties, stack: str) -> Made:
        name = properties.get("ApplicationName") or self._name(stack, logical_id, max_len=100)
        self._call("CreateApplication", **_request({**properties, "ApplicationName": name}))
        return name, {}

    def _update_tags(self, name: str, old: Properties, new: Properties) -> Made:
        self._tag(f"application:{name}", old, new)
        return name, {}

    def _delete_application(self, name: str, _properties: Properties) -> None:
        self._call("DeleteApplication", applicationName=name)

    def _create_group(self, logical_id: str, properties: Properties, stack: str) -> Made:
        name = properties.get("DeploymentGroupName") or self._name(stack, logical_id, max_len=100)
        given = {**properties, "DeploymentGroupName": name}
        first = given.pop("Deployment", None)
        self._call("CreateDeploymentGroup", **_request(given))
        if first is not None:
            revision = _request(first.get("Revision") or {})
            where = {"applicationName": properties["ApplicationName"], "deploymentGroupName": name}
            self._call("CreateDeployment", **where, revision=revision)
        return name, {}

    def _update_group(self, name: str, old: Properties, new: Properties) -> Made:
        left_out = ("DeploymentGroupName", "Tags", "Deployment")
        given = {key: value for key, value in new.items() if key not in left_out}
        # What a template no longer says is switched off.
        for gone in ("AlarmConfiguration", "AutoRollbackConfiguration"):
            if gone in old and gone not in new:
                given[gone] = {"Enabled": False}
        self._call("UpdateDeploymentGroup", currentDeploymentGroupName=name, **_request(given))
        self._tag(f"deploymentgroup:{new['ApplicationName']}/{name}", old, new)
        return name, {}

    def _delete_group(self, name: str, properties: Properties) -> None:
        try:
            self._call("DeleteDeploymentGroup", applicationName=properties["ApplicationName"], deploymentGroupName=name)
        except RefusedError as error:
            if error.code != "ApplicationDoesNotExistException":
                raise

    def _create_config(self, logical_id: str, properties: Properties, stack: str) -> Made:
        name = properties.get("DeploymentConfigName") or self._name(stack, logical_id, max_len=100)
        self._call("CreateDeploymentConfig", **_request({**properties, "DeploymentConfigName": name}))
        return name, {}

    def _delete_config(self, name: str, _properties: Properties) -> None:
        self._call("DeleteDeploymentConfig", deploymentConfigName=name)

    def _tag(self, resource: str, old: Properties, new: Properties) -> None:
        # Region and account are those of the caller: the daemon looks at the name alone.
        arn = f"arn:aws:codedeploy:::{resource}"
        kept = {str(one["Key"]) for one in new.get("Tags") or ()}
        gone = [str(one["Key"]) for one in old.get("Tags") or () if str(one["Key"]) not in kept]
        if gone:
            self._call("UntagResource", ResourceArn=arn, TagKeys=gone)
        if new.get("Tags"):
            self._call("TagResource", ResourceArn=arn, Tags=_tags(new["Tags"]))


class AliasShifts:
    """Updates of aliases that CodeDeploy does. Scope: process; what is under way is the daemon's.

    A stack's first creation of an alias, and the way back of a stack, shift nothing: the alias is set.
    """

    def __init__(self, deploy: CodeDeploy, modules: dict[str, ModuleType], stacks: dict[str, Any]) -> None:
        self._call = deploy.call
        self._send = deploy.send
        self._modules = modules
        self._stacks = stacks
        self._policy: ContextVar[Properties | None] = ContextVar("policy", default=None)

    def take_part(self) -> None:
        """Stand around MiniStack's updates from now on."""
        stacks, engine = vars(self._modules["stacks"]), vars(self._modules["engine"])
        row = self._modules["provisioners"]._RESOURCE_HANDLERS[_ALIAS]
        self._update: Change = row["update"]
        row["update"] = self._shifting(self._update)
        stacks["_resource_policy"] = self._noting(stacks["_resource_policy"])
        stacks["_roll_back_operation"] = self._going_back(stacks["_roll_back_operation"])
        engine["_extract_deps"] = _with_policies(engine["_extract_deps"], engine["_intrinsic_references"])

    def _noting(self, asked: Callable[..., str]) -> Callable[..., str]:
        """Before it updates a resource MiniStack asks whether a predecessor stays: then the policy is known here."""

        def noted(definition: Properties | None, attribute: str, *place: Any) -> str:
            if attribute == "UpdateReplacePolicy":
                self._policy.set(self._resolved(definition or {}, place))
            return asked(definition, attribute, *place)

        return noted

    def _going_back(self, go_back: Callable[..., Any]) -> Callable[..., Any]:
        """Before a stack goes back its aliases do: nothing tells of one whose update a crash has cut off."""

        async def going(name: str, stack_id: str, stack: Any, operation: Properties, *others: Any, **named: Any) -> Any:
            self._policy.set(None)
            kept = (operation.get("previous_stack") or {}).get("_resources", {})
            for logical_id, one in kept.items():
                if one.get("ResourceType") == _ALIAS:
                    await asyncio.to_thread(self._set_back, one, name, logical_id)
            return await go_back(name, stack_id, stack, operation, *others, **named)

        return going

    def _set_back(self, resource: Properties, stack: str, logical_id: str) -> None:
        properties, arn = resource["Properties"], resource["PhysicalResourceId"]
        try:
            self._stop(arn)
            found = self._send("GetAlias", {name: properties[name] for name in ("FunctionName", "Name")})
            if not found.code and found.members["FunctionVersion"] != str(properties["FunctionVersion"]):
                self._update(arn, properties, properties, stack, logical_id)
        except ResourceFailedError as error:
            _log.warning("the alias %s does not go back: %s", arn, error)

    def _resolved(self, definition: Properties, place: tuple[Any, ...]) -> Properties | None:
        given = definition.get("UpdatePolicy")
        if definition.get("Type") != _ALIAS or not given:
            return None
        engine: Any = self._modules["engine"]
        policy = engine._resolve_refs(copy.deepcopy(given), *place)
        found = policy.get(_POLICY) if isinstance(policy, dict) else None
        if not isinstance(found, dict):
            return None
        return {name: value for name, value in found.items() if value is not engine._NO_VALUE}

    def _shifting(self, update: Change) -> Change:
        def shifted(
            identifier: str, old: Properties, new: Properties, stack: str, logical_id: str | None = None
        ) -> Made:
            policy = self._policy.get()
            is_moved = str(old.get("FunctionVersion")) != str(new.get("FunctionVersion"))
            if policy is None:
                self._stop(identifier)
            elif is_moved:
                self._shift(identifier, policy, (old, new), stack)
            return update(identifier, old, new, stack, logical_id)

        return shifted

    def _shift(self, arn: str, policy: Properties, change: tuple[Properties, Properties], stack: str) -> None:
        where = {
            "applicationName": policy.get("ApplicationName"),
            "deploymentGroupName": policy.get("DeploymentGroupName"),
        }
        content = json.dumps(_appspec(policy, *change))
        revision = {"revisionType": "AppSpecContent", "appSpecContent": {"content": content}}
        for _ in range(_TRIES):
            try:
                made = self._call("CreateDeployment", **where, revision=revision, externalId=arn)["deploymentId"]
                break
            except RefusedError as error:
                if error.code != "DeploymentLimitExceededException":
                    raise
                refusal = error
            # The way back of the one before is over in a moment.
            time.sleep(_POLL_SECONDS)
        else:
            raise refusal
        is_stopped = False
        while True:
            info = self._call("GetDeployment", deploymentId=made)["deploymentInfo"]
            if info["status"] not in _ACTIVE:
                break
            if not is_stopped and self._stacks.get(stack, {}).get("_cancel_requested"):
                is_stopped = True
                self._stop(arn)
            time.sleep(_POLL_SECONDS)
        if info["status"] != "Succeeded":
            text = info.get("errorInformation", {}).get("message", "")
            raise ResourceFailedError(returned_message(f"{made} failed. {text}", "InternalFailure"))

    def _stop(self, arn: str) -> None:
        """Take back what is still shifting an alias."""
        for name in self._under_way(arn):
            try:
                self._call("StopDeployment", deploymentId=name, autoRollbackEnabled=True)
            except RefusedError as error:
                if error.code != "DeploymentAlreadyCompletedException":
                    raise

    def _under_way(self, arn: str) -> list[str]:
        found = self._call("ListDeployments", externalId=arn, includeOnlyStatuses=list(_ACTIVE))
        names: list[str] = found["deployments"]
        return names


def register(send: Callable[[str, Properties], Answered], modules: dict[str, ModuleType], package: Any) -> None:
    """Let MiniStack's stacks have these types, and shift the traffic of aliases.

    `send` asks the daemon; `modules`: MiniStack's of CloudFormation by their last names. After Lambda's own types.
    """
    deploy = CodeDeploy(send)
    provisioners: Any = modules["provisioners"]
    provisioners._RESOURCE_HANDLERS.update(Resources(deploy, provisioners._physical_name).table())
    for name, (_, _, replacing) in _TYPES.items():
        provisioners._REPLACING_PROPERTIES[name] = tuple(replacing.split())
    for name in (_APPLICATION, _GROUP):
        provisioners._STACK_TAG_PROPERTY[name] = ("Tags", "list")
    stacks = vars(modules["stacks"])
    asked = stacks["_runs_on_worker_thread"]
    stacks["_runs_on_worker_thread"] = lambda name: name in _TYPES or asked(name)
    AliasShifts(deploy, modules, package._stacks).take_part()


def _appspec(policy: Properties, old: Properties, new: Properties) -> Properties:
    properties = {
        "Name": new["FunctionName"],
        "Alias": new["Name"],
        "CurrentVersion": str(old["FunctionVersion"]),
        "TargetVersion": str(new["FunctionVersion"]),
    }
    hooks = [{event: policy[name]} for name, event in _HOOKS.items() if policy.get(name)]
    return {
        "version": 0.0,
        "Resources": [{"function": {"Type": "AWS::Lambda::Function", "Properties": properties}}],
        "Hooks": hooks,
    }


def _with_policies(asked: Callable[..., set[str]], references: Callable[..., Any]) -> Callable[..., set[str]]:
    """Return what a resource depends on, which its policy may name as well."""

    def found(definition: Properties, names: set[str]) -> set[str]:
        own = {name for name, _ in references(definition.get("UpdatePolicy") or {}) if name in names}
        return asked(definition, names) | own

    return found


def _check(type_name: str, logical_id: str, properties: Properties) -> None:
    known, required, _ = _TYPES[type_name]
    found = [f"#: required key [{name}] not found" for name in required.split() if name not in properties]
    found += [f"#: extraneous key [{name}] is not permitted" for name in properties if name not in known.split()]
    if found:
        text = f"Properties validation failed for resource {logical_id} with message:\n" + "\n".join(found)
        raise ResourceFailedError(text)


def _request(properties: Properties) -> Properties:
    """Return properties as members of a request: names begin with a small letter, but those of tags."""
    return {
        _small(name): _tags(value) if name == "Tags" else _member(_small(name), value)
        for name, value in properties.items()
        if value is not None
    }


def _member(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return _request(value)
    if isinstance(value, list):
        return [_member(name, one) for one in value]
    if isinstance(value, str):
        if value.lower() in ("true", "false"):
            return value.lower() == "true"
        if name in _NUMBERS and value.isdecimal():
            return int(value)
    return value


def _tags(tags: Any) -> list[dict[str, str]]:
    return [{"Key": str(one.get("Key")), "Value": str(one.get("Value", ""))} for one in tags]


def _small(name: str) -> str:
    return name[:1].lower() + name[1:]
