"""Pushes on their way to the triggers of their repositories.

What a hook has kept stays until every trigger has been told, or never can be. A function's event enters the durable
queue under a name that follows from push and trigger, which the queue takes once; a topic may hear of a push twice when
the daemon ends in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import TYPE_CHECKING

from msgspec.structs import replace

from lambent.model.configs.repository import Repository
from lambent.model.errors import LambdaError
from lambent.store.contracts import CommitRefusedError
from lambent.triggers.code_commit.destinations import UndeliveredError
from lambent.triggers.code_commit.git import WAKE, GitError
from lambent.triggers.code_commit.pushes import event_id, event_of, pending_text, read_push, wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lambent.clock import Clock
    from lambent.store import Resources
    from lambent.triggers.code_commit.destinations import TriggerDestinations
    from lambent.triggers.code_commit.git import Git
    from lambent.triggers.code_commit.pushes import Change, Push

_log = logging.getLogger(__name__)

_AGAIN_SECONDS = 5.0
# As long as an asynchronous event may wait for its function.
_AGE_MS_MAX = 21_600_000
_BRANCHES = "refs/heads/"
_WAKING_BYTES = 4_096


class PushDeliveries:
    """Scope: the daemon on whose disk the repositories lie. After a crash: what was not told is told."""

    def __init__(self, resources: Resources, git: Git, destinations: TriggerDestinations, clock: Clock) -> None:
        self._resources = resources
        self._git = git
        self._destinations = destinations
        self._clock = clock
        self._is_wanted = asyncio.Event()
        self._is_wanted.set()
        # One push is told by one task: what a request and the loop find at once is told once.
        self._lock = asyncio.Lock()
        self._told: set[str] = set()

    async def run(self) -> None:
        """Deliver what hooks keep, until cancelled."""
        await self._wait_placed()
        with self._woken():
            while True:
                await self._is_wanted.wait()
                self._is_wanted.clear()
                try:
                    is_done = await self._deliver_all()
                except Exception:
                    # A loop that ends would end the daemon.
                    _log.exception("pushes cannot be delivered yet")
                    is_done = False
                if not is_done:
                    await asyncio.sleep(_AGAIN_SECONDS)
                    self._is_wanted.set()

    async def deliver(self, repository: Repository) -> bool:
        """Tell the triggers of what was pushed to a repository; False when some of it is to be tried again."""
        async with self._lock:
            is_done = True
            for path in await asyncio.to_thread(_files, self._git.pending(repository)):
                push = await asyncio.to_thread(read_push, path)
                if push is None or await self._tell(repository, push):
                    await asyncio.to_thread(path.unlink, missing_ok=True)
                else:
                    is_done = False
        if not is_done:
            self._is_wanted.set()
        return is_done

    async def note(self, repository: Repository, pusher: str, changes: Sequence[Change], name: str) -> None:
        """Keep changes that the API made, as the hook keeps those of a push, and tell of them."""
        await asyncio.to_thread(_keep, self._git.pending(repository), name, pending_text(pusher, changes))
        await self.deliver(repository)

    async def _wait_placed(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._git.make_root)
            except OSError as error:
                _log.error("repositories cannot be kept at %s: %s", self._git.root, error)
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                return

    async def _deliver_all(self) -> bool:
        is_done = True
        for account_id, region, name in await asyncio.to_thread(_waiting, self._git.root):
            try:
                repository = await self._resources.get(Repository, account_id, region, name)
                if repository is not None:
                    is_done = await self.deliver(repository) and is_done
            except (LambdaError, OSError) as error:
                _log.warning("pushes to %s cannot be delivered yet: %s", name, error)
                is_done = False
        return is_done

    async def _tell(self, repository: Repository, push: Push) -> bool:
        await self._take_default_branch(repository, push)
        is_done = True
        ids = set()
        for trigger in repository.triggers:
            changes = wanted(trigger, push)
            name = event_id(repository, trigger, push)
            ids.add(name)
            if not changes or name in self._told:
                continue
            try:
                event = event_of(repository, trigger, push, changes)
                await self._destinations.tell(repository, trigger, event, name)
            except UndeliveredError as error:
                _log.warning("%s: trigger %s was not told: %s", repository.arn, trigger.name, error)
                is_old = self._clock.time_ms() - push.at_ms > _AGE_MS_MAX
                if not error.is_final and not is_old:
                    is_done = False
                    continue
            self._told.add(name)
        if is_done:
            self._told -= ids
        return is_done

    async def _take_default_branch(self, repository: Repository, push: Push) -> None:
        """The branch that is pushed first becomes the default branch."""
        made = [change.ref for change in push.changes if change.new is not None and change.ref.startswith(_BRANCHES)]
        if repository.default_branch is not None or not made:
            return
        branch = made[0].removeprefix(_BRANCHES)
        try:
            current = await self._resources.get(Repository, repository.account_id, repository.region, repository.name)
            if current is not None and current.default_branch is None:
                changed = replace(current, default_branch=branch, revision_id=event_name(current, push))
                await self._resources.commit(self._resources.put_over(changed, current.revision_id))
                await self._git.run(repository, "symbolic-ref", "HEAD", made[0])
        except (CommitRefusedError, GitError) as error:
            _log.info("%s: %s does not become the default branch: %s", repository.arn, branch, error)

    @contextlib.contextmanager
    def _woken(self) -> Iterator[None]:
        """Look when a hook writes into the pipe. Opened for both, so that it is never at its end."""
        descriptor = os.open(self._git.root / WAKE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        loop = asyncio.get_running_loop()

        def read() -> None:
            with contextlib.suppress(BlockingIOError):
                os.read(descriptor, _WAKING_BYTES)
            self._is_wanted.set()

        loop.add_reader(descriptor, read)
        try:
            yield
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)


def event_name(repository: Repository, push: Push) -> str:
    """Return a revision that no other change of a repository has."""
    return f"{repository.repository_id}-{push.name}"


def _files(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.suffix == ".push")
    except OSError:
        return []


def _waiting(root: Path) -> list[tuple[str, str, str]]:
    """Return account, region and name of every repository with something to tell."""
    found = {path.parents[2] for path in root.glob("*/*/*.git/lambent/pending/*.push")}
    return [(one.parents[1].name, one.parent.name, one.name.removesuffix(".git")) for one in sorted(found)]


def _keep(directory: Path, name: str, text: str) -> None:
    part = directory / f"{name}.part"
    with part.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.rename(directory / f"{name}.push")
