"""Several layers as one tree: what /opt shows. Hard links, so a merged tree costs directories only.

Layers come in order and later ones win, as on AWS, where each is unpacked over those before. Nothing is ever written
through a link that a layer brought: what is in a directory's way gives way to it, and the other way round.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from lambent.store.package import flush_tree, put_in_place

if TYPE_CHECKING:
    from collections.abc import Sequence

# Another file system, or as many links to a file as it can have.
_NO_LINK = (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP)


def merge_trees(trees: Sequence[Path], target: Path) -> None:
    """Make `target` from `trees`, whole and on disk before it has its name; nothing to do if it is there. May block.

    Raises OSError: a tree is not there, or the disk is full; nothing was kept.
    """
    if target.exists():
        return
    fresh = target.parent / f".{secrets.token_hex(8)}"
    is_linked = True
    try:
        fresh.mkdir(mode=0o755)
        for tree in trees:
            is_linked &= _lay_over(tree, fresh)
        directories = {os.path.relpath(parent, fresh) for parent, _, _ in os.walk(fresh)}
        flush_tree(fresh, directories, is_linked)
        put_in_place(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _lay_over(tree: Path, target: Path) -> bool:
    """Return False if some file had to be copied."""
    is_linked = True
    for parent, names, files in os.walk(tree, onerror=_raise):
        place = target / os.path.relpath(parent, tree)
        for name in names:
            source = Path(parent, name)
            if source.is_symlink():
                _lay_file(source, place / name)
            else:
                _lay_directory(place / name)
        for name in files:
            is_linked &= _lay_file(Path(parent, name), place / name)
    return is_linked


def _lay_directory(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    path.mkdir(mode=0o755, exist_ok=True)
    path.chmod(0o755)


def _lay_file(source: Path, path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    if source.is_symlink():
        path.symlink_to(source.readlink())
        return True
    try:
        path.hardlink_to(source)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        shutil.copy2(source, path)
        return False
    return True


def _raise(error: OSError) -> None:
    raise error
