"""The interpreter with which any account of the machine can run the tree: that of the tests may lie in root's home."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

import lambent

MISSING = f"no Python {sys.version_info.major}.{sys.version_info.minor} that an ordinary user may run"


def interpreter() -> str | None:
    """Return its path: the tests' own if everybody may enter its folders, else the system's of the same version.

    Of the same one, because packages with compiled parts are of one version.
    """
    own = os.path.realpath(sys.executable)
    if os.geteuid() != 0 or all(path.stat().st_mode & 1 for path in Path(own).parents):
        return own
    return shutil.which(f"python{sys.version_info.major}.{sys.version_info.minor}", path="/usr/bin:/usr/local/bin")


def variables(*paths: Path) -> dict[str, str]:
    """Return the variables with which it finds the tree and its packages, and further paths."""
    places = [Path(lambent.__path__[0]).parent, Path(sysconfig.get_path("purelib")), *paths]
    return {"PYTHONPATH": os.pathsep.join(map(str, places)), "PYTHONDONTWRITEBYTECODE": "1"}
