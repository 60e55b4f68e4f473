"""What is kept of mappings goes with them, after a crash too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lambent.events.sources.kept import KeptCheckpoints, kept_prefix
from lambent.model.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Names:
    """Leases as far as names go."""

    def __init__(self, *names: str) -> None:
        self.held = list(names)
        self.is_broken = False

    async def names(self, prefix: str) -> Sequence[str]:
        if self.is_broken:
            raise ServiceError("no disk")
        return [name for name in self.held if name.startswith(prefix)]

    async def forget(self, prefix: str) -> int:
        if self.is_broken:
            raise ServiceError("no disk")
        self.held = [name for name in self.held if not name.startswith(prefix)]
        return 0


async def test_what_nobody_knows_is_swept() -> None:
    names: Any = Names(f"{kept_prefix('a')}1", f"{kept_prefix('b')}1", f"{kept_prefix('b')}2", "timer/b")
    await KeptCheckpoints(names).sweep(lambda: {"a"}, 0)
    assert names.held == [f"{kept_prefix('a')}1", "timer/b"]


async def test_a_disk_that_fails_ends_nothing() -> None:
    names: Any = Names(f"{kept_prefix('a')}1")
    names.is_broken = True
    await KeptCheckpoints(names).sweep(set, 0)
    await KeptCheckpoints(names).forget("a")
    assert names.held
