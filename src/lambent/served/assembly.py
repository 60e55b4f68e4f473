"""The services, put together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from lambent.clock import Clock
    from lambent.events import AsyncPlane
    from lambent.functions import ControlPlane
    from lambent.model.arn import FunctionArn
    from lambent.model.invocation import InvocationResult, InvokeRequest
    from lambent.neighbours import Endpoints
    from lambent.store import Resources
    from lambent.store.queues.contracts import Leases
    from lambent.triggers import TriggeredCalls
    from lambent.triggers.deployments import DeploymentPlane
    from lambent.triggers.schedules import SchedulePlane, TargetParts
    from lambent.wire.client import OutwardClient


class ServedParts(NamedTuple):
    """What they need. `leases` None: no other daemon works on the same database. `is_embedding`: there is a child."""

    resources: Resources
    control_plane: ControlPlane
    asynchronous: AsyncPlane
    invoke: Callable[[InvokeRequest], AbstractAsyncContextManager[InvocationResult]]
    knows: Callable[[FunctionArn], object]
    calls: TriggeredCalls
    endpoints: Endpoints
    client: OutwardClient
    leases: Leases | None
    clock: Clock
    is_embedding: bool


class Served(NamedTuple):
    """What was put together. `operations`: what returns each service's, by its name."""

    targets: TargetParts
    schedules: SchedulePlane
    deployments: DeploymentPlane
    operations: dict[str, Callable[[], object]]


def build_served(parts: ServedParts) -> Served:
    """Return the services; one that has an endpoint of its own is not served here."""
    from lambent.triggers.deployments import DeploymentParts, DeploymentPlane
    from lambent.triggers.schedules import ScheduleParts, SchedulePlane, TargetParts

    enqueue, is_configured = parts.asynchronous.invocations.enqueue_once, parts.endpoints.is_configured
    targets = TargetParts(parts.client, enqueue, parts.invoke, parts.calls, parts.knows)
    schedules = SchedulePlane(
        ScheduleParts(
            parts.resources,
            targets,
            parts.leases,
            parts.clock,
            os.urandom,
            is_timing_rules=parts.is_embedding and not is_configured("events"),
            has_own_scheduler=parts.is_embedding and not is_configured("scheduler"),
            is_timing_rotations=parts.is_embedding and not is_configured("secretsmanager"),
        )
    )
    deployments = DeploymentPlane(
        DeploymentParts(
            parts.resources,
            parts.control_plane,
            enqueue,
            parts.knows,
            parts.client,
            parts.leases,
            parts.clock,
            os.urandom,
        )
    )
    own = {"scheduler": schedules.operations, "codedeploy": deployments.operations}
    return Served(targets, schedules, deployments, {name: one for name, one in own.items() if not is_configured(name)})
