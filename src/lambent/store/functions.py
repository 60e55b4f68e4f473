"""Functions and their tags, as the control plane reads and writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.model.arn import LATEST
from lambent.model.errors import PreconditionFailedError, ResourceConflictError, ResourceNotFoundError
from lambent.model.function import FunctionTags, FunctionVersion
from lambent.store.contracts import CommitRefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lambent.model.arn import FunctionArn
    from lambent.store.contracts import Write
    from lambent.store.resources import Resources

# AWS's text. Source: recorded (lambda/test_lambda_api.json, test_function_revisions_version_and_alias).
STALE_REVISION = (
    "The Revision Id provided does not match the latest Revision Id. "
    "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
)


class FunctionStore:
    """Functions, versions and tags. Scope: cluster. Only writer: the room `functions`. After a crash: as committed.

    Environment variables are on disk only as AES-256-GCM under the installation's key. `resources` holds the rest.
    """

    def __init__(self, resources: Resources) -> None:
        self.resources = resources

    async def insert(self, function: FunctionVersion, tags: dict[str, str], *others: Write) -> None:
        """Commit a new function, and other writes with it.

        Raises:
            ResourceConflictError: the name is taken in that account and region (409).
            ServiceError: see RecordStore.commit.
        """
        writes: list[Write] = [self.resources.put_new(function)]
        if tags:
            # Most have none: a record less for each of them.
            kept = FunctionTags(function.account_id, function.region, function.name, tags)
            writes.append(self.resources.put_over(kept))
        try:
            await self.resources.commit(*writes, *others)
        except CommitRefusedError as error:
            if error.key.name != function.name:
                # Something else that the function needs changed.
                raise
            raise ResourceConflictError(f"Function already exist: {function.name}") from None

    async def update(self, function: FunctionVersion, *others: Write, expected_revision_id: str) -> None:
        """Commit a new value of an existing version, and other writes with it.

        Raises:
            PreconditionFailedError: another writer was first (412).
            ResourceNotFoundError: it is gone (404).
            ServiceError: see RecordStore.commit.
        """
        try:
            await self.resources.commit(self.resources.put_over(function, expected_revision_id), *others)
        except CommitRefusedError as error:
            if error.found is None:
                raise ResourceNotFoundError(f"Function not found: {function.arn}") from None
            raise PreconditionFailedError(STALE_REVISION) from None

    async def get(self, arn: FunctionArn) -> FunctionVersion | None:
        """Return the version that the qualifier names ($LATEST when None); an alias is not looked up."""
        version = arn.qualifier or LATEST
        return await self.resources.get(FunctionVersion, arn.account_id, arn.region, arn.name, version)

    async def list_functions(
        self, account_id: str, region: str, *, after_name: str | None, limit: int
    ) -> Sequence[FunctionVersion]:
        """Return up to `limit` $LATEST versions with name > `after_name`, by name."""
        return await self.resources.page_of_qualifier(
            FunctionVersion, account_id, region, LATEST, after_name=after_name, limit=limit
        )

    async def list_unsettled(self) -> Sequence[FunctionVersion]:
        """Return the versions that are Pending or whose update is InProgress, of all accounts."""
        return await self.resources.unsettled(FunctionVersion)

    async def delete(self, arn: FunctionArn) -> bool:
        """Remove the function with all that belongs to it; False when there was none."""
        try:
            await self.resources.commit(*self.resources.delete_function(arn))
        except CommitRefusedError:
            return False
        return True

    async def get_tags(self, arn: FunctionArn) -> dict[str, str] | None:
        """Return the function's tags; None when there is no such function."""
        kept = await self.resources.get(FunctionTags, arn.account_id, arn.region, arn.name)
        if kept is not None:
            return dict(kept.tags)
        return None if await self.get(arn.unqualified) is None else {}

    async def usage(self, account_id: str, region: str) -> tuple[int, int]:
        """Return (number of functions, bytes of code storage in use)."""
        count = await self.resources.count(FunctionVersion, account_id, region)
        return count, await self.resources.blob_bytes(account_id, region)

    async def code_in_use(self) -> frozenset[str]:
        """Return the sha256 of every package that some version or layer needs."""
        return await self.resources.blobs_in_use()
