"""What git asks over HTTP, answered by git's own program for it (`git http-backend`).

A push is answered when its events are taken: what was pushed and answered will be told.
"""

from __future__ import annotations

import asyncio
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from lambent.model.configs.repository import Repository
from lambent.triggers.code_commit.git import end

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lambent.model.configs.repository import GitRequest
    from lambent.store import Resources
    from lambent.triggers.code_commit.deliveries import PushDeliveries
    from lambent.triggers.code_commit.git import Git

_RUNNING_MAX = 16
_HEAD_BYTES_MAX = 65_536
_PART_BYTES = 65_536
_PUSH_ANSWER_BYTES_MAX = 16_777_216
PUSH = "/git-receive-pack"
# Header → variable of the program. Source: git-http-backend(1).
_VARIABLES = {
    "content-type": "CONTENT_TYPE",
    "content-encoding": "HTTP_CONTENT_ENCODING",
    "git-protocol": "HTTP_GIT_PROTOCOL",
    "accept": "HTTP_ACCEPT",
}


class GitAnswer(NamedTuple):
    """An answer. Whoever has its body iterates to the end or calls `aclose`."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: AsyncIterator[bytes] | bytes


class SmartHttp:
    """Answers git. Scope: process; keeps nothing but how many programs run."""

    def __init__(self, resources: Resources, git: Git, deliveries: PushDeliveries) -> None:
        self._resources = resources
        self._git = git
        self._deliveries = deliveries
        self._places = asyncio.Semaphore(_RUNNING_MAX)

    async def serve(self, request: GitRequest) -> GitAnswer | None:
        """Answer a request; None when there is no such repository.

        Raises:
            LambdaError: there is no git here.
        """
        found = await self._resources.get(Repository, request.account_id, request.region, request.name)
        if found is None:
            return None
        await self._places.acquire()
        output = _Output(self._places)
        try:
            await self._start(found, request, output)
            status, headers = await output.head()
            if request.path != PUSH:
                return GitAnswer(status, headers, output)
            body = await output.whole(_PUSH_ANSWER_BYTES_MAX)
        except BaseException:
            await output.aclose()
            raise
        await self._deliveries.deliver(found)
        return GitAnswer(status, headers, body)

    async def _start(self, repository: Repository, request: GitRequest, output: _Output) -> None:
        body = request.body
        directory = self._git.directory(repository)
        size = len(body) if isinstance(body, bytes) else body.stat().st_size
        variables = {
            "GIT_PROJECT_ROOT": str(directory.parent),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{directory.name}{request.path}",
            "REQUEST_METHOD": request.method,
            "QUERY_STRING": request.query,
            "CONTENT_LENGTH": str(size),
            # Hooks see it too, and so does the event.
            "REMOTE_USER": request.pusher,
            **{name: request.headers[header] for header, name in _VARIABLES.items() if header in request.headers},
        }
        if "HTTP_GIT_PROTOCOL" in variables:
            variables["GIT_PROTOCOL"] = variables["HTTP_GIT_PROTOCOL"]
        # What follows is on its way to a disk's cache: a body in memory is small.
        with tempfile.TemporaryFile() if isinstance(body, bytes) else body.open("rb") as stdin:
            if isinstance(body, bytes):
                stdin.write(body)
                stdin.seek(0)
            command = [self._git.program(), "http-backend"]
            output.process = await self._git.start(repository, command, stdin=stdin, more=variables)


class _Output:
    """What the program writes: a head as CGI has it, then the body as it is iterated."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self.process: asyncio.subprocess.Process | None = None
        self._places: asyncio.Semaphore | None = places

    async def head(self) -> tuple[int, tuple[tuple[str, str], ...]]:
        """Return status and headers."""
        status, headers, size = 200, [], 0
        while line := (await self._stdout.readline()).strip():
            name, _, value = line.decode("latin-1").partition(":")
            size += len(line)
            if size > _HEAD_BYTES_MAX:
                return 500, ()
            if name.lower() == "status":
                status = int(value.split()[0])
            else:
                headers.append((name, value.strip()))
        if not headers and status == 200:
            # It ended without a word.
            return 500, ()
        return status, tuple(headers)

    async def whole(self, bytes_max: int) -> bytes:
        """Return the body; the program has ended then."""
        parts, size = [], 0
        async for part in self:
            size += len(part)
            if size <= bytes_max:
                parts.append(part)
        return b"".join(parts)

    def __aiter__(self) -> _Output:
        return self

    async def __anext__(self) -> bytes:
        part = await self._stdout.read(_PART_BYTES)
        if not part:
            await self.aclose(is_over=True)
            raise StopAsyncIteration
        return part

    async def aclose(self, *, is_over: bool = False) -> None:
        """End the program; one that has closed its output may end by itself. Idempotent."""
        process, places = self.process, self._places
        self._places = None
        try:
            if process is not None:
                if not is_over:
                    end(process)
                await process.wait()
        finally:
            if places is not None:
                places.release()

    @property
    def _stdout(self) -> asyncio.StreamReader:
        assert self.process is not None
        assert self.process.stdout is not None
        return self.process.stdout
