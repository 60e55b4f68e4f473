"""Which external extensions a version brings: the files in /opt/extensions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# A directory could hold any number of files; more than the quota fail the launch anyway.
_FILES_MAX = 64


def external_extensions(opt_directory: Path) -> tuple[str, ...]:
    """Return the base names of what AWS starts from a tree that is /opt inside, in the order it does."""
    try:
        with os.scandir(opt_directory / "extensions") as entries:
            names = sorted(entry.name for entry in entries if not entry.is_dir())
    except OSError:
        return ()
    return tuple(names[:_FILES_MAX])
