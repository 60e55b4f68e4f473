"""What schedules are made of, and what they need of their neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from lambent.clock import Clock
    from lambent.model.arn import FunctionArn
    from lambent.model.invocation import InvocationResult, InvokeRequest, TriggerSource
    from lambent.store import Resources
    from lambent.store.queues.contracts import Leases
    from lambent.wire.client import OutwardClient


class Permits(Protocol):
    """Who holds calls against functions' resource policies, and remembers what was refused."""

    def refusal(self, function: FunctionArn, source: TriggerSource) -> str | None:
        """Return why a source may not call a function, None if it may."""


class TargetParts(NamedTuple):
    """The neighbours. `enqueue(function, payload, name)` takes an event once for each name; it raises LambdaError.

    `knows` raises LambdaError for a function that is not there.
    """

    client: OutwardClient
    enqueue: Callable[[FunctionArn, bytes, str], Awaitable[None]]
    invoke: Callable[[InvokeRequest], AbstractAsyncContextManager[InvocationResult]]
    permits: Permits
    knows: Callable[[FunctionArn], object]


class ScheduleParts(NamedTuple):
    """The neighbours. `leases` None: no other daemon works on the same database.

    `is_timing_rules`: EventBridge is the embedded one, which fires no rule itself. `is_timing_rotations`: so is
    Secrets Manager, which rotates nothing by itself. `has_own_scheduler`: so is the Scheduler, which only
    CloudFormation speaks to.
    """

    resources: Resources
    targets: TargetParts
    leases: Leases | None
    clock: Clock
    random_bytes: Callable[[int], bytes]
    is_timing_rules: bool = True
    has_own_scheduler: bool = True
    is_timing_rotations: bool = True

    def timed_services(self) -> frozenset[str]:
        """Return the services whose rules are timed here."""
        found = (("events", self.is_timing_rules), ("secretsmanager", self.is_timing_rotations))
        return frozenset(name for name, is_timed in found if is_timed)
