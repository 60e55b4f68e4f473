"""Removing packages that no function and no layer uses any more."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from concurrent.futures import BrokenExecutor
from typing import TYPE_CHECKING

from lambent.model.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from lambent.store import CodeStore, FunctionStore

# A sweep reads the names of all packages; deletions in quick succession share one.
_PAUSE_SECONDS = 1.0
_UNASKED_SECONDS = 3600.0
# What an environment outlived its function with, and what was made ready while its version was deleted, goes soon.
_OUTLIVED_SECONDS = 3.0


class Sweeper:
    """Sweeps the code store at start, when asked to, and every hour. Scope: node. After a crash: the start sweeps."""

    def __init__(
        self,
        store: FunctionStore,
        code: CodeStore,
        code_in_environments: Callable[[], Collection[str]],
        sweep_images: Callable[[Collection[str]], Awaitable[int]] | None = None,
    ) -> None:
        self._sweep_images = sweep_images
        self._store = store
        self._code = code
        self._code_in_environments = code_in_environments
        self._is_outlived = False
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._log = logging.getLogger(__name__)

    def want(self) -> None:
        """Sweep soon: a package may have lost its last function."""
        self._wanted.set()

    async def run(self) -> None:
        """Sweep whenever it is wanted, and every hour, until cancelled."""
        with contextlib.suppress(BrokenExecutor):
            await self._code.warm_up()
        try:
            await self._code.protect()
        except (OSError, ServiceError):
            self._log.exception("packages from before could not be encrypted; the next start tries again")
        while True:
            # Unasked now and then: what another daemon deleted, and what shared packages keep for an hour.
            with contextlib.suppress(TimeoutError):
                is_early = self._is_outlived or self._code.was_busy
                async with asyncio.timeout(_OUTLIVED_SECONDS if is_early else _UNASKED_SECONDS):
                    await self._wanted.wait()
            self._wanted.clear()
            try:
                await self.sweep()
            except Exception:
                self._log.exception("unused code could not be removed; the next deletion or start tries again")
            await asyncio.sleep(_PAUSE_SECONDS)

    async def sweep(self) -> None:
        """Remove what neither a function version nor a live environment uses."""
        await self._code.sweep(self._in_use)
        if self._sweep_images is not None:
            await self._sweep_images(await self._in_use())

    async def _in_use(self) -> frozenset[str]:
        # Environments first: one that ends meanwhile has its version in the store, or nothing needs the package.
        in_environments = frozenset(self._code_in_environments())
        in_store = await self._store.code_in_use()
        self._is_outlived = not in_environments <= in_store
        return in_environments | in_store
