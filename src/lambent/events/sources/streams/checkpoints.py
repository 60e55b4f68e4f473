"""How far a shard has been dealt with: kept with the shard's lease, so that who lost the lease cannot move it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import asdict

from lambent.events.sources.kept import kept_prefix

if TYPE_CHECKING:
    from lambent.store.queues.contracts import Leases

TTL_MS = 10_000
RENEW_SECONDS = 3.0


class Checkpoint(Struct, frozen=True):
    """Everything up to `sequence_number` is done; with None, everything that came before `since_ms` (Unix epoch).

    `is_finished`: the shard was closed and all of it is done. `window_start_ms` and `window_state` (JSON text) are of
    the tumbling window that is open. `beyond` are records after it that are done too; kept at an orderly end.
    """

    sequence_number: str | None = None
    since_ms: int = 0
    is_finished: bool = False
    window_start_ms: int | None = None
    window_state: str | None = None
    beyond: tuple[str, ...] = ()


class ShardLease:
    """The right to read one shard for one mapping, and its checkpoint. `owner` names the process."""

    def __init__(self, leases: Leases, mapping_id: str, shard_id: str, owner: str) -> None:
        self._leases = leases
        self._name = f"{kept_prefix(mapping_id)}{shard_id}"
        self._owner = owner
        self._epoch = 0
        self.checkpoint: Checkpoint | None = None

    async def acquire(self) -> bool:
        """Take the lease and learn the checkpoint; False while somebody else has it. Raises ServiceError."""
        epoch = await self._leases.acquire(self._name, self._owner, TTL_MS)
        if epoch is None:
            return False
        self._epoch = epoch
        held = await self._leases.read(self._name)
        if held is not None and held.value:
            kept: dict[str, Any] = json.loads(held.value)
            self.checkpoint = Checkpoint(**{**kept, "beyond": tuple(kept.get("beyond", ()))})
        return True

    async def has_begun(self) -> bool:
        """Whether anybody has ever kept a checkpoint of this shard. Raises ServiceError."""
        held = await self._leases.read(self._name)
        return held is not None and bool(held.value)

    async def renew(self) -> bool:
        """Keep the lease; False when it was lost. Raises ServiceError."""
        return await self._leases.renew(self._name, self._epoch, TTL_MS)

    async def write(self, checkpoint: Checkpoint) -> bool:
        """Keep a checkpoint; False when the lease was lost. Raises ServiceError."""
        is_kept = await self._leases.write(self._name, self._epoch, json.dumps(asdict(checkpoint)).encode())
        if is_kept:
            self.checkpoint = checkpoint
        return is_kept

    async def release(self) -> None:
        """Give the lease back. Raises ServiceError."""
        await self._leases.release(self._name, self._epoch)
