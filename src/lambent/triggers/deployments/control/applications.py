"""The operations of CodeDeploy on applications, and on tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from lambent.model.configs.deployment import DeploymentApplication, DeploymentGroup
from lambent.store.contracts import CommitRefusedError
from lambent.triggers.deployments.control import asking
from lambent.triggers.deployments.control.asking import refused
from lambent.triggers.deployments.names import new_uuid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lambent.clock import Clock
    from lambent.model.caller import Caller
    from lambent.store import Resources
    from lambent.store.contracts import Write

_LAMBDA = "Lambda"


class Applications:
    """Scope: cluster; keeps no state, the store does."""

    def __init__(self, resources: Resources, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        self._resources = resources
        self._clock = clock
        self._random_bytes = random_bytes

    async def create_application(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Make an application for Lambda; what is for servers or ECS is refused."""
        platform = request.get("computePlatform", "Server")
        if platform != _LAMBDA:
            text = f"The computePlatform {platform} is not served here. The computePlatform should be {_LAMBDA}."
            raise refused("InvalidComputePlatform", text)
        name = asking.named(request.get("applicationName"), "Application")
        made = DeploymentApplication(
            caller.account_id,
            caller.region,
            name,
            new_uuid(self._random_bytes),
            new_uuid(self._random_bytes),
            self._clock.time_ms(),
            asking.tag_pairs(caller, request.get("tags")),
        )
        try:
            await self._resources.commit(self._resources.put_new(made))
        except CommitRefusedError as error:
            raise _taken(name) from error
        return {"applicationId": made.application_id}

    async def get_application(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return an application."""
        found = await asking.application(self._resources, caller, request.get("applicationName"))
        return {"application": _described(found)}

    async def batch_get_applications(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return applications by name; one that is not there refuses all."""
        names = asking.batch(request.get("applicationNames", ()))
        found = [await asking.application(self._resources, caller, name) for name in names]
        return {"applicationsInfo": [_described(one) for one in found]}

    async def list_applications(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a page of names."""
        found = await asking.all_of(self._resources, DeploymentApplication, caller)
        names, token = asking.cut([one.name for one in found], request.get("nextToken"))
        return {"applications": names, "nextToken": token}

    async def update_application(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Give an application, and its groups, another name."""
        found = await asking.application(self._resources, caller, request.get("applicationName"))
        name = asking.named(request.get("newApplicationName", found.name), "Application")
        if name == found.name:
            return {}
        groups = await asking.all_of(self._resources, DeploymentGroup, caller, found.name)
        writes: list[Write] = [self._resources.delete(found), self._resources.put_new(self._anew(found, name=name))]
        for one in groups:
            writes += [self._resources.delete(one), self._resources.put_new(self._anew(one, application=name))]
        try:
            await self._resources.commit(*writes)
        except CommitRefusedError as error:
            raise _taken(name) from error
        return {}

    async def delete_application(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Remove an application with its groups; one that is not there is no error."""
        name = asking.named(request.get("applicationName"), "Application")
        found = await self._resources.get(DeploymentApplication, caller.account_id, caller.region, name)
        if found is not None:
            groups = await asking.all_of(self._resources, DeploymentGroup, caller, name)
            await self._resources.commit(
                *(self._resources.delete(one, is_any_revision=True) for one in (found, *groups))
            )
        return {}

    async def list_tags_for_resource(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the tags of an application or a group."""
        found = await self._named(caller, request.get("ResourceArn"))
        return {"Tags": [{"Key": key, "Value": value} for key, value in found.tags]}

    async def tag_resource(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Give an application or a group tags."""
        found = await self._named(caller, request.get("ResourceArn"))
        if not request.get("Tags"):
            raise refused("TagRequired", "A tag was not specified.")
        changed = self._anew(found, tags=asking.tag_pairs(caller, request["Tags"], found.tags))
        await self._resources.commit(self._resources.put_over(changed, found.revision_id))
        return {}

    async def untag_resource(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Take tags away."""
        found = await self._named(caller, request.get("ResourceArn"))
        left = tuple(pair for pair in found.tags if pair[0] not in request.get("TagKeys", ()))
        await self._resources.commit(self._resources.put_over(self._anew(found, tags=left), found.revision_id))
        return {}

    async def _named(self, caller: Caller, arn: str | None) -> Any:  # noqa: ANN401
        if not arn:
            raise refused("ResourceArnRequired", "The ARN of a resource is required, but was not found.")
        parts = arn.split(":", 6)
        if len(parts) != 7 or parts[0] != "arn" or parts[2] != "codedeploy":
            raise refused("InvalidArn", "The specified ARN is not in a valid format.")
        if parts[5] == "application":
            return await asking.application(self._resources, caller, parts[6])
        if parts[5] == "deploymentgroup":
            owner, _, name = parts[6].partition("/")
            return await asking.group(self._resources, caller, owner, name)
        text = (
            "The specified ARN is not supported. For example, it might be an ARN for a resource that is not expected."
        )
        raise refused("ArnNotSupported", text)

    def _anew(self, known: Any, **changes: Any) -> Any:  # noqa: ANN401
        return replace(known, revision_id=new_uuid(self._random_bytes), **changes)


def _taken(name: str) -> Exception:
    return refused("ApplicationAlreadyExists", f"An application already exists with the name: {name}")


def _described(found: DeploymentApplication) -> dict[str, Any]:
    return {
        "applicationId": found.application_id,
        "applicationName": found.name,
        "createTime": asking.seconds(found.created_ms),
        "linkedToGitHub": False,
        "computePlatform": _LAMBDA,
    }
