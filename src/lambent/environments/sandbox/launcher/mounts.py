"""Detached mounts of a function's code, and the minimal root that a zygote and its sandboxes live in."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass, field

from . import syscalls

USER_NAME = "sbx_user1051"
USER_ID = 993
GROUP_ID = 990
_READ_ONLY = syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV
_DEVICES = ("null", "zero", "full", "random", "urandom")
_STAGING = "/tmp"
_BOUND = ("/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted", "/etc/alternatives")
_COPIED = (
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/services",
    "/etc/protocols",
    "/etc/ssl/openssl.cnf",
    "/etc/mime.types",
    "/etc/timezone",
)
_WRITTEN = {
    "/etc/passwd": "root:x:0:0:root:/root:/sbin/nologin\n"
    f"{USER_NAME}:x:{USER_ID}:{GROUP_ID}::/home/{USER_NAME}:/sbin/nologin\n"
    # Whose id is not mapped in here: the owners of the machine's files, so of code, layers and interpreters.
    "nobody:x:65534:65534:Kernel Overflow User:/:/sbin/nologin\n",
    "/etc/group": f"root:x:0:\n{USER_NAME}:x:{GROUP_ID}:\nnobody:x:65534:\n",
    "/etc/resolv.conf": "nameserver 127.0.0.1\noptions timeout:2 attempts:2\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
}
# On AWS it is there, root's and executable. Here the launcher starts the runtime; called by hand it runs its arguments.
_ENTRY_POINT = "/lambda-entrypoint.sh"
_EXECUTABLES = {_ENTRY_POINT: '#!/bin/sh\nexec "$@"\n'}
_LINKS = {"/dev/fd": "/proc/self/fd", "/dev/stdin": "fd/0", "/dev/stdout": "fd/1", "/dev/stderr": "fd/2"}

# What the daemon keeps instead of the host's certificates, below its data directory.
_TRUST = "trust/current"
_TRUSTED = ("/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted")
# Java has its own, where its distribution does not lead it to those; the daemon's for all of them.
_KEY_STORES = ("lib/security/cacerts", "jre/lib/security/cacerts")
_KEY_STORE = "/java/cacerts"


@dataclass(frozen=True, slots=True)
class RootPlan:
    """What a zygote's root shows beside /usr: host directory → place inside, all read-only.

    `trust`: place inside → detached mount that is there instead of the host's directory of certificates.
    """

    directories: dict[str, str]
    trust: dict[str, int] = field(default_factory=dict)
    # Extensions listen for telemetry at sandbox.localdomain.
    hosts: str = "127.0.0.1 localhost\n127.0.0.1 sandbox.localdomain sandbox\n::1 localhost\n"


def owner_namespace(stored_id: int, shown_id: int) -> int:
    """Return a user namespace for mounts: what `stored_id` owns on disk belongs to host id `shown_id` there.

    Raises OSError.
    """
    pid = syscalls.raw_clone(syscalls.CLONE_NEWUSER | signal.SIGCHLD)
    if pid == 0:
        while True:
            signal.pause()
    try:
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{pid}/{name}", "w") as file:
                file.write(f"{stored_id} {shown_id} 1")
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def code_mount(data_directory_fd: int, path: str, userns_fd: int | None = None, *, is_file: bool = False) -> int:
    """Return a detached read-only mount of a directory (or file) strictly below the data directory. Raises OSError.

    With `userns_fd` (of `owner_namespace`) its files belong to root inside, as on AWS.
    """
    fd = syscalls.open_beneath(data_directory_fd, path, os.O_PATH | (0 if is_file else os.O_DIRECTORY))
    try:
        tree = syscalls.open_tree_clone(fd)
    finally:
        os.close(fd)
    try:
        syscalls.mount_setattr(tree, "", _READ_ONLY)
        if userns_fd is not None:
            syscalls.mount_setattr(tree, "", syscalls.MOUNT_ATTR_IDMAP, userns_fd=userns_fd)
    except OSError:
        os.close(tree)
        raise
    return tree


def trust_mounts(data_directory_fd: int, executable: str | None) -> dict[str, int]:
    """Return the daemon's certificates as detached mounts by their places; the host's stay where it has none.

    `executable` is the interpreter shown. They are for the function's eyes: nothing that has rights reads them.
    """
    places = {place: place for place in _TRUSTED}
    if executable is not None and os.path.basename(executable) == "java":
        home = os.path.dirname(os.path.dirname(executable))
        stores = (os.path.join(home, name) for name in _KEY_STORES)
        places.update({path: _KEY_STORE for path in stores if os.path.isfile(path) and os.path.realpath(path) == path})
    found: dict[str, int] = {}
    for place, name in places.items():
        with contextlib.suppress(OSError):
            found[place] = code_mount(data_directory_fd, _TRUST + name, is_file=name == _KEY_STORE)
    return found


def enter_minimal_root(plan: RootPlan, *, is_rootless: bool, root_id: int) -> None:
    """Give this (freshly forked) process a mount namespace with nothing but what `plan` names.

    `root_id`: the host id that sandboxes see as root. Rootless ones see no other id than their own.
    """
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    trees = [("/usr", _detach("/usr"), _READ_ONLY)]
    trees += [(inside, _detach(host), _READ_ONLY) for host, inside in plan.directories.items()]
    trees += [(path, tree, _READ_ONLY) for path, tree in plan.trust.items()]
    shown = (path for path in _BOUND if path not in plan.trust and os.path.isdir(path))
    trees += [(path, _detach(path), _READ_ONLY) for path in shown]
    no_set_id = syscalls.MOUNT_ATTR_NOSUID
    trees += [(f"/dev/{name}", _detach(f"/dev/{name}"), no_set_id) for name in _DEVICES]
    if is_rootless:
        trees.append(("/proc", _detach("/proc"), 0))
    trees += [(path, _detach(path), _READ_ONLY) for path in ("/bin", "/sbin", "/lib", "/lib64") if _is_real(path)]
    copies = {path: _read(path) for path in _COPIED if os.path.isfile(path)}
    links = {path: os.readlink(path) for path in ("/bin", "/sbin", "/lib", "/lib64") if os.path.islink(path)}
    syscalls.mount("tmpfs", _STAGING, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=755,size=16m")
    for directory in ("proc", "tmp", "opt", "var/task", "var/runtime", "var/lang", "dev", "etc", "run"):
        os.makedirs(f"{_STAGING}/{directory}", 0o755, exist_ok=True)
    _fill(copies | {path: text.encode() for path, text in (_WRITTEN | {"/etc/hosts": plan.hosts}).items()})
    _fill({path: text.encode() for path, text in _EXECUTABLES.items()}, 0o755)
    for path, target in (links | _LINKS).items():
        os.symlink(target, _STAGING + path)
    for inside, tree, _ in trees:
        _make_place(tree, _STAGING + inside)
    if not is_rootless:
        _give_all(_STAGING, root_id)
    for inside, tree, attributes in trees:
        _attach(tree, _STAGING + inside, attributes)
    if not is_rootless:
        syscalls.mount("proc", _STAGING + "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
    syscalls.mount_setattr(syscalls.AT_FDCWD, _STAGING, _READ_ONLY)
    os.chdir(_STAGING)
    syscalls.pivot_root(".", ".")
    syscalls.umount(".")
    os.chdir("/")


def _detach(path: str) -> int:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        return syscalls.open_tree_clone(fd, is_recursive=True)
    finally:
        os.close(fd)


def _make_place(tree: int, target: str) -> None:
    if _is_directory(tree):
        os.makedirs(target, 0o755, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), 0o755, exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))


def _give_all(directory: str, owner: int) -> None:
    os.chown(directory, owner, owner)
    for parent, directories, files in os.walk(directory):
        for name in (*directories, *files):
            os.chown(os.path.join(parent, name), owner, owner, follow_symlinks=False)


def _attach(tree: int, target: str, attributes: int) -> None:
    syscalls.mount_setattr(tree, "", attributes, is_recursive=True)
    syscalls.move_mount(tree, target)
    os.close(tree)


def _is_directory(fd: int) -> bool:
    return os.stat(f"/proc/self/fd/{fd}").st_mode & 0o170000 == 0o040000


def _is_real(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _fill(files: dict[str, bytes], mode: int = 0o644) -> None:
    for path, content in files.items():
        os.makedirs(os.path.dirname(_STAGING + path), 0o755, exist_ok=True)
        with open(_STAGING + path, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
