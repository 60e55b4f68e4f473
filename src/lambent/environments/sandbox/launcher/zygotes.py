"""Starts zygotes: a forked child gives itself the minimal root and becomes the interpreter that will be cloned."""

from __future__ import annotations

import os
import signal
import socket
import sys
from dataclasses import dataclass, field
from typing import Any, NoReturn

from . import channel, syscalls
from .messages import RefusedError
from .mounts import RootPlan, enter_minimal_root, trust_mounts

_BOOT = "import sys; sys.path.append('/var/task'); from launcher.inside.zygote import main; main()"
_FAMILIES = ("python", "nodejs", "ruby", "java", "exec")
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
CLIENT_DIRECTORY = "/var/runtime"
SDK_DIRECTORY = "/var/sdk"


@dataclass(slots=True)
class Zygote:
    """One running zygote. `pending` are the ids of sandboxes asked for and not yet cloned; `is_ending`: goes then."""

    key: int
    pid: int
    control: socket.socket
    family: str
    is_ready: bool = False
    is_ending: bool = False
    pending: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ReadableDirectories:
    """What the daemon may ask to see inside, fixed by root at start: directories and everything below them."""

    allowed: tuple[str, ...]

    def check(self, path: str | None) -> None:
        """Raise RefusedError unless `path` is None, in /usr, or in an allowed directory, written without detours."""
        if path is None:
            return
        if not path.startswith("/") or os.path.normpath(path) != path:
            raise RefusedError("not an absolute plain path")
        for directory in ("/usr", *self.allowed):
            if path == directory or path.startswith(directory + "/"):
                return
        raise RefusedError(f"{path} is not among the directories given at start")


class ZygoteStarter:
    """Forks zygotes for the supervisor."""

    def __init__(self, readable: ReadableDirectories, *, is_rootless: bool, root_id: int) -> None:
        self._readable = readable
        self._root_id = root_id
        self._is_rootless = is_rootless
        self.is_memory_limited = not is_rootless
        # Set where sandboxes have certificates of the daemon's.
        self.data_directory_fd: int | None = None

    def start(self, message: dict[str, Any]) -> Zygote:
        """Fork one. It says `ready` or `failed` on its control socket. Raises RefusedError, OSError."""
        family = message["family"]
        if family not in _FAMILIES:
            raise RefusedError("unknown family")
        own_roots, own_executable = _own_interpreter()
        directories = self._shown(message)
        is_forked = family == "python" and not message["is_fresh"]
        executable = message["executable"] if is_forked else own_executable
        if executable is None:
            raise RefusedError("no interpreter")
        unmount = ["/var/task"]
        if not is_forked:
            hidden = [root for root in own_roots if root not in directories]
            directories |= {root: root for root in hidden}
            unmount += hidden
        directories[os.path.dirname(os.path.dirname(os.path.abspath(__file__)))] = "/var/task"
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        trust: dict[str, int] = {}
        if self.data_directory_fd is not None:
            trust = trust_mounts(self.data_directory_fd, message["executable"])
        pid = os.fork()
        if pid == 0:
            self._become(executable, RootPlan(directories, trust), theirs)
        theirs.close()
        channel.close_all(list(trust.values()))
        options = {
            "family": family,
            "is_fresh": message["is_fresh"],
            "is_memory_limited": self.is_memory_limited,
            "preload_sdk": message["preload_sdk"],
            "unmount": unmount,
        }
        channel.send(ours, options)
        return Zygote(message["zygote"], pid, ours, family)

    def _shown(self, message: dict[str, Any]) -> dict[str, str]:
        self._readable.check(message["executable"])
        directories: dict[str, str] = {}
        for root in message["roots"]:
            self._readable.check(root)
            if root != "/usr" and not root.startswith("/usr/"):
                directories[root] = root
        for name, inside in (("client_directory", CLIENT_DIRECTORY), ("sdk_directory", SDK_DIRECTORY)):
            self._readable.check(message[name])
            if message[name] is not None:
                directories[message[name]] = inside
        return directories

    def _become(self, executable: str, plan: RootPlan, control: socket.socket) -> NoReturn:
        try:
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            enter_minimal_root(plan, is_rootless=self._is_rootless, root_id=self._root_id)
            null = os.open("/dev/null", os.O_RDWR)
            os.dup2(null, 0)
            os.dup2(null, 1)
            os.dup2(control.fileno(), 3, inheritable=True)
            syscalls.close_from(4)
            os.execve(executable, [executable, "-I", "-S", "-c", _BOOT], _ENVIRONMENT)
        except BaseException as error:
            try:
                channel.send(control, {"failed": f"{type(error).__name__}: {error}"})
            finally:
                os._exit(70)
        os._exit(70)


def _own_interpreter() -> tuple[list[str], str]:
    """Directories outside /usr that this program's own interpreter needs, and its true path."""
    prefix = os.path.realpath(sys.base_prefix)
    executable = os.path.realpath(sys.executable)
    return ([] if prefix == "/usr" or prefix.startswith("/usr/") else [prefix]), executable
