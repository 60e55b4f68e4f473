"""Generic sandboxes, made before anybody asks, so that a cold start only specialises one."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from lambent.environments.sandbox.sandbox import RuntimeFamily, SandboxError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.clock import Clock
    from lambent.environments.sandbox.sandbox import Sandbox, SandboxDriver, SandboxKind

_log = logging.getLogger(__name__)

# A kind nobody asked for in this time keeps no sandboxes (execution-environment.md, section 3).
_UNUSED_NS_MAX = 30 * 60 * 1_000_000_000
_FAILURES_PAUSE_SECONDS = 1.0
# Making the next sandbox costs CPU and the supervisor's time that the cold start which took the last one needs now.
_AFTER_TAKE_NS = 15_000_000


class PrewarmedSandboxes:
    """Waiting sandboxes by kind. Scope: node. After a crash: empty, filled again as kinds are asked for.

    `sizes` says how many of a kind wait, by family; 0 makes none in advance.
    """

    def __init__(self, driver: SandboxDriver, sizes: Mapping[RuntimeFamily, int], clock: Clock) -> None:
        self._driver = driver
        self._sizes = sizes
        self._clock = clock
        self._waiting: dict[SandboxKind, deque[Sandbox]] = {}
        self._asked_ns: dict[SandboxKind, int] = {}
        self._changed = asyncio.Event()
        self._is_closed = False
        self._taken_ns = 0

    def want(self, kind: SandboxKind) -> None:
        """Say that sandboxes of this kind will be needed; they are made in the background."""
        self._asked_ns[kind] = self._clock.monotonic_ns()
        if len(self._waiting.get(kind, ())) < self._sizes.get(kind.family, 0):
            self._changed.set()

    async def take(self, kind: SandboxKind) -> Sandbox:
        """Return a waiting sandbox, or make one. Raises SandboxError."""
        self.want(kind)
        waiting = self._waiting.get(kind)
        self._taken_ns = self._clock.monotonic_ns()
        if waiting:
            # Another one is made in its place.
            self._changed.set()
            return waiting.popleft()
        return await self._driver.create(kind)

    def statistics(self) -> dict[str, int]:
        """Return how many sandboxes wait, by family."""
        counts: dict[str, int] = {}
        for kind, waiting in self._waiting.items():
            counts[kind.family.value] = counts.get(kind.family.value, 0) + len(waiting)
        return counts

    async def run(self) -> None:
        """Keep every wanted kind filled, one sandbox at a time. Runs until cancelled or closed."""
        await self._driver.wait_ready()
        while not self._is_closed:
            self._changed.clear()
            kind = self._most_needed()
            if kind is None:
                await self._changed.wait()
                continue
            rest_ns = self._taken_ns + _AFTER_TAKE_NS - self._clock.monotonic_ns()
            if rest_ns > 0 and self._waiting.get(kind):
                await asyncio.sleep(rest_ns / 1e9)
                continue
            try:
                sandbox = await self._driver.create(kind)
            except SandboxError as error:
                _log.warning("could not prewarm a %s sandbox: %s", kind.family.value, error)
                await asyncio.sleep(_FAILURES_PAUSE_SECONDS)
                continue
            if self._is_closed:
                await sandbox.close()
                return
            self._waiting.setdefault(kind, deque()).append(sandbox)

    async def drop_unused(self) -> None:
        """Close the sandboxes of kinds that nobody asked for in 30 minutes."""
        now_ns = self._clock.monotonic_ns()
        for kind in [kind for kind, asked_ns in self._asked_ns.items() if now_ns - asked_ns > _UNUSED_NS_MAX]:
            del self._asked_ns[kind]
            await self._close_all(self._waiting.pop(kind, deque()))

    async def close(self) -> None:
        """Close every waiting sandbox and make no more."""
        self._is_closed = True
        await self.drop_all()

    async def drop_all(self) -> None:
        """Close every waiting sandbox: memory is short, or their supervisor is gone; new ones follow."""
        waiting, self._waiting = self._waiting, {}
        for sandboxes in waiting.values():
            await self._close_all(sandboxes)
        self._changed.set()

    def _most_needed(self) -> SandboxKind | None:
        best: tuple[int, int] | None = None
        needed: SandboxKind | None = None
        for kind, asked_ns in self._asked_ns.items():
            missing = self._sizes.get(kind.family, 0) - len(self._waiting.get(kind, ()))
            if missing > 0 and (best is None or (missing, asked_ns) > best):
                best, needed = (missing, asked_ns), kind
        return needed

    @staticmethod
    async def _close_all(sandboxes: deque[Sandbox]) -> None:
        while sandboxes:
            await sandboxes.popleft().close()
