"""Functions of images that nobody used for long become Inactive, and wake when somebody invokes them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from lambent.model.errors import LambdaError
from lambent.model.function import FunctionState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable

    from lambent.clock import Clock
    from lambent.images.trees import ImageTrees
    from lambent.model.function import FunctionVersion

_log = logging.getLogger(__name__)

_LOOK_SECONDS_MAX = 3600.0
_LOOKS_PER_SPAN = 10
_WAKING_MAX = 10_000


class FunctionView(Struct, frozen=True):
    """What is known of functions: `versions()` are all that there are, `in_use()` the images of living environments."""

    versions: Callable[[], Iterable[FunctionVersion]]
    in_use: Callable[[], Collection[str]]


class FunctionStates(Protocol):
    """Who writes the state of functions: the control plane."""

    async def deactivate(self, function: FunctionVersion) -> None:
        """Active → Inactive."""

    async def reactivate(self, function: FunctionVersion) -> None:
        """Inactive → Pending, and on."""

    def want_sweep(self) -> None:
        """Remove what nothing needs any more, soon."""

    async def move_runtime(self, runtime: str, versions: Iterable[FunctionVersion]) -> int:
        """Let functions have the present build of a runtime."""


class IdleImages:
    """Scope: node. After a crash: an image's last use is on disk. The functions of one image become idle together."""

    def __init__(self, trees: ImageTrees, clock: Clock, inactive_seconds: int, view: FunctionView) -> None:
        self._trees = trees
        self._clock = clock
        self._inactive_seconds = inactive_seconds
        self._view = view
        self._waking: asyncio.Queue[FunctionVersion] = asyncio.Queue(_WAKING_MAX)

    def wake(self, version: FunctionVersion) -> None:
        """Somebody invoked a version that is Inactive."""
        if not self._waking.full():
            self._waking.put_nowait(version)

    async def run(self, states: FunctionStates) -> None:
        """Put to sleep and wake, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._run_sleep(states))
            while True:
                version = await self._waking.get()
                await self._run_quietly(states.reactivate(version), version)

    async def _run_sleep(self, states: FunctionStates) -> None:
        while self._inactive_seconds:
            await asyncio.sleep(min(_LOOK_SECONDS_MAX, self._inactive_seconds / _LOOKS_PER_SPAN))
            for digest in self._view.in_use():
                if self._trees.record(digest) is not None:
                    await self._trees.used(digest)
            oldest_ns = (self._clock.time_ms() - self._inactive_seconds * 1000) * 1_000_000
            idle = [version for version in self._view.versions() if self._is_idle(version, oldest_ns)]
            for version in idle:
                await self._run_quietly(states.deactivate(version), version)
            if idle:
                states.want_sweep()

    def _is_idle(self, version: FunctionVersion, oldest_ns: int) -> bool:
        if version.state is not FunctionState.ACTIVE or version.image_manifest is None:
            return False
        used_ns = self._trees.last_used_ns(version.image_manifest)
        return used_ns is not None and max(used_ns, version.last_modified_ms * 1_000_000) < oldest_ns

    async def _run_quietly(self, work: Awaitable[None], version: FunctionVersion) -> None:
        try:
            await work
        except LambdaError as error:
            _log.warning("the state of %s could not be changed: %s", version.arn, error)
