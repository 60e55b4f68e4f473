"""The operations of CodeCommit on repositories, triggers and tags. Those on branches and commits are in contents.py."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from lambent.model.configs.repository import Repository
from lambent.model.errors import ServiceError
from lambent.store.contracts import CommitRefusedError
from lambent.triggers.code_commit import checks
from lambent.triggers.code_commit.checks import failed
from lambent.triggers.code_commit.contents import OperationParts, RepositoryContents
from lambent.triggers.code_commit.destinations import UndeliveredError
from lambent.triggers.code_commit.pushes import Change, Push, trial_event_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lambent.model.caller import Caller
    from lambent.model.configs.repository import RepositoryTrigger

__all__ = ["CodeCommitOperations", "OperationParts"]

_TRIES = 5
_PAGE = 100
_BATCH_MAX = 100


class CodeCommitOperations(RepositoryContents):
    """CodeCommit as far as a trigger's user needs it. Scope: cluster; keeps no state, the store and git do.

    Requests and answers are AWS's JSON members by AWS's names. `default_region` is that of paths without a region.
    """

    default_region = ""

    async def create_repository(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Make a repository; it can be pushed to when this returns. Raises RepositoryNameExistsException."""
        now_ms = self._clock.time_ms()
        repository = Repository(
            account_id=caller.account_id,
            region=caller.region,
            name=checks.repository_name(request),
            revision_id=self._new_id(),
            repository_id=self._new_id(),
            created_ms=now_ms,
            modified_ms=now_ms,
            description=checks.description(request),
            kms_key_id=request.get("kmsKeyId"),
            tags=tuple(checks.tags_of(request, {}).items()),
        )
        # Without git, and a place to keep what is pushed, nothing is promised.
        self._git.program()
        await self._place()
        try:
            await self._resources.commit(self._resources.put_new(repository))
        except CommitRefusedError as error:
            raise failed("RepositoryNameExists", f"Repository named {repository.name} already exists.") from error
        await asyncio.to_thread(self._git.make, repository)
        return {"repositoryMetadata": self._described(caller, repository)}

    async def get_repository(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a repository. Raises RepositoryDoesNotExistException."""
        return {"repositoryMetadata": self._described(caller, await self._repository(caller, request))}

    async def batch_get_repositories(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of the named repositories that are there. Raises MaximumRepositoryNamesExceededException."""
        names = request.get("repositoryNames")
        if not names:
            raise failed("RepositoryNamesRequired", "At least one repository name is required.")
        if len(names) > _BATCH_MAX:
            raise failed("MaximumRepositoryNamesExceeded", f"At most {_BATCH_MAX} repositories are named at once.")
        found = {}
        for name in dict.fromkeys(names):
            checks.repository_name({"repositoryName": name})
            found[name] = await self._resources.get(Repository, caller.account_id, caller.region, name)
        missing = [name for name, repository in found.items() if repository is None]
        return {
            "repositories": [self._described(caller, one) for one in found.values() if one is not None],
            "repositoriesNotFound": missing,
            "errors": [
                {
                    "repositoryName": name,
                    "errorCode": "RepositoryDoesNotExistException",
                    "errorMessage": f"{name} does not exist",
                }
                for name in missing
            ],
        }

    async def list_repositories(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return names and ids, a thousand at a time. Raises InvalidSortByException, InvalidOrderException."""
        by, order = request.get("sortBy", "repositoryName"), request.get("order", "ascending")
        if by not in ("repositoryName", "lastModifiedDate"):
            raise failed("InvalidSortBy", f"Repositories are not sorted by {by}.")
        if order not in ("ascending", "descending"):
            raise failed("InvalidOrder", f"There is no order {order}.")
        found: list[Repository] = []
        while True:
            after = (found[-1].name, "") if found else None
            page = await self._resources.page(Repository, caller.account_id, caller.region, after=after, limit=_PAGE)
            found += page
            if len(page) < _PAGE:
                break
        if by == "lastModifiedDate":
            found.sort(key=lambda one: one.modified_ms)
        if order == "descending":
            found.reverse()
        shown, token = _page_of(found, request.get("nextToken"))
        pairs = [{"repositoryName": one.name, "repositoryId": one.repository_id} for one in shown]
        return {"repositories": pairs, "nextToken": token}

    async def delete_repository(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Remove a repository with all that was pushed. One that is not there is none to remove, as on AWS."""
        name = checks.repository_name(request)
        known = await self._resources.get(Repository, caller.account_id, caller.region, name)
        if known is None:
            return {}
        try:
            await self._resources.commit(self._resources.delete(known, is_any_revision=True))
        except CommitRefusedError:
            return {}
        await asyncio.to_thread(self._git.remove, known)
        return {"repositoryId": known.repository_id}

    async def update_repository_description(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Change the description. Raises RepositoryDoesNotExistException."""
        text = checks.description(request)
        await self._change(caller, request, lambda known: replace(known, description=text or None))
        return {}

    async def update_repository_name(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Give a repository another name. Raises RepositoryNameExistsException."""
        known = await self._repository(caller, request, "oldName")
        name = checks.repository_name(request, "newName")
        now_ms = self._clock.time_ms()
        renamed = replace(known, name=name, modified_ms=now_ms, revision_id=self._new_id())
        try:
            await self._resources.commit(self._resources.put_new(renamed), self._resources.delete(known))
        except CommitRefusedError as error:
            raise failed("RepositoryNameExists", f"Repository named {name} already exists.") from error
        await asyncio.to_thread(self._git.move, known, renamed)
        return {}

    async def get_repository_triggers(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the triggers of a repository. Raises RepositoryDoesNotExistException."""
        known = await self._repository(caller, request)
        triggers = [_described_trigger(one) for one in known.triggers]
        return {"configurationId": known.configuration_id, "triggers": triggers}

    async def put_repository_triggers(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Replace the triggers of a repository. Raises what checks.py does."""
        triggers = checks.triggers_of(request, caller.region)
        configuration_id = self._new_id()
        await self._change(
            caller, request, lambda known: replace(known, triggers=triggers, configuration_id=configuration_id)
        )
        return {"configurationId": configuration_id}

    async def test_repository_triggers(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send each of the given triggers an event of its own kind; return which took it."""
        triggers = checks.triggers_of(request, caller.region)
        known = await self._repository(caller, request)
        tried = replace(known, configuration_id=known.configuration_id or self._new_id())
        successful, unsuccessful = [], []
        for trigger in triggers:
            push = await self._trial(caller, known, trigger)
            event = trial_event_of(tried, trigger, push)
            try:
                await self._destinations.tell(tried, trigger, event, self._new_id())
            except UndeliveredError as error:
                unsuccessful.append({"trigger": trigger.name, "failureMessage": str(error)})
            else:
                successful.append(trigger.name)
        return {"successfulExecutions": successful, "failedExecutions": unsuccessful}

    async def list_tags_for_resource(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a repository's tags. Raises RepositoryDoesNotExistException."""
        return {"tags": dict((await self._repository(caller, _named(request))).tags)}

    async def tag_resource(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Add tags to a repository. Raises RepositoryDoesNotExistException, TooManyTagsException."""

        def changed(known: Repository) -> Repository:
            return replace(known, tags=tuple(checks.tags_of(request, dict(known.tags)).items()))

        await self._change(caller, _named(request), changed)
        return {}

    async def untag_resource(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Remove tags of a repository. Raises RepositoryDoesNotExistException."""
        keys = set(request.get("tagKeys") or ())

        def changed(known: Repository) -> Repository:
            return replace(known, tags=tuple(pair for pair in known.tags if pair[0] not in keys))

        await self._change(caller, _named(request), changed)
        return {}

    async def update_default_branch(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Make another branch the default branch. Raises BranchDoesNotExistException."""
        branch = checks.branch_name(request, "defaultBranchName")
        known = await self._repository(caller, request)
        await self._commit_of_branch(known, branch)
        await self._change(caller, request, lambda one: replace(one, default_branch=branch))
        await self._output(known, "symbolic-ref", "HEAD", f"refs/heads/{branch}")
        return {}

    async def _place(self) -> None:
        try:
            await asyncio.to_thread(self._git.make_root)
        except OSError as error:
            raise ServiceError(f"Repositories cannot be kept at {self._git.root}: {error}") from error

    async def _trial(self, caller: Caller, known: Repository, trigger: RepositoryTrigger) -> Push:
        """Return a push that says what a branch of the trigger is now; of an empty repository it makes one up."""
        branch = next(iter(trigger.branches), known.default_branch or "main")
        commit = await self._tip(known, branch) or "0" * 39 + "1"
        change = Change(f"refs/heads/{branch}", commit, commit)
        return Push(self._new_id(), self._clock.time_ms(), caller.principal_arn, (change,))

    async def _change(
        self, caller: Caller, request: Mapping[str, Any], changed: Callable[[Repository], Repository]
    ) -> None:
        for _ in range(_TRIES):
            known = await self._repository(caller, request)
            now_ms = self._clock.time_ms()
            value = replace(changed(known), modified_ms=now_ms, revision_id=self._new_id())
            try:
                await self._resources.commit(self._resources.put_over(value, known.revision_id))
            except CommitRefusedError:
                continue
            return
        raise failed("ConcurrentReferenceUpdate", f"Repository {checks.repository_name(request)} is being changed.")

    def _described(self, caller: Caller, repository: Repository) -> dict[str, Any]:
        """Return a repository as it is answered. There is no ssh; the directory is for who is on the same machine."""
        place = "" if repository.region == self.default_region else f"{repository.region}/"
        said = {
            "accountId": repository.account_id,
            "repositoryId": repository.repository_id,
            "repositoryName": repository.name,
            "repositoryDescription": repository.description,
            "defaultBranch": repository.default_branch,
            "lastModifiedDate": repository.modified_ms / 1_000,
            "creationDate": repository.created_ms / 1_000,
            "cloneUrlHttp": f"{caller.base_url}/v1/repos/{place}{repository.name}",
            "Arn": repository.arn,
            "kmsKeyId": repository.kms_key_id,
            "lambentDirectory": str(self._git.directory(repository)),
        }
        return {name: value for name, value in said.items() if value is not None}


def _named(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the repository that an ARN names."""
    arn = request.get("resourceArn")
    if not arn:
        raise failed("ResourceArnRequired", "The ARN of a repository is required.")
    if not str(arn).startswith("arn:") or str(arn).count(":") != 5:
        raise failed("InvalidResourceArn", f"{str(arn)[:256]} is not the ARN of a repository.")
    return {"repositoryName": str(arn).rpartition(":")[2]}


def _described_trigger(trigger: RepositoryTrigger) -> dict[str, Any]:
    said: dict[str, Any] = {"name": trigger.name, "destinationArn": trigger.destination_arn}
    if trigger.custom_data is not None:
        said["customData"] = trigger.custom_data
    return {**said, "branches": list(trigger.branches), "events": list(trigger.events)}


def _page_of(found: list[Repository], token: str | None) -> tuple[list[Repository], str | None]:
    """Return a thousand repositories after a token, and the token of the next."""
    begin = 0
    if token is not None:
        if not token.isascii() or not token.isdigit() or len(token) > 9:
            raise failed("InvalidContinuationToken", "The token is not one that ListRepositories has given.")
        begin = int(token)
    end = begin + 1_000
    return found[begin:end], str(end) if end < len(found) else None
