"""How a deployment ends: its own record, its group's, and the deployment that takes it back, in one commit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from msgspec.structs import replace

from lambent.model.configs.deployment import Deployment, DeploymentGroup
from lambent.triggers.deployments import steps
from lambent.triggers.deployments.names import deployment_id, new_uuid
from lambent.triggers.deployments.revisions import AppSpec, written

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.store import Resources
    from lambent.store.contracts import Write

ON_FAILURE = "DEPLOYMENT_FAILURE"
ON_ALARM = "DEPLOYMENT_STOP_ON_ALARM"
ON_REQUEST = "DEPLOYMENT_STOP_ON_REQUEST"
# Source: observed by others on AWS: whatever shifted the traffic, a rollback takes it back at once.
_ROLLBACK_CONFIG = "CodeDeployDefault.LambdaAllAtOnce"
_CREATOR = "codeDeployRollback"


class Endings:
    """Scope: process; keeps nothing, the store does."""

    def __init__(self, resources: Resources, random_bytes: Callable[[int], bytes]) -> None:
        self._resources = resources
        self._random_bytes = random_bytes

    async def commit(self, known: Deployment, changed: Deployment, *, is_rolling_back: bool) -> Deployment:
        """Keep a deployment that is over, and what takes it back; return it as it was kept.

        Raises:
            CommitRefusedError: it, or its group, was changed meanwhile.
        """
        rollback: Deployment | None = None
        if is_rolling_back and changed.target and not changed.rollback_of:
            rollback = self._rollback(changed)
            changed = replace(
                changed,
                rollback_id=rollback.deployment_id,
                rollback_message=(
                    f"Deployment {changed.deployment_id} terminated. Automatic rollback is triggered with a "
                    f"DeploymentId {rollback.deployment_id}."
                ),
            )
        changed = replace(changed, revision_id=new_uuid(self._random_bytes))
        writes: list[Write] = [self._resources.put_over(changed, known.revision_id)]
        if rollback is not None:
            writes.append(self._resources.put_new(rollback))
        writes += await self._group_writes(changed, rollback)
        await self._resources.commit(*writes)
        return changed

    async def _group_writes(self, changed: Deployment, rollback: Deployment | None) -> list[Write]:
        group = await self._resources.get(
            DeploymentGroup, changed.account_id, changed.region, changed.application, changed.group
        )
        if group is None or group.active != changed.deployment_id:
            return []
        following = "" if rollback is None else rollback.deployment_id
        kept = replace(
            group,
            active=following,
            attempted=following or changed.deployment_id,
            succeeded=changed.deployment_id if changed.status == "Succeeded" else group.succeeded,
            revision_id=new_uuid(self._random_bytes),
        )
        return [self._resources.put_over(kept, group.revision_id)]

    def _rollback(self, deployment: Deployment) -> Deployment:
        now_ms = deployment.completed_ms or deployment.created_ms
        name = deployment_id(self._random_bytes)
        spec = AppSpec(deployment.function, deployment.alias, deployment.target, deployment.current, {})
        revision = {"revisionType": "AppSpecContent", "appSpecContent": {"content": written(spec)}}
        return Deployment(
            deployment.account_id,
            deployment.region,
            name,
            new_uuid(self._random_bytes),
            deployment.application,
            deployment.group,
            _ROLLBACK_CONFIG,
            steps.ALL_AT_ONCE,
            100,
            0,
            json.dumps(revision),
            now_ms,
            now_ms,
            creator=_CREATOR,
            function=deployment.function,
            alias=deployment.alias,
            current=deployment.target,
            target=deployment.current,
            rollback_options=deployment.rollback_options,
            rollback_of=deployment.deployment_id,
            rollback_message=(f"Deployment {name} is triggered to roll back deployment {deployment.deployment_id}."),
        )


def rolls_back_on(deployment: Deployment, event: str) -> bool:
    """Return whether a deployment's automatic rollback is for this event."""
    options = json.loads(deployment.rollback_options)
    return bool(options.get("enabled")) and event in options.get("events", ())
