"""What CodeCommit needs of its neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lambent.clock import Clock
    from lambent.store import Resources
    from lambent.triggers.schedules import TargetParts


class CodeCommitParts(NamedTuple):
    """The neighbours. `directory` is where repositories lie; `search_path` is where `git` is looked for."""

    resources: Resources
    targets: TargetParts
    directory: Path
    search_path: str
    region: str
    clock: Clock
    random_bytes: Callable[[int], bytes]
