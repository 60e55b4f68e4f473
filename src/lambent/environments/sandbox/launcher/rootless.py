"""Level 1: an ordinary user is root in a user namespace of its own, which owns nothing of the machine."""

from __future__ import annotations

import os
import shutil

from . import netlink, syscalls


def become_root_of_nothing() -> None:
    """Enter new user, mount and network namespaces; this account's id becomes 0. Raises OSError where forbidden."""
    uid, gid = os.geteuid(), os.getegid()
    syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET)
    for file, value in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{file}", "w") as map_file:
            map_file.write(value)
    netlink.bring_up_loopback()


class TmpDirectories:
    """`/tmp` of a rootless sandbox: a directory of its own, whose size the daemon watches. Swept at start."""

    def __init__(self, parent_fd: int) -> None:
        self._parent = f"/proc/self/fd/{parent_fd}"

    def sweep(self) -> None:
        """Remove what an earlier run left."""
        for name in os.listdir(self._parent):
            if name.startswith("t"):
                shutil.rmtree(f"{self._parent}/{name}", ignore_errors=True)

    def take(self, slot: int) -> int:
        """Return a detached mount of a new, empty directory. Raises OSError."""
        path = f"{self._parent}/t{slot}"
        shutil.rmtree(path, ignore_errors=True)
        os.mkdir(path, 0o755)
        os.chmod(path, 0o1777)
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            tree = syscalls.open_tree_clone(fd)
        finally:
            os.close(fd)
        syscalls.mount_setattr(tree, "", syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV)
        return tree

    def give_back(self, slot: int) -> None:
        """Remove the directory of a sandbox that has ended."""
        shutil.rmtree(f"{self._parent}/t{slot}", ignore_errors=True)
