"""The operations of CodeDeploy on deployment configurations, those that are there from the beginning among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lambent.model.configs.deployment import DeploymentConfig, DeploymentGroup
from lambent.store.contracts import CommitRefusedError
from lambent.triggers.deployments import steps
from lambent.triggers.deployments.control import asking
from lambent.triggers.deployments.control.asking import refused
from lambent.triggers.deployments.names import new_uuid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lambent.clock import Clock
    from lambent.model.caller import Caller
    from lambent.store import Resources

PREDEFINED = "CodeDeployDefault."
# Minutes. Source: user guide, "Predefined deployment configurations for an AWS Lambda compute platform".
_CANARIES = (5, 10, 15, 30)
_LINEARS = (1, 2, 3, 10)
_PERCENT = 10
# Source: API reference, TimeBasedCanary: between two shifts at most two days.
_MINUTES_MAX = 2_880


class DeploymentConfigs:
    """Scope: cluster; keeps no state, the store does. What is predefined is in every account."""

    def __init__(self, resources: Resources, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        self._resources = resources
        self._clock = clock
        self._random_bytes = random_bytes

    async def create_deployment_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Make a configuration for Lambda; what is for servers or ECS is refused."""
        name = asking.named(request.get("deploymentConfigName"), "DeploymentConfig")
        if name.startswith(PREDEFINED):
            text = f"A deployment configuration must not begin with {PREDEFINED}"
            raise refused("InvalidDeploymentConfigName", text)
        platform = request.get("computePlatform", "Server")
        if platform != "Lambda":
            text = f"The computePlatform {platform} is not served here. The computePlatform should be Lambda."
            raise refused("InvalidComputePlatform", text)
        kind, percentage, minutes = _routing(request.get("trafficRoutingConfig"))
        made = DeploymentConfig(
            caller.account_id,
            caller.region,
            name,
            new_uuid(self._random_bytes),
            new_uuid(self._random_bytes),
            self._clock.time_ms(),
            kind,
            percentage,
            minutes,
        )
        try:
            await self._resources.commit(self._resources.put_new(made))
        except CommitRefusedError as error:
            text = f"A deployment configuration already exists with the name: {name}"
            raise refused("DeploymentConfigAlreadyExists", text) from error
        return {"deploymentConfigId": made.config_id}

    async def get_deployment_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a configuration."""
        name = asking.named(request.get("deploymentConfigName"), "DeploymentConfig")
        return {"deploymentConfigInfo": _described(await self.config(caller, name))}

    async def list_deployment_configs(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a page of names."""
        made = await asking.all_of(self._resources, DeploymentConfig, caller)
        names = sorted([*predefined(caller), *(one.name for one in made)])
        shown, token = asking.cut(names, request.get("nextToken"))
        return {"deploymentConfigsList": shown, "nextToken": token}

    async def delete_deployment_config(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Remove a configuration that no group uses; one that is not there is no error."""
        name = asking.named(request.get("deploymentConfigName"), "DeploymentConfig")
        if name.startswith(PREDEFINED):
            raise refused("InvalidOperation", "An invalid operation was detected.")
        found = await self._resources.get(DeploymentConfig, caller.account_id, caller.region, name)
        if found is None:
            return {}
        groups = await asking.all_of(self._resources, DeploymentGroup, caller)
        if any(one.config_name == name for one in groups):
            raise refused("DeploymentConfigInUse", "The deployment configuration is still in use.")
        await self._resources.commit(self._resources.delete(found, is_any_revision=True))
        return {}

    async def config(self, caller: Caller, name: str) -> DeploymentConfig:
        """Return a configuration. Raises DeploymentConfigDoesNotExistException."""
        found = predefined(caller).get(name) or await self._resources.get(
            DeploymentConfig, caller.account_id, caller.region, name
        )
        if found is None:
            raise refused("DeploymentConfigDoesNotExist", f"No deployment configuration found for name: {name}")
        return found


def predefined(caller: Caller) -> dict[str, DeploymentConfig]:
    """Return the predefined configurations for Lambda by their names."""
    account_id, region = caller.account_id, caller.region
    rows = [("AllAtOnce", steps.ALL_AT_ONCE, 100, 0)]
    rows += [(f"Canary10Percent{one}Minutes", steps.CANARY, _PERCENT, one) for one in _CANARIES]
    rows += [
        (f"Linear10PercentEvery{one}Minute{'s' if one > 1 else ''}", steps.LINEAR, _PERCENT, one) for one in _LINEARS
    ]
    found = {}
    for row_name, kind, percentage, minutes in rows:
        name = f"{PREDEFINED}Lambda{row_name}"
        found[name] = DeploymentConfig(account_id, region, name, "", name, 0, kind, percentage, minutes)
    return found


def _routing(given: Mapping[str, Any] | None) -> tuple[str, int, int]:
    kind = (given or {}).get("type")
    if given is None or kind is None:
        raise _invalid("A traffic routing configuration is required for the compute platform Lambda.")
    if kind == steps.ALL_AT_ONCE:
        return kind, 100, 0
    if kind not in (steps.CANARY, steps.LINEAR):
        raise _invalid("The traffic routing type should be AllAtOnce, TimeBasedCanary or TimeBasedLinear.")
    word = "canary" if kind == steps.CANARY else "linear"
    shift = given.get(f"timeBased{word.title()}") or {}
    percentage, minutes = shift.get(f"{word}Percentage"), shift.get(f"{word}Interval")
    if percentage is None or not 1 <= percentage <= 99:
        raise _invalid(f"The {word} percentage must be between 1 and 99.")
    if minutes is None or not 1 <= minutes <= _MINUTES_MAX:
        raise _invalid(f"The {word} interval must be between 1 and {_MINUTES_MAX} minutes.")
    return kind, percentage, minutes


def _invalid(text: str) -> Exception:
    return refused("InvalidTrafficRoutingConfiguration", text)


def _described(found: DeploymentConfig) -> dict[str, Any]:
    routing: dict[str, Any] = {"type": found.kind}
    if found.kind != steps.ALL_AT_ONCE:
        word = "canary" if found.kind == steps.CANARY else "linear"
        routing[f"timeBased{word.title()}"] = {
            f"{word}Percentage": found.percentage,
            f"{word}Interval": found.interval_minutes,
        }
    return {
        "deploymentConfigId": found.config_id,
        "deploymentConfigName": found.name,
        "createTime": asking.seconds(found.created_ms),
        "computePlatform": "Lambda",
        "trafficRoutingConfig": routing,
    }
