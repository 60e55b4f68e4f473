"""The operations of CodeCommit on branches and commits, with what all of its operations need."""

from __future__ import annotations

import base64
import re
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from lambent.model.configs.repository import Repository
from lambent.triggers.code_commit import checks
from lambent.triggers.code_commit.checks import failed
from lambent.triggers.code_commit.git import GitError
from lambent.triggers.code_commit.pushes import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lambent.clock import Clock
    from lambent.model.caller import Caller
    from lambent.store import Resources
    from lambent.triggers.code_commit.deliveries import PushDeliveries
    from lambent.triggers.code_commit.destinations import TriggerDestinations
    from lambent.triggers.code_commit.git import Git

_COMMIT = re.compile(r"[0-9a-f]{40}")
_DIFFERENCES_MAX = 100
# Source: API reference, GetBlob and GetFile: FileTooLargeException over 6 MB.
_FILE_BYTES_MAX = 6_291_456
_PERSON = re.compile(r"(.*?) ?<(.*?)> (\d+ [+-]\d{4})")
_CHANGES = {"A": "A", "D": "D", "M": "M", "T": "M"}


class OperationParts(NamedTuple):
    """The neighbours."""

    resources: Resources
    git: Git
    deliveries: PushDeliveries
    destinations: TriggerDestinations
    clock: Clock
    random_bytes: Callable[[int], bytes]


