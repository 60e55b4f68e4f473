"""The contracts of the store. A driver (sqlite/ today) implements them; one suite of tests runs over each driver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from lambent.model.arn import FunctionArn
    from lambent.model.function import FunctionVersion


@dataclass(frozen=True, slots=True)
class FunctionChange:
    """One committed change: the new value of a function version, or None when it was deleted."""

    sequence: int
    arn: FunctionArn
    version: str
    value: FunctionVersion | None


class FunctionStore(Protocol):
    """Functions and their tags. Scope: cluster. Only writer: the room `functions`. After a crash: as committed."""

    async def insert(self, function: FunctionVersion, tags: dict[str, str]) -> None:
        """Commit a new function. Raises ResourceConflictError when the name is taken in that account and region."""

    async def update(self, function: FunctionVersion, *, expected_revision_id: str) -> None:
        """Commit a new value of an existing version. Raises PreconditionFailedError if another writer was first,
        ResourceNotFoundError if it is gone."""

    async def get(self, arn: FunctionArn) -> FunctionVersion | None:
        """Return the version that the qualifier names ($LATEST when None)."""

    async def list_functions(
        self, account_id: str, region: str, *, after_name: str | None, limit: int
    ) -> Sequence[FunctionVersion]:
        """Return up to `limit` $LATEST versions with name > `after_name`, by name."""

    async def list_unsettled(self) -> Sequence[FunctionVersion]:
        """Return the versions that are Pending or whose update is InProgress, of all accounts."""

    async def delete(self, arn: FunctionArn) -> bool:
        """Remove the function and its tags; False when there was none."""

    async def get_tags(self, arn: FunctionArn) -> dict[str, str] | None:
        """Return the function's tags; None when there is no such function."""

    async def put_tags(self, arn: FunctionArn, tags: dict[str, str]) -> None:
        """Replace the function's tags. Raises ResourceNotFoundError when it is gone."""

    async def usage(self, account_id: str, region: str) -> tuple[int, int]:
        """Return (number of functions, bytes of code they hold)."""

    async def code_in_use(self) -> frozenset[str]:
        """Return the sha256 of every package some version refers to."""

    def changes(self) -> AsyncIterator[FunctionChange]:
        """Yield the current content first, then every committed change, in order, without gaps."""
