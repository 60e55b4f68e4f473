"""The daemon gives its rights up, and still reaches what it needs when that lies in root's own directories."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lambent.environments.sandbox.launcher import syscalls

if TYPE_CHECKING:
    from collections.abc import Iterable


def drop_rights(uid: int, reachable: Iterable[Path] = ()) -> None:
    """Become the unprivileged account `uid` (gid the same) for ever: no groups, no capabilities, NO_NEW_PRIVS.

    Directories that account cannot enter (/root with an interpreter in it) are replaced, for this process and its
    children only, by ones that hold nothing but the interpreter, this package and `reachable`. To be called before
    any thread is started; does nothing when the process is not root. Raises OSError.
    """
    if os.geteuid() != 0:
        return
    own = [sys.base_prefix, sys.prefix, *(entry for entry in sys.path if os.path.isdir(entry))]
    wanted = {path.resolve() for path in (*map(Path, own), *reachable)}
    hidden: dict[Path, list[Path]] = {}
    for path in sorted(wanted):
        closed = _first_closed(path, uid)
        if closed is not None and not any(path.is_relative_to(each) for each in hidden.get(closed, [])):
            hidden.setdefault(closed, []).append(path)
    if hidden:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        for directory, paths in hidden.items():
            _show_only(directory, paths)
        os.chdir("/")
    syscalls.drop_bounding_set()
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    # Changing ids made /proc/self root's; children are started with the help of /proc/self/fd.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)


def _first_closed(path: Path, uid: int) -> Path | None:
    """Return the highest parent directory of `path` that `uid` cannot enter."""
    for parent in reversed(path.parents):
        status = parent.stat()
        mine = stat.S_IXUSR if status.st_uid == uid else stat.S_IXGRP if status.st_gid == uid else stat.S_IXOTH
        if not status.st_mode & mine:
            return parent
    return None


def _show_only(directory: Path, paths: list[Path]) -> None:
    trees = []
    for path in paths:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        trees.append((syscalls.open_tree_clone(fd, is_recursive=True), path))
        os.close(fd)
    syscalls.mount("tmpfs", str(directory), "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=755,size=1m")
    for tree, path in trees:
        path.mkdir(parents=True, exist_ok=True)
        syscalls.move_mount(tree, str(path))
        os.close(tree)
