"""What pid 2 does: prepare the sandbox, wait for code and variables, give up every right, become the runtime.

Runs on Python 3.8 and newer. Everything here is trusted until `_become_runtime`.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import resource
import signal
import socket
import sys
from typing import Any, NoReturn

from .. import channel, netlink, seccomp, syscalls
from .root import enter_root

TASK_ROOT = "/var/task"
SHARED_ROOT = "/var/lang"
STAND_IN_NAMES_MAX = 4_096
RUNTIME_PORT = 9001
ENDPOINT_PORT = 4566
# AWS's APIs, as its names mean them inside.
APIS_ADDRESS = "127.0.0.2"
DESCRIPTORS_MAX = 1024
PROCESSES_MAX = 1024
OUT_OF_MEMORY_SCORE = "900"


def attach_shared(fd: int) -> None:
    """Show what waiting processes of one kind have in common, before they start."""
    syscalls.move_mount(fd, SHARED_ROOT)
    os.close(fd)


def make_stand_in() -> int:
    """Put an empty directory where code will be mounted, for a process that cannot change its directory later.

    Java is one: its directory stays this one when code covers it. Returns a descriptor of it.
    """
    syscalls.mount("tmpfs", TASK_ROOT, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "size=1m,mode=755")
    return os.open(TASK_ROOT, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def fill_stand_in(fd: int) -> None:
    """Let every name of the code that covers it be found in it, and let nobody write in it."""
    for name in os.listdir(TASK_ROOT)[:STAND_IN_NAMES_MAX]:
        with contextlib.suppress(OSError):
            os.symlink(f"{TASK_ROOT}/{name}", name, dir_fd=fd)
    syscalls.mount_setattr(fd, "", syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV)
    os.close(fd)


def prepare(go: dict[str, Any], log_read: int, messages: socket.socket) -> None:
    """Mount /proc, name the host, bring the network up, make the sockets and hand them to the daemon."""
    syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    hidden = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    syscalls.mount("proc", "/proc", "proc", hidden)
    socket.sethostname(go["hostname"])
    link = go["link"]
    netlink.configure_inside(None if link is None else netlink.Link(*link))
    sockets = {"runtime": _listen(RUNTIME_PORT), "endpoint": _listen(ENDPOINT_PORT)}
    if link is not None or go["has_apis"]:
        sockets.update(dns_udp=_bind_datagrams(53), dns_tcp=_listen(53))
    if go["has_apis"]:
        sockets.update(apis_tls=_listen(443, APIS_ADDRESS), apis_plain=_listen(80, APIS_ADDRESS))
    ready = {"ready": list(sockets), "has_link": link is not None}
    channel.send(messages, ready, [log_read, *(each.fileno() for each in sockets.values())])
    for each in sockets.values():
        each.close()


def wait_for_mounts(messages: socket.socket, stand_in: int = -1) -> dict[str, Any]:
    """Attach what the supervisor sends; return the daemon's start message if it came first, else an empty one.

    `stand_in` is a descriptor of `make_stand_in`, if there is one.
    """
    start: dict[str, Any] = {}
    while True:
        message, fds = channel.receive(messages)
        if message is None:
            os._exit(0)
        if "start" in message:
            start = message["start"]
            continue
        for index, fd in enumerate(fds):
            # A root comes first: what follows is attached in it.
            if message["mounts"][index] == "/":
                enter_root(fd)
            else:
                syscalls.move_mount(fd, message["mounts"][index])
            os.close(fd)
        if message.get("tmpfs_mib"):
            options = f"size={message['tmpfs_mib']}m,mode=1777"
            syscalls.mount("tmpfs", "/tmp", "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, options)
        if stand_in >= 0:
            fill_stand_in(stand_in)
        channel.send(messages, {"mounted": True})
        return start


def wait_for_start(messages: socket.socket) -> dict[str, Any]:
    """Return the daemon's start message."""
    while True:
        message, fds = channel.receive(messages)
        channel.close_all(fds)
        if message is None:
            os._exit(0)
        if "start" in message:
            start: dict[str, Any] = message["start"]
            return start


def give_up_rights(log_write: int, keep: int | None, program: bytes, data_mib: int | None) -> None:
    """Leave only what a customer's process may have; descriptor `keep` becomes number 3."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS_MAX, DESCRIPTORS_MAX))
    resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES_MAX, PROCESSES_MAX))
    if data_mib:
        resource.setrlimit(resource.RLIMIT_DATA, (data_mib << 20, data_mib << 20))
    os.setsid()
    os.dup2(log_write, 1)
    os.dup2(log_write, 2)
    lowest = 3
    if keep is not None:
        os.dup2(keep, 3, inheritable=True)
        lowest = 4
    syscalls.close_from(lowest)
    syscalls.drop_all_rights()
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
    _raise_oom_score()
    seccomp.install(program)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def run_python(start: dict[str, Any]) -> NoReturn:
    """Become the function's Python runtime."""
    variables: dict[str, str] = start["variables"]
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = [""]
    import lambent_runtime  # type: ignore[import-not-found]

    status = 0
    try:
        lambent_runtime.main(variables)
    except SystemExit as error:
        status = _exit_status(error)
    except BaseException:
        import traceback

        traceback.print_exc()
        status = 1
    # What the interpreter would do at its end; it must not unwind into the zygote's frames instead.
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def _exit_status(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def run_program(argv: list[str], variables: dict[str, str]) -> NoReturn:
    """Become another program; 127 with a line in the log when it cannot be started."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.chdir("/var/task")
        os.execve(argv[0], argv, variables)
    except OSError as error:
        os.write(2, f"Couldn't start {argv[0]}: {os.strerror(error.errno or 0)}\n".encode())
    os._exit(127)


def run_extension(path: str, variables: dict[str, str]) -> NoReturn:
    """Become an external extension. Descriptor 3 gets the errno if that cannot be, and is closed if it can."""
    os.set_inheritable(3, False)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.chdir("/")
        os.execve(path, [path], variables)
    except OSError as error:
        os.write(3, str(error.errno or 1).encode())
    os._exit(127)


def _raise_oom_score() -> None:
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    os.write(fd, OUT_OF_MEMORY_SCORE.encode())
    os.close(fd)


def _listen(port: int, address: str = "127.0.0.1") -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(128)
    return listener


def _bind_datagrams(port: int) -> socket.socket:
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    datagrams.bind(("127.0.0.1", port))
    return datagrams
