"""A root of the image's own: entered before rights are given up; the program in it started. Python 3.8 and newer."""

from __future__ import annotations

import json
import os
import signal
from typing import NoReturn

from .. import syscalls

# Where the new root is attached until it is the root: a directory that every sandbox has and that nothing hangs on yet.
_STAGING = "/opt"
_DEVICES = "/dev"
_PROCESSES = "/proc"
_FILES = ("/etc/hosts", "/etc/resolv.conf")
# Where the daemon hears that the program could not be started; it closes by itself when it was.
FAILURE_FD = 3
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def enter_root(tree: int) -> None:
    """Make a detached mount the root, with this sandbox's own devices, processes and names in it. Raises OSError.

    Everything that is attached lies on places that are ours (the topmost layer): no link of the image's is followed.
    """
    syscalls.move_mount(tree, _STAGING)
    _show(_DEVICES, is_recursive=True)
    _show(_PROCESSES, is_recursive=False)
    for path in _FILES:
        _show(path, is_recursive=False)
    os.chdir(_STAGING)
    syscalls.pivot_root(".", ".")
    syscalls.umount(".")
    os.chdir("/")


def _show(path: str, *, is_recursive: bool) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        tree = syscalls.open_tree_clone(fd, is_recursive=is_recursive)
    finally:
        os.close(fd)
    syscalls.move_mount(tree, _STAGING + path)
    os.close(tree)


def run_in_root(argv: list[str], variables: dict[str, str], directory: str) -> NoReturn:
    """Become the image's program, looked for as its PATH says; tell on descriptor 3 why not, if it cannot be."""
    os.set_inheritable(FAILURE_FD, False)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    step, name = "chdir", directory
    try:
        os.chdir(directory)
        step, name = "exec", argv[0]
        if "/" in name:
            os.execve(name, argv, variables)
        step = "path"
        os.execve(_found(name, variables.get("PATH") or _PATH), argv, variables)
    except OSError as error:
        os.write(FAILURE_FD, json.dumps({"entry": {"step": step, "name": name, "errno": error.errno}}).encode())
    os._exit(127)


def _found(name: str, path: str) -> str:
    for directory in path.split(":"):
        candidate = os.path.join(directory or ".", name)
        if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
            return candidate
    raise FileNotFoundError(2, name)
