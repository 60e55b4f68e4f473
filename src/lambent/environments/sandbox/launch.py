"""Starts the launcher while the daemon is still root, and lets the daemon give its rights up afterwards."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class LauncherOptions(NamedTuple):
    """What root decides once. `readable` are absolute directories that sandboxes may show beside /usr (interpreter
    roots, runtime clients, SDKs): the daemon can ask for nothing else. Environment n has host ids `uid_base` + n
    (n from 1); `uid_base` itself is root inside, which owns files and runs nothing.

    `egress` and `host_ports` are the settings network.egress and network.host_ports. `memory_mib_max` bounds all
    sandboxes together (0: no bound), where there is a memory cgroup. With `has_apis` AWS's names may lead to sockets
    inside, and `trust/` in the data directory holds the certificates that sandboxes see.
    """

    data_directory: Path
    readable: tuple[str, ...] = ()
    uid_base: int = 2_000_000
    egress: str = "open"
    host_ports: tuple[int, ...] = ()
    memory_mib_max: int = 0
    has_apis: bool = False


class Launcher(NamedTuple):
    """The daemon's end of the launcher's socket. The launcher ends, with all sandboxes, when it is closed."""

    socket: socket.socket
    process: subprocess.Popen[bytes]

    def stop(self, timeout_seconds: float = 30.0) -> None:
        """Close the socket and wait until the launcher has killed everything and ended. May block.

        One that takes longer is killed, and what runs inside ends with it; the next start sweeps what it leaves.
        """
        self.socket.close()
        try:
            self.process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_launcher(options: LauncherOptions) -> Launcher:
    """Start guard and supervisor with this process's rights: root gives L2, an ordinary user L1."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    text = json.dumps(
        {
            "data_directory": str(options.data_directory.resolve()),
            "readable": list(options.readable),
            "uid_base": options.uid_base,
            "egress": options.egress,
            "host_ports": list(options.host_ports),
            "memory_mib_max": options.memory_mib_max,
            "is_rootless": os.geteuid() != 0,
            "has_apis": options.has_apis,
        }
    )
    program = Path(__file__).with_name("launcher") / "__main__.py"
    command = [os.path.realpath(sys.executable), "-I", "-S", "-B", str(program), str(theirs.fileno()), text]
    with theirs:
        process = subprocess.Popen(
            command, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, env={"PATH": os.defpath}, cwd="/"
        )
    ours.setblocking(False)
    return Launcher(ours, process)
