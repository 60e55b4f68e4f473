"""Which external extensions a version brings: the files in /opt/extensions."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# A directory could hold any number of files; more than the quota fail the launch anyway.
_FILES_MAX = 64


def external_extensions(opt_directories: Iterable[Path]) -> tuple[str, ...]:
    """Return the base names of what AWS starts from /opt, in the order it does.

    `opt_directories` are the trees that lie on one another there, lowest first, as image layers do: a character device
    in a higher one hides what has its name below.
    """
    names: set[str] = set()
    for directory in opt_directories:
        try:
            with os.scandir(directory / "extensions") as entries:
                for entry in entries:
                    if not entry.name.isprintable():
                        # Nobody could register under it, and no log could name it.
                        continue
                    if entry.is_dir() or stat.S_ISCHR(entry.stat(follow_symlinks=False).st_mode):
                        names.discard(entry.name)
                    else:
                        names.add(entry.name)
        except OSError:
            continue
    return tuple(sorted(names)[:_FILES_MAX])