class RepositoryContents:
    """Branches, commits, files: what a function that was called asks for. Scope: process; git keeps it all."""

    def __init__(self, parts: OperationParts) -> None:
        self._resources = parts.resources
        self._git = parts.git
        self._deliveries = parts.deliveries
        self._destinations = parts.destinations
        self._clock = parts.clock
        self._random_bytes = parts.random_bytes

    async def get_branch(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return where a branch is. Raises BranchDoesNotExistException."""
        known = await self._repository(caller, request)
        branch = checks.branch_name(request)
        return {"branch": {"branchName": branch, "commitId": await self._commit_of_branch(known, branch)}}

    async def list_branches(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return all branches' names at once. Raises RepositoryDoesNotExistException."""
        known = await self._repository(caller, request)
        output = await self._output(known, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads")
        return {"branches": output.decode(errors="replace").split()}

    async def create_branch(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Make a branch; triggers are told. Raises BranchNameExistsException, CommitDoesNotExistException."""
        known = await self._repository(caller, request)
        branch, commit = checks.branch_name(request), await self._commit(known, request.get("commitId"))
        if await self._tip(known, branch) is not None:
            raise failed("BranchNameExists", f"The branch {branch} already exists.")
        try:
            await self._git.run(known, "update-ref", f"refs/heads/{branch}", commit, "0" * 40)
        except GitError as error:
            raise failed("BranchNameExists", f"The branch {branch} cannot be made: {error}") from error
        await self._note(caller, known, Change(f"refs/heads/{branch}", None, commit))
        return {}

    async def delete_branch(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Remove a branch; triggers are told. Raises DefaultBranchCannotBeDeletedException."""
        known = await self._repository(caller, request)
        branch = checks.branch_name(request)
        if branch == known.default_branch:
            raise failed("DefaultBranchCannotBeDeleted", f"{branch} is the default branch.")
        commit = await self._tip(known, branch)
        if commit is None:
            # Source: API reference: a branch that is not there is no error, and nothing is answered.
            return {}
        await self._output(known, "update-ref", "-d", f"refs/heads/{branch}", commit)
        await self._note(caller, known, Change(f"refs/heads/{branch}", commit, None))
        return {"deletedBranch": {"branchName": branch, "commitId": commit}}

    async def get_commit(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a commit. Raises CommitIdDoesNotExistException."""
        known = await self._repository(caller, request)
        commit = request.get("commitId")
        if not commit:
            raise failed("CommitIdRequired", "A commit's id is required.")
        if _COMMIT.fullmatch(commit) is None:
            raise failed("InvalidCommitId", f"{commit[:64]} is not a commit's id.")
        try:
            output = await self._git.run(known, "cat-file", "commit", commit)
        except GitError as error:
            raise failed("CommitIdDoesNotExist", f"There is no commit {commit}.") from error
        return {"commit": _described_commit(commit, output.decode(errors="replace"))}

    async def get_differences(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return which files two commits differ in, at most a hundred at a time.

        Raises:
            LambdaError: CommitRequiredException, CommitDoesNotExistException.
        """
        known = await self._repository(caller, request)
        after = request.get("afterCommitSpecifier")
        if not after:
            raise failed("CommitRequired", "afterCommitSpecifier is required.")
        before = request.get("beforeCommitSpecifier")
        # git's name for the tree without files.
        first = await self._commit(known, before) if before else "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
        words = ["diff-tree", "-r", "-z", "--no-renames", first, await self._commit(known, after)]
        path = request.get("afterPath") or request.get("beforePath")
        output = await self._output(known, *words, *(["--", path.strip("/")] if path else []))
        differences = _differences(output)
        begin = _number(request.get("NextToken"))
        limit = min(int(request.get("MaxResults") or _DIFFERENCES_MAX), _DIFFERENCES_MAX)
        token = str(begin + limit) if begin + limit < len(differences) else None
        return {"differences": differences[begin : begin + limit], "NextToken": token}

    async def get_blob(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a file by its id. Raises BlobIdDoesNotExistException, FileTooLargeException."""
        known = await self._repository(caller, request)
        blob = str(request.get("blobId") or "")
        if _COMMIT.fullmatch(blob) is None:
            raise failed("InvalidBlobId" if blob else "BlobIdRequired", "A file's id has 40 hexadecimal digits.")
        return {"content": base64.b64encode(await self._blob(known, blob)).decode()}

    async def get_file(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a file of a commit by its path. Raises FileDoesNotExistException, FileTooLargeException."""
        known = await self._repository(caller, request)
        path = str(request.get("filePath") or "").strip("/")
        if not path:
            raise failed("PathRequired", "The path of a file is required.")
        said = request.get("commitSpecifier") or known.default_branch
        commit = await self._commit(known, said)
        entries = _tree(await self._output(known, "ls-tree", "-z", commit, "--", path))
        if not entries or entries[0].kind != "blob":
            raise failed("FileDoesNotExist", f"There is no file {path} in {commit}.")
        content = await self._blob(known, entries[0].object_id)
        return {
            "commitId": commit,
            "blobId": entries[0].object_id,
            "filePath": path,
            "fileMode": entries[0].mode_name,
            "fileSize": len(content),
            "fileContent": base64.b64encode(content).decode(),
        }

    async def _repository(
        self, caller: Caller, request: Mapping[str, Any], member: str = "repositoryName"
    ) -> Repository:
        name = checks.repository_name(request, member)
        found = await self._resources.get(Repository, caller.account_id, caller.region, name)
        if found is None:
            raise failed("RepositoryDoesNotExist", f"{name} does not exist")
        return found

    async def _tip(self, known: Repository, branch: str) -> str | None:
        try:
            output = await self._git.run(known, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}")
        except GitError:
            return None
        return output.decode().strip()

    async def _commit_of_branch(self, known: Repository, branch: str) -> str:
        commit = await self._tip(known, branch)
        if commit is None:
            raise failed("BranchDoesNotExist", f"There is no branch {branch} in {known.name}.")
        return commit

    async def _commit(self, known: Repository, said: str | None) -> str:
        """Return the id of the commit that an id, a branch, a tag or HEAD names."""
        if not said:
            raise failed("CommitIdRequired", "A commit is required.")
        names = (
            (said,) if _COMMIT.fullmatch(said) or said == "HEAD" else (f"refs/heads/{said}", f"refs/tags/{said}", said)
        )
        for name in names:
            is_reference = name.startswith("refs/") and checks.is_branch(name)
            if is_reference or name == "HEAD" or _COMMIT.fullmatch(name):
                try:
                    output = await self._git.run(known, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
                except GitError:
                    continue
                return output.decode().strip()
        raise failed("CommitDoesNotExist", f"There is no commit {said[:256]} in {known.name}.")

    async def _blob(self, known: Repository, blob: str) -> bytes:
        try:
            size = int(await self._git.run(known, "cat-file", "-s", blob))
            if size > _FILE_BYTES_MAX:
                raise failed("FileTooLarge", f"The file has more than {_FILE_BYTES_MAX} bytes.")
            return await self._git.run(known, "cat-file", "blob", blob)
        except GitError as error:
            raise failed("BlobIdDoesNotExist", f"There is no file with the id {blob}.") from error

    async def _output(self, known: Repository, *words: str) -> bytes:
        try:
            return await self._git.run(known, *words)
        except GitError as error:
            raise failed("EncryptionIntegrityChecksFailed", f"{known.name} cannot be read: {error}") from error

    async def _note(self, caller: Caller, known: Repository, change: Change) -> None:
        await self._deliveries.note(known, caller.principal_arn, (change,), f"{self._clock.time_ms()}-{self._new_id()}")

    def _new_id(self) -> str:
        return str(uuid.UUID(bytes=self._random_bytes(16), version=4))


class _Entry(NamedTuple):
    """A file of a tree, as git lists it."""

    mode: str
    kind: str
    object_id: str
    path: str

    @property
    def mode_name(self) -> str:
        """AWS's word for the mode."""
        return {"100755": "EXECUTABLE", "120000": "SYMLINK"}.get(self.mode, "NORMAL")


def _tree(output: bytes) -> list[_Entry]:
    entries = []
    for line in output.decode(errors="replace").split("\0"):
        head, _, path = line.partition("\t")
        if path:
            mode, kind, object_id = head.split()
            entries.append(_Entry(mode, kind, object_id, path))
    return entries


def _differences(output: bytes) -> list[dict[str, Any]]:
    """Return what `git diff-tree -r -z` lists: `:mode mode id id LETTER`, then a path."""
    fields: Sequence[str] = output.decode(errors="replace").split("\0")
    found = []
    for head, path in zip(fields[::2], fields[1::2], strict=False):
        old_mode, new_mode, old, new, letter = head.lstrip(":").split()
        found.append(
            {
                **({"beforeBlob": {"blobId": old, "path": path, "mode": old_mode}} if old.strip("0") else {}),
                **({"afterBlob": {"blobId": new, "path": path, "mode": new_mode}} if new.strip("0") else {}),
                "changeType": _CHANGES.get(letter[:1], "M"),
            }
        )
    return found


def _described_commit(commit: str, text: str) -> dict[str, Any]:
    head, _, message = text.partition("\n\n")
    said: dict[str, Any] = {"commitId": commit, "parents": [], "message": message, "additionalData": ""}
    for line in head.splitlines():
        word, _, rest = line.partition(" ")
        if word == "tree":
            said["treeId"] = rest
        elif word == "parent":
            said["parents"].append(rest)
        elif word in ("author", "committer"):
            person = _PERSON.fullmatch(rest)
            if person is not None:
                said[word] = {"name": person[1], "email": person[2], "date": person[3]}
    return said


def _number(token: str | None) -> int:
    if token is None:
        return 0
    if not token.isascii() or not token.isdigit() or len(token) > 9:
        raise failed("InvalidContinuationToken", "The token is not one that was given.")
    return int(token)
