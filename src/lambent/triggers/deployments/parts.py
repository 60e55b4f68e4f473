"""What deployments need of their neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lambent.clock import Clock
    from lambent.model.arn import FunctionArn
    from lambent.model.caller import Caller
    from lambent.store import Resources
    from lambent.store.queues.contracts import Leases
    from lambent.wire.client import OutwardClient
    from lambent.wire.generated.get_alias import GetAliasRequest
    from lambent.wire.generated.shared import AliasConfiguration
    from lambent.wire.generated.update_alias import UpdateAliasRequest


class AliasOperations(Protocol):
    """What is asked of the control plane."""

    @property
    def get_alias(self) -> Callable[[Caller, GetAliasRequest], Awaitable[AliasConfiguration]]:
        """GetAlias. Raises LambdaError."""

    @property
    def update_alias(self) -> Callable[[Caller, UpdateAliasRequest], Awaitable[AliasConfiguration]]:
        """UpdateAlias. Raises LambdaError."""


class DeploymentParts(NamedTuple):
    """The neighbours. `enqueue(function, payload, name)` takes an event once for each name; it raises LambdaError.

    `knows` raises LambdaError for a function that is not there. `leases` None: no other daemon works on the same
    database. `client` reaches CloudWatch and S3.
    """

    resources: Resources
    aliases: AliasOperations
    enqueue: Callable[[FunctionArn, bytes, str], Awaitable[None]]
    knows: Callable[[FunctionArn], object]
    client: OutwardClient
    leases: Leases | None
    clock: Clock
    random_bytes: Callable[[int], bytes]
