"""Deployments over a real store, with a clock that is set by hand, an alias that only remembers, and hooks likewise."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from typing import TYPE_CHECKING, Any, cast

import pytest

from lambent.model.caller import Caller
from lambent.model.configs.deployment import Deployment
from lambent.model.errors import LambdaError, ResourceNotFoundError
from lambent.store import InstallationKey, Resources, open_records
from lambent.triggers.deployments.control.operations import CodeDeployOperations
from lambent.triggers.deployments.parts import DeploymentParts
from lambent.triggers.deployments.revisions import Revisions
from lambent.triggers.deployments.shifting import TrafficShifting
from lambent.triggers.schedules.holding import Holding
from lambent.wire.generated.shared import AliasConfiguration, AliasRoutingConfiguration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from lambent.model.arn import FunctionArn
    from lambent.wire.client import OutwardClient, Principal
    from lambent.wire.generated.get_alias import GetAliasRequest
    from lambent.wire.generated.update_alias import UpdateAliasRequest

NEW_YEAR_MS = 1_767_225_600_000
MINUTE_MS = 60_000
ROLE = "arn:aws:iam::000000000000:role/deploys"
CALLER = Caller("000000000000", "us-east-1", "arn:aws:iam::000000000000:root", "r", "http://localhost:4566")
ALL_EVENTS = ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"]


class HandClock:
    """A clock that is set by hand."""

    now_ms = NEW_YEAR_MS

    def time_ms(self) -> int:
        return self.now_ms

    def monotonic_ns(self) -> int:
        return self.now_ms * 1_000_000


class OneAlias:
    """The alias `live` of the function `f`: its version, its weights, and what it has been. `error` refuses once."""

    def __init__(self) -> None:
        self.version = "1"
        self.weights: dict[str, float] = {}
        self.history: list[tuple[str, dict[str, float]]] = []
        self.error: LambdaError | None = None

    async def get_alias(self, caller: Caller, request: GetAliasRequest) -> AliasConfiguration:
        if (request.function_name, request.name) != ("f", "live"):
            raise ResourceNotFoundError(f"Cannot find alias arn: {request.function_name}:{request.name}")
        routing = AliasRoutingConfiguration(additional_version_weights=self.weights)
        return AliasConfiguration(name="live", function_version=self.version, routing_config=routing)

    async def update_alias(self, caller: Caller, request: UpdateAliasRequest) -> AliasConfiguration:
        error, self.error = self.error, None
        if error is not None:
            raise error
        assert request.function_version is not None
        assert request.routing_config is not None
        self.version = request.function_version
        self.weights = dict(request.routing_config.additional_version_weights or {})
        self.history.append((self.version, self.weights))
        return await self.get_alias(caller, cast("GetAliasRequest", request))


class HandAlarms:
    """Alarms that ring when they are told to; `error` is raised as long as it is there."""

    def __init__(self) -> None:
        self.on: set[str] = set()
        self.error: Exception | None = None

    async def ringing(self, names: Sequence[str], principal: Principal) -> list[str]:
        if self.error is not None:
            raise self.error
        return [name for name in names if name in self.on]


class World:
    """One installation's deployments. `restart` forgets what is in memory, as a crash does."""

    def __init__(self, directory: Path) -> None:
        self.clock = HandClock()
        self.alias = OneAlias()
        self.alarms = HandAlarms()
        self.called: list[tuple[str, dict[str, str], str]] = []
        self.queue_error: LambdaError | None = None
        self.records = open_records(directory)
        self._key = InstallationKey.open(directory / "keys")
        self._feeding: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin with what the store has."""
        self.resources = Resources(self.records, self._key)
        parts = DeploymentParts(
            self.resources, self.alias, self._enqueue, self._knows, cast("OutwardClient", None), None, self.clock,
            os.urandom,
        )  # fmt: skip
        revisions = Revisions(cast("OutwardClient", None))
        self.shifting = TrafficShifting(parts, revisions, self.alarms, Holding(None, "me"))
        self.operations = CodeDeployOperations(self.resources, self.clock, os.urandom)
        self._feeding = asyncio.get_running_loop().create_task(self._feed())
        await self.resources.wait_filled()

    async def stop(self) -> None:
        """Forget everything that is not in the store."""
        assert self._feeding is not None
        self._feeding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._feeding

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def pass_ms(self, ms: int, *, step_ms: int = 10_000) -> None:
        """Let time pass in steps, and do what is due at each."""
        end_ms = self.clock.now_ms + ms
        while self.clock.now_ms < end_ms:
            self.clock.now_ms = min(end_ms, self.clock.now_ms + step_ms)
            await self.shifting.do_due()

    async def add_group(self, config: str = "CodeDeployDefault.LambdaCanary10Percent5Minutes", **members: Any) -> None:
        """Make the application `a` and its group `g`, which rolls back on everything."""
        await self.ask("create_application", applicationName="a", computePlatform="Lambda")
        rollback = {"enabled": True, "events": ALL_EVENTS}
        request = {"autoRollbackConfiguration": rollback, **members}
        await self.ask(
            "create_deployment_group", applicationName="a", deploymentGroupName="g", serviceRoleArn=ROLE,
            deploymentConfigName=config, **request,
        )  # fmt: skip

    async def deploy(self, hooks: dict[str, str] | None = None, current: str = "1", target: str = "2") -> str:
        """Begin a deployment and do what is due at once; return its id."""
        revision = {"revisionType": "AppSpecContent", "appSpecContent": {"content": appspec(hooks, current, target)}}
        made = await self.ask("create_deployment", applicationName="a", deploymentGroupName="g", revision=revision)
        await self.shifting.do_due()
        return str(made["deploymentId"])

    async def ask(self, operation: str, **request: Any) -> dict[str, Any]:
        """Call an operation."""
        answer: dict[str, Any] = await getattr(self.operations, operation)(CALLER, request)
        return answer

    async def info(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.ask("get_deployment", deploymentId=name))["deploymentInfo"]
        return found

    async def events(self, name: str) -> list[str]:
        """Return the states of a deployment's three events."""
        [target] = (await self.ask("list_deployment_targets", deploymentId=name))["targetIds"]
        found = await self.ask("get_deployment_target", deploymentId=name, targetId=target)
        return [one["status"] for one in found["deploymentTarget"]["lambdaTarget"]["lifecycleEvents"]]

    async def answer_hook(self, status: str) -> None:
        """Answer the hook that was called last, and do what is due then."""
        _, event, _ = self.called[-1]
        await self.ask(
            "put_lifecycle_event_hook_execution_status", deploymentId=event["DeploymentId"],
            lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"], status=status,
        )  # fmt: skip
        await self.shifting.do_due()

    async def _enqueue(self, function: FunctionArn, payload: bytes, name: str) -> None:
        error, self.queue_error = self.queue_error, None
        if error is not None:
            raise error
        self.called.append((function.name, json.loads(payload), name))

    def _knows(self, function: FunctionArn) -> object:
        if function.name not in ("f", "before", "after") or function.qualifier not in (None, "1", "2", "3"):
            raise ResourceNotFoundError(f"Function not found: {function}")
        return function

    async def _feed(self) -> None:
        async for batch in self.resources.changes():
            for change in batch:
                if change.resource is Deployment:
                    self.shifting.changed(change.key, change.value)


def appspec(hooks: dict[str, str] | None = None, current: str = "1", target: str = "2") -> str:
    """Return an AppSpec for the alias `live` of `f`."""
    properties = {"Name": "f", "Alias": "live", "CurrentVersion": current, "TargetVersion": target}
    document: dict[str, Any] = {
        "version": 0.0,
        "Resources": [{"f": {"Type": "AWS::Lambda::Function", "Properties": properties}}],
    }
    if hooks:
        document["Hooks"] = [{event: name} for event, name in hooks.items()]
    return json.dumps(document)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.start()
    yield made
    await made.stop()
    await made.records.close()
