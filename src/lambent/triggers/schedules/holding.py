"""Which of several daemons on one database fires, or shifts traffic: a lease that one of them has."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from lambent.model.errors import LambdaError

if TYPE_CHECKING:
    from lambent.store.queues.contracts import Leases

_log = logging.getLogger(__name__)

_LEASE_MS = 10_000
_RENEW_SECONDS = 3.0


class Holding:
    """Whether this daemon is the one. Scope: process. After a crash another one is, when the lease has run out.

    `leases` None: there is no other daemon. A daemon that lost the lease without knowing fires nothing twice: what is
    due is moved on by a commit that only one of them can do.
    """

    def __init__(self, leases: Leases | None, owner: str, name: str = "schedules") -> None:
        self._leases = leases
        self._name = name
        self._owner = owner
        self._held = asyncio.Event()
        if leases is None:
            self._held.set()

    @property
    def is_held(self) -> bool:
        """Whether this daemon fires."""
        return self._held.is_set()

    async def wait(self) -> None:
        """Return when this daemon is the one that fires."""
        await self._held.wait()

    async def run(self) -> None:
        """Try to be the one, and stay it, until cancelled."""
        leases = self._leases
        if leases is None:
            return
        epoch: int | None = None
        try:
            while True:
                try:
                    epoch = await leases.acquire(self._name, self._owner, _LEASE_MS)
                except LambdaError as error:
                    _log.warning("who has the lease on %s is not known: %s", self._name, error.message)
                    epoch = None
                if epoch is None:
                    self._held.clear()
                else:
                    self._held.set()
                await asyncio.sleep(_RENEW_SECONDS)
        finally:
            self._held.clear()
            if epoch is not None:
                await self._give_back(leases, epoch)

    async def _give_back(self, leases: Leases, epoch: int) -> None:
        try:
            await leases.release(self._name, epoch)
        except LambdaError as error:
            _log.info("the lease on %s was not given back: %s", self._name, error.message)
