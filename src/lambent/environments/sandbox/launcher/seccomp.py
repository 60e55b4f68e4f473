"""The system call filter of everything that runs a customer's code: hand-assembled BPF, native architecture only.

Denied calls answer EPERM, clone3 answers ENOSYS (the C library then uses clone, whose flags can be looked at),
another architecture's calls kill the process. Runs on Python 3.8 and newer.
"""

from __future__ import annotations

import ctypes
import struct

from . import syscalls

_ALLOW = 0x7FFF0000
_KILL = 0x80000000
_EPERM = 0x00050000 | 1
_ENOSYS = 0x00050000 | 38
_SUCCEED_UNDONE = 0x00050000

_LOAD = 0x20
_JUMP_EQUAL = 0x15
_JUMP_GREATER_EQUAL = 0x35
_JUMP_SET = 0x45
_RETURN = 0x06

_NAMESPACE_FLAGS = 0x7E020000

# name: (x86_64, aarch64); None where the architecture has no such call.
DENIED = {
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "iopl": (172, None),
    "ioperm": (173, None),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "create_module": (174, None),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "acct": (163, 89),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    "uselib": (134, None),
    "modify_ldt": (154, None),
    "_sysctl": (156, None),
    "nfsservctl": (180, 42),
    "lookup_dcookie": (212, 18),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    "unshare": (272, 97),
    "setns": (308, 268),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "memfd_secret": (447, 447),
}
# Memory that belongs to no process: without a cgroup nothing could limit it.
DENIED_WITHOUT_CGROUP = {"memfd_create": (319, 279), "shmget": (29, 194)}
_SET_SOCKET_OPTION = (54, 208)
_SOL_SOCKET = 1
_BUFFER_SIZES = (7, 8)  # SO_SNDBUF, SO_RCVBUF
_SOCKET = (41, 198)
_CLONE = (56, 220)
_CLONE3 = (435, 435)
_ARCHITECTURE = (0xC000003E, 0xC00000B7)
# UNIX, INET, INET6, NETLINK. AF_VSOCK knows no network namespace, AF_ALG and AF_PACKET are kernel surface.
_SOCKET_FAMILIES = (1, 2, 10, 16)


def _instruction(code: int, jump_true: int, jump_false: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, jump_true, jump_false, value)


def assemble(*, is_memory_limited: bool = True) -> bytes:
    """Return the filter as an array of struct sock_filter for this machine's architecture."""
    column = 1 if syscalls.IS_AARCH64 else 0
    names = dict(DENIED) if is_memory_limited else dict(DENIED, **DENIED_WITHOUT_CGROUP)
    denied = sorted(number for numbers in names.values() for number in (numbers[column],) if number is not None)
    program = [
        _instruction(_LOAD, 0, 0, 4),
        _instruction(_JUMP_EQUAL, 1, 0, _ARCHITECTURE[column]),
        _instruction(_RETURN, 0, 0, _KILL),
        _instruction(_LOAD, 0, 0, 0),
    ]
    if column == 0:
        # The x32 calls of x86_64 carry this bit and would pass every comparison below.
        program += [_instruction(_JUMP_GREATER_EQUAL, 0, 1, 0x40000000), _instruction(_RETURN, 0, 0, _ENOSYS)]
    program += [_instruction(_JUMP_EQUAL, 0, 1, _CLONE3[column]), _instruction(_RETURN, 0, 0, _ENOSYS)]
    program += [
        _instruction(_JUMP_EQUAL, 0, 4, _CLONE[column]),
        _instruction(_LOAD, 0, 0, 16),
        _instruction(_JUMP_SET, 0, 1, _NAMESPACE_FLAGS),
        _instruction(_RETURN, 0, 0, _EPERM),
        _instruction(_RETURN, 0, 0, _ALLOW),
    ]
    families = [
        _instruction(_JUMP_EQUAL, 0, 1, family) + _instruction(_RETURN, 0, 0, _ALLOW) for family in _SOCKET_FAMILIES
    ]
    program += [
        _instruction(_JUMP_EQUAL, 0, 2 + 2 * len(families), _SOCKET[column]),
        _instruction(_LOAD, 0, 0, 16),
        *families,
        _instruction(_RETURN, 0, 0, _EPERM),
    ]
    if not is_memory_limited:
        program += _ignore_buffer_sizes(column)
    return b"".join(program) + _search(denied)


def _search(numbers: list[int]) -> bytes:
    """Return a binary search: the kernel runs the filter once for every call there is when it is installed."""
    if len(numbers) <= 2:
        tests = [_instruction(_JUMP_EQUAL, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
        return b"".join([*tests, _instruction(_RETURN, 0, 0, _ALLOW), _instruction(_RETURN, 0, 0, _EPERM)])
    middle = len(numbers) // 2
    low, high = _search(numbers[:middle]), _search(numbers[middle:])
    return _instruction(_JUMP_GREATER_EQUAL, len(low) // 8, 0, numbers[middle]) + low + high


def _ignore_buffer_sizes(column: int) -> list[bytes]:
    """Let a wish for larger socket buffers succeed without effect: what they hold shows in no process's size."""
    sizes = [
        _instruction(_JUMP_EQUAL, 0, 1, size) + _instruction(_RETURN, 0, 0, _SUCCEED_UNDONE) for size in _BUFFER_SIZES
    ]
    return [
        _instruction(_JUMP_EQUAL, 0, 4 + 2 * len(sizes), _SET_SOCKET_OPTION[column]),
        _instruction(_LOAD, 0, 0, 24),
        _instruction(_JUMP_EQUAL, 0, 1 + 2 * len(sizes), _SOL_SOCKET),
        _instruction(_LOAD, 0, 0, 32),
        *sizes,
        _instruction(_RETURN, 0, 0, _ALLOW),
    ]


def install(program: bytes) -> None:
    """Put the filter on this process and all its children, for ever. Needs NO_NEW_PRIVS or CAP_SYS_ADMIN."""
    buffer = ctypes.create_string_buffer(program, len(program))
    descriptor = struct.pack("=HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    syscalls.syscall("seccomp", syscalls.NR_SECCOMP, 1, 0, descriptor)
