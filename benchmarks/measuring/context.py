"""What every row gets: the compiled programs, the flags and how long to measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.measuring.generator import Programs


@dataclass(frozen=True, slots=True)
class Context:
    """Scope: one run. `seconds` a loaded row lasts, `colds` first invokes a cold row makes, `idle` environments of
    the memory row (0: leave it out), `listed` functions that are listed in the mixed row,
    `backlog` events that wait when a daemon starts.
    """

    programs: Programs
    folder: Path
    seconds: int
    colds: int
    idle: int
    listed: int
    peers: Path | None
    backlog: int
