"""Roots of images: overlay mounts of unpacked layers, read-only, made once and cloned for each sandbox.

The daemon names layers by their hashes and nothing else; each is opened below its place in the data directory.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections import Counter
from typing import TYPE_CHECKING

from .. import syscalls
from ..messages import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

_LAYER = "images/layers/{}/tree"
_PLACES = "images/places"
_PROBE = "overlay-probe"
_READ_ONLY = syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV
# A file system, or a kernel, that does not take an idmapped or a detached mount as a layer.
_NOT_TAKEN = (errno.EINVAL, errno.EPERM, errno.ENOTSUP)


Key = tuple[tuple[int, int], ...]


class RootMounts:
    """Scope: one supervisor. `owner_fd`: the user namespace in which the daemon's files are root's, None for as is.

    A mount is kept as long as a sandbox has its root from it: kept longer, it would keep removed layers on the disk.
    """

    def __init__(self, data_directory_fd: int) -> None:
        self._data_directory_fd = data_directory_fd
        self.owner_fd: int | None = None
        # By the directories themselves: a layer that was removed and came again is another one.
        self._mounts: dict[Key, int] = {}
        self._users: Counter[Key] = Counter()

    def take(self, layers: Sequence[str], *, is_merged: bool) -> tuple[int, Key]:
        """Return a detached mount of a root, and what `give_back` wants when its sandbox has ended.

        Layers lowest first; above them are the places that are mounted over. Raises OSError; RefusedError for what
        cannot be a root.
        """
        if is_merged and len(layers) != 1:
            raise RefusedError("a merged root is one tree")
        opened: list[int] = []
        try:
            opened.extend(map(self._open, map(_LAYER.format, layers)))
            if is_merged:
                return self._tree(opened[0]), ()
            opened.append(self._open(_PLACES))
            key = tuple((status.st_dev, status.st_ino) for status in map(os.fstat, opened))
            if key not in self._mounts:
                self._mounts[key] = self._overlay(opened[::-1])
        finally:
            for fd in opened:
                os.close(fd)
        self._users[key] += 1
        try:
            return syscalls.open_tree_clone(self._mounts[key]), key
        except OSError as error:
            if error.errno != errno.EINVAL:
                self.give_back(key)
                raise
        # Older kernels clone no detached mount: this sandbox takes it, the next one gets another.
        return self._mounts.pop(key), key

    def give_back(self, key: Key) -> None:
        """Forget the mount that a sandbox had its root from, if no other one has."""
        self._users[key] -= 1
        if self._users[key] <= 0:
            del self._users[key]
            mount = self._mounts.pop(key, -1)
            if mount >= 0:
                os.close(mount)

    def probe(self, state_fd: int) -> None:
        """Make an overlay of two empty directories and forget it. Raises OSError where overlayfs cannot be used."""
        directories = []
        try:
            for name in (f"{_PROBE}-1", f"{_PROBE}-2"):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=state_fd)
                directories.append(os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=state_fd))
            os.close(_mount_overlay([f"/proc/self/fd/{fd}" for fd in directories]))
        finally:
            for fd in directories:
                os.close(fd)

    def _open(self, path: str) -> int:
        return syscalls.open_beneath(self._data_directory_fd, path, os.O_PATH | os.O_DIRECTORY)

    def _overlay(self, opened: Sequence[int]) -> int:
        """Return an overlay of directories, topmost first, whose files are root's inside if that can be."""
        if self.owner_fd is not None:
            trees: list[int] = []
            try:
                trees.extend(map(self._tree, opened))
                return _mount_overlay([f"/proc/self/fd/{tree}" for tree in trees])
            except OSError as error:
                if error.errno not in _NOT_TAKEN:
                    raise
            finally:
                for tree in trees:
                    os.close(tree)
        return _mount_overlay([f"/proc/self/fd/{fd}" for fd in opened])

    def _tree(self, fd: int) -> int:
        tree = syscalls.open_tree_clone(fd)
        try:
            syscalls.mount_setattr(tree, "", _READ_ONLY)
            if self.owner_fd is not None:
                try:
                    syscalls.mount_setattr(tree, "", syscalls.MOUNT_ATTR_IDMAP, userns_fd=self.owner_fd)
                except OSError as error:
                    # A file system without idmapped mounts: the files belong to nobody inside, and are read anyway.
                    if error.errno not in (errno.EINVAL, errno.EPERM):
                        raise
        except OSError:
            os.close(tree)
            raise
        return tree


def _mount_overlay(layers: Sequence[str]) -> int:
    """Return a detached read-only overlay of directories, topmost first (two at least). Raises OSError."""
    context = syscalls.syscall("fsopen", syscalls.NR_FSOPEN, b"overlay", 1)
    try:
        configure = syscalls.NR_FSCONFIG
        # Whiteouts and opaque directories were made without rights.
        syscalls.syscall("fsconfig", configure, context, syscalls.FSCONFIG_SET_FLAG, b"userxattr", None, 0)
        for layer in layers:
            source = layer.encode()
            syscalls.syscall("fsconfig", configure, context, syscalls.FSCONFIG_SET_STRING, b"lowerdir+", source, 0)
        syscalls.syscall("fsconfig", configure, context, syscalls.FSCONFIG_CMD_CREATE, None, None, 0)
        mount = syscalls.syscall("fsmount", syscalls.NR_FSMOUNT, context, 1, _READ_ONLY)
    finally:
        os.close(context)
    return mount
