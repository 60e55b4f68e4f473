"""The way out for an ordinary user: one pasta (or slirp4netns) for all environments of an installation.

Both carry packets between a tap device in the launcher's own network namespace and ordinary sockets of the host, and
both would let an environment reach the host's services through its own addresses. Those are refused by the firewall
in that namespace, which is told them through a socket made before the launcher left the host's network.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time

from .. import netlink, syscalls
from .network import HostView

_SEARCH_PATH = "/usr/bin:/bin:/usr/local/bin:/usr/sbin:/sbin"
_TUN = "/dev/net/tun"
_TAP = "tap0"
_READY_SECONDS = 5.0
_LOOK_SECONDS = 0.005
# What slirp4netns itself answers for: the host's loopback (which it is told not to offer) and its name server.
_SLIRP_ADDRESSES = ("10.0.2.2", "10.0.2.3")


class RootlessUplink:
    """Scope: one launcher. `reason` says why there is no way out, and is empty once there is one.

    Make it in the host's network namespace, leave, then `attach`. The carrier ends with this process.
    """

    def __init__(self, host_ports: tuple[int, ...]) -> None:
        self._program = _find_program()
        self.reason = _reason(self._program, host_ports)
        self.host_view = HostView(netlink.Netlink(), netlink.watch_addresses(), self._own_addresses())
        self._go = -1
        self._carrier_pid = 0
        if not self.reason:
            self._go = self._fork_waiting(host_ports)

    def attach(self, pid: int) -> None:
        """Start the carrier for the namespaces of `pid` and wait until they have a default route (about 20 ms)."""
        if self._go < 0:
            return
        os.write(self._go, str(pid).encode())
        os.close(self._go)
        self._go = -1
        channel = netlink.Netlink()
        try:
            deadline = time.monotonic() + _READY_SECONDS
            while not any(route.length == 0 and route.is_unicast for route in netlink.routes(channel)):
                if time.monotonic() > deadline:
                    self.reason = f"{os.path.basename(self._program)} did not bring a default route up"
                    return
                time.sleep(_LOOK_SECONDS)
        finally:
            channel.close()

    def stop(self) -> None:
        """End the carrier, wait for its end, close the sockets. Idempotent."""
        self.host_view.netlink.close()
        self.host_view.watcher.close()
        if self._carrier_pid:
            # Reaped already, it may be somebody else's number by now: then it is no child and nothing is killed.
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(self._carrier_pid, os.WNOHANG)[0] == 0:
                    os.kill(self._carrier_pid, signal.SIGKILL)
                    os.waitpid(self._carrier_pid, 0)
            self._carrier_pid = 0

    def _own_addresses(self) -> tuple[str, ...]:
        return _SLIRP_ADDRESSES if self._program.endswith("slirp4netns") else ()

    def _fork_waiting(self, host_ports: tuple[int, ...]) -> int:
        """Fork what will become the carrier: it keeps the host's network, which this process is about to leave."""
        read_end, write_end = os.pipe()
        self._carrier_pid = os.fork()
        if self._carrier_pid == 0:
            try:
                syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
                # Python ignores SIGPIPE; pasta takes what it inherits for a failure of its own and ends.
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)
                os.dup2(read_end, 0)
                null = os.open(os.devnull, os.O_RDWR)
                os.dup2(null, 1)
                os.dup2(null, 2)
                os.closerange(3, os.sysconf("SC_OPEN_MAX"))
                pid = os.read(0, 32).decode()
                if pid:
                    os.execv(self._program, _command(self._program, pid, host_ports))
            finally:
                os._exit(1)
        os.close(read_end)
        return write_end


def _find_program() -> str:
    found = (shutil.which(name, path=_SEARCH_PATH) for name in ("pasta", "slirp4netns"))
    return next((program for program in found if program is not None), "")


def _reason(program: str, host_ports: tuple[int, ...]) -> str:
    if not program:
        return "neither pasta nor slirp4netns is installed (Debian and Ubuntu: apt install passt)"
    if host_ports and program.endswith("slirp4netns"):
        return "network.host_ports without root needs pasta (Debian and Ubuntu: apt install passt)"
    try:
        os.close(os.open(_TUN, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{_TUN}: {error.strerror}; an ordinary user needs it readable and writable (chmod 0666 {_TUN})"
    return ""


def _command(program: str, pid: str, host_ports: tuple[int, ...]) -> list[str]:
    if program.endswith("slirp4netns"):
        return [program, "--configure", "--disable-host-loopback", "--mtu=65520", pid, _TAP]
    into_host = ",".join(str(port) for port in host_ports) or "none"
    closed = ["-t", "none", "-u", "none", "-U", "none", "-T", into_host]
    return [program, "--foreground", "--quiet", "--config-net", "--no-map-gw", "-I", _TAP, *closed, pid]
