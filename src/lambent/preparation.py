"""What a function version needs before it can run on this node, made ready once: packages, /opt, facts, sandboxes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, NamedTuple

from lambent.model.errors import LambdaError
from lambent.model.function import PackageType

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lambent.environments import PackageFacts
    from lambent.model.function import FunctionVersion
    from lambent.store import CodeStore

_PREPARED_MAX = 4_096
# Packages up to here are read in less time than a second commit takes.
_SMALL_BYTES = 1_048_576


class PreparationParts(NamedTuple):
    """`image_ready(version)` has a version's image on this node; `filled()` returns when the catalog is whole."""

    code: CodeStore
    facts: PackageFacts
    image_ready: Callable[[FunctionVersion], Awaitable[None]]
    filled: Callable[[], Awaitable[None]]


class Preparation:
    """Makes versions ready. Scope: node. After a crash: begun anew with what the store's changes bring.

    `unavailable_reason(version)` returns why this machine cannot run it, or None, and has sandboxes of its kind
    prewarmed.
    """

    def __init__(self, parts: PreparationParts, unavailable_reason: Callable[[FunctionVersion], str | None]) -> None:
        self._code = parts.code
        self._facts = parts.facts
        self._image_ready = parts.image_ready
        self._filled = parts.filled
        self._unavailable_reason = unavailable_reason
        self._unlearned: asyncio.Queue[FunctionVersion] = asyncio.Queue()
        # Configurations that were prepared and whose last commit the feed has not brought yet.
        self._prepared: set[str] = set()
        self.learn = self._unlearned.put_nowait

    async def make_ready(self, version: FunctionVersion) -> None:
        """Have on this node all that a committed version needs. Raises: see `CodeStore.make_ready`."""
        await self._image_ready(version)
        if version.package_type is PackageType.IMAGE:
            return
        await self._code.make_ready(version)
        if not self._facts.is_known(version):
            await asyncio.to_thread(self._facts.learn, version)

    async def prepare(self, version: FunctionVersion) -> str | None:
        """Make a committed version ready; return why this machine cannot run it, or None. Raises as `make_ready`."""
        await self.make_ready(version)
        return self._judged(version)

    async def is_ready_at_once(self, version: FunctionVersion) -> bool:
        """Whether a version that is about to be committed can run as soon as it is: nothing has to be made for it.

        Its package was taken in just now and is small or known, and it has no trees to merge and no image to fetch.
        """
        if version.package_type is PackageType.IMAGE or len(version.layers) > 1:
            return False
        if not all(self._code.is_here(layer.code.sha256) for layer in version.layers):
            return False
        if not self._facts.is_known(version):
            packages = (version.code, *(layer.code for layer in version.layers))
            if sum(package.unpacked_bytes for package in packages) > _SMALL_BYTES:
                return False
            await asyncio.to_thread(self._facts.learn, version)
        return self._judged(version) is None

    async def run(self) -> None:
        """Learn the versions that the store's changes bring (`learn`), until cancelled.

        What is found at start is prewarmed from here, off the feed: an invocation never waits for it.
        """
        await self._filled()
        while True:
            version = await self._unlearned.get()
            if version.is_unsettled:
                # The control plane prepares it and commits it once more.
                continue
            if version.configuration_id in self._prepared:
                # Here, a moment ago.
                self._prepared.discard(version.configuration_id)
                continue
            with contextlib.suppress(LambdaError):
                # Only a version whose merged tree was lost needs it: preparation has made all others. What another
                # daemon took in comes with its first invocation here.
                if version.package_type is PackageType.ZIP and self._code.has(version):
                    await self.make_ready(version)
            self._unavailable_reason(version)
            # Ten thousand functions in a row must not keep the first request waiting.
            await asyncio.sleep(0)

    def _judged(self, version: FunctionVersion) -> str | None:
        reason = self._unavailable_reason(version)
        if len(self._prepared) >= _PREPARED_MAX:
            # Of functions that were deleted before they were settled.
            self._prepared.clear()
        self._prepared.add(version.configuration_id)
        return reason
