"""Concurrency: who pays for a running invocation and until when, and what a user has reserved or provisioned."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from lambent.model.arn import FunctionArn


class ConcurrencyPool(StrEnum):
    """Which pool paid."""

    UNRESERVED = "unreserved"
    RESERVED = "reserved"
    PROVISIONED = "provisioned"


class LeaseLedger(Protocol):
    """Where a lease is counted."""

    def settling(self, pool: ConcurrencyPool) -> None:
        """A function that holds a lease of this pool has answered."""

    def give_back(self, pool: ConcurrencyPool, *, is_settling: bool) -> None:
        """A lease of this pool has ended."""


class ConcurrencyLease:
    """One unit of concurrency. It belongs to the environment's run: released when that is idle or dead.

    `release` works once; later calls do nothing, so both the environment and the door's block may call it.
    `hand_over` says that an environment now owns it, and leaving the door's block keeps it. `begin_settling` says
    that the function has answered and the environment is about to be idle: the next caller may wait for that.
    """

    __slots__ = ("_is_settling", "_ledger", "is_handed_over", "pool")

    def __init__(self, pool: ConcurrencyPool, ledger: LeaseLedger) -> None:
        self.pool = pool
        self.is_handed_over = False
        self._is_settling = False
        self._ledger: LeaseLedger | None = ledger

    def hand_over(self) -> None:
        """From now on the environment releases it."""
        self.is_handed_over = True

    def begin_settling(self) -> None:
        """The function has answered. Idempotent; nothing after `release`."""
        if self._ledger is not None and not self._is_settling:
            self._is_settling = True
            self._ledger.settling(self.pool)

    def release(self) -> None:
        """Give it back. Idempotent."""
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            ledger.give_back(self.pool, is_settling=self._is_settling)


class ReservedConcurrency(Struct, frozen=True):
    """What PutFunctionConcurrency keeps: both cap and guarantee, in invocations at one time; 0 lets none run."""

    account_id: str
    region: str
    function_name: str
    executions: int
    revision_id: str


class ProvisionedConcurrency(Struct, frozen=True):
    """What PutProvisionedConcurrencyConfig keeps: so many environments for a version or an alias (`qualifier`)."""

    account_id: str
    region: str
    function_name: str
    qualifier: str
    executions: int
    last_modified_ms: int
    revision_id: str

    @property
    def arn(self) -> FunctionArn:
        """The version's or alias's ARN."""
        return FunctionArn(self.account_id, self.region, self.function_name, self.qualifier)


class AllocationStatus(StrEnum):
    """`Status` of provisioned concurrency. Source: service description, ProvisionedConcurrencyStatusEnum."""

    IN_PROGRESS = "IN_PROGRESS"
    READY = "READY"
    FAILED = "FAILED"


class Allocation(Struct, frozen=True):
    """How far provisioned concurrency has come, in environments.

    `allocated` have run their Init; `available` of them wait for an invocation now. `reason` is set when FAILED.
    """

    allocated: int
    available: int
    status: AllocationStatus
    reason: str | None = None


class FunctionScaling(Struct, frozen=True):
    """What PutFunctionScalingConfig keeps for a published version: bounds in environments, None where not given."""

    account_id: str
    region: str
    function_name: str
    qualifier: str
    environments_min: int | None
    environments_max: int | None
    revision_id: str


class ConcurrencyFence(Struct, frozen=True):
    """Written with each change of what an account has reserved in a region: of two at one time, one comes second."""

    account_id: str
    region: str
    name: str
    revision_id: str
