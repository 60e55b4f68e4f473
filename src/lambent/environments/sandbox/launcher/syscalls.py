"""System calls that Python does not offer, through ctypes; numbers by architecture. Runs on Python 3.8 and newer.

PyDLL, not CDLL: the interpreter's lock stays held, so a raw clone is safe in a single-threaded program.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

LIBC = ctypes.PyDLL(None, use_errno=True)
MACHINE = os.uname().machine
IS_AARCH64 = MACHINE == "aarch64"

NR_CLONE = 220 if IS_AARCH64 else 56
NR_CAPGET = 90 if IS_AARCH64 else 125
NR_CAPSET = 91 if IS_AARCH64 else 126
NR_PIVOT_ROOT = 41 if IS_AARCH64 else 155
NR_SECCOMP = 277 if IS_AARCH64 else 317
NR_SIGNALFD4 = 74 if IS_AARCH64 else 289
NR_OPEN_TREE = 428
NR_MOVE_MOUNT = 429
NR_FSOPEN = 430
NR_FSCONFIG = 431
NR_FSMOUNT = 432
NR_CLOSE_RANGE = 436
NR_OPENAT2 = 437
NR_MOUNT_SETATTR = 442

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_PARENT = 0x00008000
SIGCHLD = 17

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = 0o2000000
MOVE_MOUNT_F_EMPTY_PATH = 4
MOUNT_ATTR_RDONLY = 1
MOUNT_ATTR_NOSUID = 2
MOUNT_ATTR_NODEV = 4
MOUNT_ATTR_IDMAP = 0x00100000
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_SET_CHILD_SUBREAPER = 36
CAP_SYS_ADMIN = 21

_CAPABILITY_VERSION_3 = 0x20080522


def check(result: int, what: str) -> int:
    """Return `result`, or raise OSError with errno if it is negative."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def encode_path(path: str) -> bytes:
    """Return the bytes of a path; a NUL would silently cut it in C, so it is refused."""
    raw = os.fsencode(path)
    if b"\0" in raw:
        raise OSError(errno.EINVAL, "NUL in a path")
    return raw


def syscall(what: str, number: int, *arguments: int | bytes | None) -> int:
    """Call the kernel; every integer goes as a full machine word."""
    words = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return check(LIBC.syscall(ctypes.c_long(number), *words), what)


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, data: str | None = None) -> None:
    """mount(2)."""
    result = LIBC.mount(
        encode_path(source),
        encode_path(target),
        None if kind is None else kind.encode(),
        ctypes.c_ulong(flags),
        None if data is None else data.encode(),
    )
    check(result, "mount " + target)


def umount(target: str, flags: int = MNT_DETACH) -> None:
    """umount2(2)."""
    check(LIBC.umount2(encode_path(target), flags), "umount " + target)


def unshare(flags: int) -> None:
    """unshare(2)."""
    check(LIBC.unshare(flags), "unshare")


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2)."""
    syscall("pivot_root", NR_PIVOT_ROOT, encode_path(new_root), encode_path(put_old))


def raw_clone(flags: int) -> int:
    """clone(2) without a stack of its own and without any fork hook; 0 in the child."""
    return syscall("clone", NR_CLONE, flags, 0, 0, 0, 0)


def fork() -> int:
    """fork(3) with the interpreter's hooks (random, logging and others rely on them). 0 in the child."""
    LIBC.PyOS_BeforeFork()
    pid: int = LIBC.fork()
    if pid == 0:
        LIBC.PyOS_AfterFork_Child()
        return 0
    LIBC.PyOS_AfterFork_Parent()
    return check(pid, "fork")


def open_beneath(directory_fd: int, path: str, flags: int, mode: int = 0) -> int:
    """Open `path` strictly below a directory: no symbolic or magic link, no way up. Raises OSError."""
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, mode, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
    return syscall("openat2 " + path, NR_OPENAT2, directory_fd, encode_path(path), how, len(how))


def open_tree_clone(fd: int, *, is_recursive: bool = False) -> int:
    """Return a detached mount of what `fd` (O_PATH) points at."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (AT_RECURSIVE if is_recursive else 0)
    return syscall("open_tree", NR_OPEN_TREE, fd, b"", flags)


def mount_setattr(fd: int, path: str, attributes: int, *, userns_fd: int = 0, is_recursive: bool = False) -> None:
    """Set attributes of a mount and make it private. `path` empty means the mount behind `fd` itself."""
    flags = (AT_EMPTY_PATH if not path else 0) | (AT_RECURSIVE if is_recursive else 0)
    request = struct.pack("=QQQQ", attributes, 0, MS_PRIVATE, userns_fd)
    syscall("mount_setattr", NR_MOUNT_SETATTR, fd, encode_path(path), flags, request, len(request))


def move_mount(fd: int, target: str) -> None:
    """Attach a detached mount."""
    syscall("move_mount " + target, NR_MOVE_MOUNT, fd, b"", AT_FDCWD, encode_path(target), MOVE_MOUNT_F_EMPTY_PATH)


def close_from(lowest: int) -> None:
    """Close every descriptor from `lowest` on."""
    if LIBC.syscall(ctypes.c_long(NR_CLOSE_RANGE), ctypes.c_long(lowest), ctypes.c_long(0x7FFFFFFF), 0) < 0:
        os.closerange(lowest, 65536)


def prctl(option: int, argument: int = 0, second: int = 0) -> None:
    """prctl(2)."""
    zero = ctypes.c_ulong(0)
    result = LIBC.prctl(option, ctypes.c_ulong(argument), ctypes.c_ulong(second), zero, zero)
    check(result, f"prctl {option}")


def set_capabilities(mask: int) -> None:
    """Make `mask` the effective and permitted set; nothing is inheritable or ambient."""
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = struct.pack("=II", _CAPABILITY_VERSION_3, 0)
    syscall("capset", NR_CAPSET, header, struct.pack("=IIIIII", low, low, 0, high, high, 0))


def drop_bounding_set() -> None:
    """No exec can ever give a capability again."""
    for capability in range(64):
        if LIBC.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) < 0:
            return


def drop_all_rights() -> None:
    """Give up every capability and the way to get one back."""
    drop_bounding_set()
    set_capabilities(0)
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def signal_fd(signals: set[int]) -> int:
    """Return a non-blocking descriptor that becomes readable when one of the (blocked) signals is pending."""
    mask = 0
    for number in signals:
        mask |= 1 << (number - 1)
    return syscall("signalfd4", NR_SIGNALFD4, -1, struct.pack("=Q", mask), 8, os.O_CLOEXEC | os.O_NONBLOCK)
