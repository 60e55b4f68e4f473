"""The only program that keeps root: makes sandboxes for the unprivileged daemon, which it does not trust.

Single-threaded, one SOCK_SEQPACKET socket with the daemon, a closed set of messages. It ends when the daemon's end
of the socket closes; everything it made dies with it.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import os
import select
import signal
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import channel, syscalls
from .cgroups import Cgroups, SandboxCgroup
from .images import ImagePool
from .messages import RefusedError, parse
from .mounts import GROUP_ID, USER_ID, code_mount, owner_namespace
from .outside.firewall import parse_egress
from .outside.network import HostNetwork, NetworkPlan, NetworkUnavailableError
from .outside.root_mounts import RootMounts
from .rootless import TmpDirectories
from .zygotes import ReadableDirectories, Zygote, ZygoteStarter

if TYPE_CHECKING:
    from collections.abc import Callable
if TYPE_CHECKING:
    from collections.abc import Callable

    from .netlink import Link
    from .outside.rootless_network import RootlessUplink

SANDBOXES_MAX = 65_000
ZYGOTES_MAX = 256
OUT_OF_MEMORY_SCORE = "500"
REFRESH_SECONDS = 1.0
TEAR_DOWN_SECONDS_MAX = 2.0
ROOTLESS_MISSING = {
    "cgroup memory": "not root, no cgroup delegated: memory is watched ten times a second instead of limited",
    "cgroup cpu": "not root, no cgroup delegated: the CPU share is not applied",
    "cgroup freezer": "not root, no cgroup delegated: SIGSTOP instead of the freezer",
    "disk /tmp": "not root: /tmp is a directory whose size is watched",
}


@dataclass(frozen=True, slots=True)
class SupervisorOptions:
    """What root decided at start. Descriptors of directories are open; ids are host ids."""

    data_directory_fd: int
    images_directory_fd: int
    installation_id: str
    uid_base: int
    readable: tuple[str, ...]
    egress: str
    host_ports: tuple[int, ...]
    memory_mib_max: int
    is_rootless: bool
    has_apis: bool = False


@dataclass(slots=True)
class Cell:
    """One sandbox as the supervisor sees it. `pid` 0 means: not cloned yet."""

    identifier: int
    slot: int
    zygote: int
    cgroup: SandboxCgroup
    commands: socket.socket
    messages: socket.socket
    pid: int = 0
    userns_fd: int = -1
    is_closing: bool = False
    is_specialised: bool = False
    link: Link | None = None
    root: tuple[tuple[int, int], ...] = ()
    shared: str | None = None


class Supervisor:
    """Scope: one installation on one node. After a crash the guard starts another, which sweeps."""

    def __init__(
        self, options: SupervisorOptions, daemon: socket.socket, generation: int, uplink: RootlessUplink | None = None
    ) -> None:
        self._options = options
        self._uplink = uplink
        self._daemon = daemon
        self._generation = generation
        self._cgroups = Cgroups(options.installation_id)
        self._images = ImagePool(options.images_directory_fd, (USER_ID, GROUP_ID), f"lambent-{options.installation_id}")
        self._tmp_directories = TmpDirectories(options.images_directory_fd)
        self._roots = RootMounts(options.data_directory_fd)
        readable = ReadableDirectories(options.readable)
        self._starter = ZygoteStarter(readable, is_rootless=options.is_rootless, root_id=options.uid_base)
        if options.has_apis:
            self._starter.data_directory_fd = options.data_directory_fd
        self._code_owner_fd: int | None = None
        self._zygotes: dict[int, Zygote] = {}
        self._cells: dict[int, Cell] = {}
        self._cell_by_pid: dict[int, Cell] = {}
        self._free_slots = list(range(1, SANDBOXES_MAX))
        self._missing: dict[str, str] = {}
        self._network: HostNetwork | None = None
        self._epoll = select.epoll()
        self._readers: dict[int, Callable[[], None]] = {}
        self._is_ending = False
        self._is_refill_wanted = True
        self._refresh_at: float | None = None
        self._obey_kind: dict[str, Callable[[dict[str, Any]], None]] = {
            "zygote": self._start_zygote,
            "end_zygote": self._end_zygote,
            "create": self._create,
            "specialise": self._specialise,
            "cpu": self._limit_cpu,
            "close": self._close,
        }

    def run(self) -> None:
        """Serve until the daemon goes away."""
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD,))
        waker = syscalls.signal_fd({signal.SIGCHLD})
        self._watch(waker, lambda: self._reap(waker))
        self._watch(self._daemon.fileno(), self._hear_daemon)
        self._set_up()
        self._say_hello()
        while not self._is_ending:
            for fd, _ in self._epoll.poll(self._patience_seconds()):
                reader = self._readers.get(fd)
                if reader is not None:
                    reader()
        self._tear_down()

    def _patience_seconds(self) -> float:
        """How long nothing needs to be done; small chores are done here, when nobody is waiting."""
        if self._is_refill_wanted and not self._epoll.poll(0):
            try:
                self._is_refill_wanted = self._images.refill_one()
            except OSError:
                self._is_refill_wanted = False
        if self._is_refill_wanted:
            return 0
        patience = -1.0 if self._cgroups.remove_stale() else 0.05
        if self._refresh_at is None:
            return patience
        left = self._refresh_at - time.monotonic()
        if left <= 0:
            self._refresh_network()
            return 0
        return left if patience < 0 else min(left, patience)

    def _set_up(self) -> None:
        options = self._options
        if options.is_rootless:
            self._tmp_directories.sweep()
            self._is_refill_wanted = False
        self._cgroups.set_up(is_delegated=options.is_rootless)
        self._cgroups.sweep()
        self._cgroups.limit_all_memory(options.memory_mib_max)
        self._missing |= {f"cgroup {name}": reason for name, reason in self._cgroups.missing.items()}
        self._starter.is_memory_limited = "cgroup memory" not in self._missing
        if options.is_rootless:
            given = {f"cgroup {name}" for name in self._cgroups.by_controller}
            self._missing |= {name: reason for name, reason in ROOTLESS_MISSING.items() if name not in given}
        else:
            self._images.sweep()
            try:
                os.close(self._images.take(512))
            except OSError as error:
                self._missing["disk /tmp"] = str(error)
                self._is_refill_wanted = False
            self._code_owner_fd = owner_namespace(os.fstat(options.data_directory_fd).st_uid, options.uid_base)
        self._roots.owner_fd = self._code_owner_fd
        try:
            self._roots.probe(options.images_directory_fd)
        except OSError as error:
            self._missing["overlay"] = f"{error}: the layers of an image are merged into one tree of hard links"
        self._set_up_network()

    def _set_up_network(self) -> None:
        options = self._options
        if options.egress == "none":
            return
        if self._uplink is not None and self._uplink.reason:
            self._missing["egress"] = self._uplink.reason
            return
        host_view = self._uplink.host_view if self._uplink is not None else None
        try:
            plan = NetworkPlan(options.installation_id, parse_egress(options.egress), options.host_ports, host_view)
            network = HostNetwork(plan)
            network.start()
            if obstacles := network.obstacles():
                self._missing["egress through the host's firewall"] = obstacles
        except (NetworkUnavailableError, OSError, ValueError) as error:
            self._missing["egress"] = str(error)
            return
        self._network = network
        if network.watcher is not None:
            self._watch(network.watcher.fileno(), self._note_network_news)

    def _note_network_news(self) -> None:
        """Every link of our own is news too, so look once a second at most."""
        if self._network is not None and self._network.watcher is not None:
            self._unwatch(self._network.watcher.fileno())
            self._refresh_at = time.monotonic() + REFRESH_SECONDS

    def _refresh_network(self) -> None:
        self._refresh_at = None
        if self._network is not None and self._network.watcher is not None:
            self._watch(self._network.watcher.fileno(), self._note_network_news)
            try:
                self._network.refresh()
            except NetworkUnavailableError as error:
                self._missing["egress"] = str(error)

    def _say_hello(self) -> None:
        host_ipv4 = self._network.gateway_ipv4 if self._network is not None and self._options.host_ports else None
        self._tell(
            {
                "kind": "hello",
                "generation": self._generation,
                "missing": self._missing,
                "is_rootless": self._options.is_rootless,
                "pid": os.getpid(),
                "host_ipv4": host_ipv4,
                "tmp_directory": os.readlink(f"/proc/self/fd/{self._options.images_directory_fd}"),
            }
        )

    def _tear_down(self) -> None:
        for cell in list(self._cells.values()):
            if cell.pid:
                _kill(cell.pid)
                self._cgroups.thaw(cell.cgroup)
        for zygote in self._zygotes.values():
            _kill(zygote.pid)
        with contextlib.suppress(ChildProcessError):
            while True:
                # One that a zygote cloned a moment ago, and that nobody has told us of, waits for our word for ever.
                for child in _children():
                    _kill(child)
                pid, _ = os.waitpid(-1, 0)
                cell_or_none = self._cell_by_pid.pop(pid, None)
                if cell_or_none is not None:
                    self._cgroups.remove(cell_or_none.cgroup)
        deadline = time.monotonic() + TEAR_DOWN_SECONDS_MAX
        while not self._cgroups.remove_stale() and time.monotonic() < deadline:
            time.sleep(0.005)
        self._cgroups.tear_down()
        self._images.close()
        if self._network is not None:
            self._network.stop()

    def _watch(self, fd: int, reader: Callable[[], None]) -> None:
        self._readers[fd] = reader
        self._epoll.register(fd, select.EPOLLIN)

    def _unwatch(self, fd: int) -> None:
        self._readers.pop(fd, None)
        with contextlib.suppress(OSError):
            self._epoll.unregister(fd)

    def _tell(self, message: dict[str, Any], fds: list[int] | None = None) -> None:
        try:
            channel.send(self._daemon, message, fds or ())
        except OSError:
            self._is_ending = True

    # What the daemon asks.

    def _hear_daemon(self) -> None:
        try:
            data, fds = channel.receive_raw(self._daemon)
        except OSError:
            data, fds = b"", []
        channel.close_all(fds)
        if not data:
            self._is_ending = True
            return
        concerned: dict[str, Any] = {}
        try:
            message = parse(data, self._generation)
            if message is not None:
                concerned = message
                self._obey_kind[message["kind"]](message)
        except (RefusedError, OSError) as error:
            if isinstance(error, RefusedError):
                concerned = concerned or error.concerned
            identifier, zygote = concerned.get("id"), concerned.get("zygote")
            self._tell({"kind": "failed", "id": identifier, "zygote": zygote, "reason": str(error)[:500]})

    def _start_zygote(self, message: dict[str, Any]) -> None:
        key = message["zygote"]
        if key in self._zygotes or len(self._zygotes) >= ZYGOTES_MAX:
            raise RefusedError("this zygote runs already, or too many do")
        zygote = self._starter.start(message)
        self._zygotes[key] = zygote
        self._watch(zygote.control.fileno(), lambda: self._hear_zygote(zygote))

    def _end_zygote(self, message: dict[str, Any]) -> None:
        zygote = self._zygotes.get(message["zygote"])
        if zygote is None:
            raise RefusedError("no such zygote")
        zygote.is_ending = True
        if not zygote.pending:
            self._lose_zygote(zygote, "ended")

    def _create(self, message: dict[str, Any]) -> None:
        identifier = message["id"]
        zygote = self._zygotes.get(message["zygote"])
        if zygote is None or not zygote.is_ready:
            raise RefusedError("no such zygote")
        if identifier in self._cells or not self._free_slots:
            raise RefusedError("this sandbox exists already, or too many do")
        shared = message["shared"]
        if shared is not None and (not shared.startswith("java/") or os.path.normpath(shared) != shared):
            raise RefusedError("nothing that sandboxes share")
        slot = heapq.heappop(self._free_slots)
        try:
            cgroup = self._cgroups.create(f"e{slot}")
        except OSError:
            heapq.heappush(self._free_slots, slot)
            raise
        commands, commands_inside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        messages, messages_inside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        cell = Cell(identifier, slot, zygote.key, cgroup, commands, messages, shared=shared)
        self._cells[identifier] = cell
        zygote.pending.append(identifier)
        try:
            fds = [commands_inside.fileno(), messages_inside.fileno(), *cgroup.fds]
            channel.send(zygote.control, {"id": identifier, "argv": message["argv"]}, fds)
        except OSError:
            self._lose_zygote(zygote, "the zygote does not answer")
        finally:
            commands_inside.close()
            messages_inside.close()
            self._cgroups.close_fds(cgroup)

    def _specialise(self, message: dict[str, Any]) -> None:
        cell = self._cells.get(message["id"])
        if cell is None or not cell.pid or cell.is_closing or cell.is_specialised:
            raise RefusedError("no such sandbox, or specialised already")
        self._cgroups.limit_memory(cell.cgroup, message["memory_mib"])
        trees: list[int] = []
        places: list[str] = []
        tmpfs_mib = 0
        if not message["root"] and message["code"] is None:
            raise RefusedError("neither a root nor code")
        try:
            if message["root"]:
                if cell.root:
                    # An earlier attempt that failed afterwards.
                    self._roots.give_back(cell.root)
                tree, cell.root = self._roots.take(message["root"], is_merged=message["is_merged"])
                trees.append(tree)
                places.append("/")
            for path, place in ((message["code"], "/var/task"), (message["layers"], "/opt")):
                if path is not None:
                    if not path.startswith(("code/", "layers/", "java/")) or os.path.normpath(path) != path:
                        raise RefusedError("neither code nor layers")
                    trees.append(self._mount_code(path))
                    places.append(place)
            if self._options.is_rootless:
                trees.append(self._tmp_directories.take(cell.slot))
                places.append("/tmp")
            elif "disk /tmp" in self._missing:
                tmpfs_mib = message["tmp_mib"]
            else:
                trees.append(self._take_image(cell, message["tmp_mib"]))
                places.append("/tmp")
            channel.send(cell.messages, {"mounts": places, "tmpfs_mib": tmpfs_mib}, trees)
            cell.is_specialised = True
        finally:
            channel.close_all(trees)
        cell.messages.close()

    def _mount_code(self, path: str) -> int:
        try:
            return code_mount(self._options.data_directory_fd, path, self._code_owner_fd)
        except OSError as error:
            if self._code_owner_fd is None or error.errno not in (errno.EINVAL, errno.EPERM):
                raise
        # A file system without idmapped mounts: the files belong to nobody inside, and are read all the same.
        return code_mount(self._options.data_directory_fd, path)

    def _take_image(self, cell: Cell, size_mib: int) -> int:
        image = self._images.take(size_mib)
        self._is_refill_wanted = True
        try:
            syscalls.mount_setattr(image, "", syscalls.MOUNT_ATTR_IDMAP, userns_fd=cell.userns_fd)
        except OSError as error:
            # Without idmapped mounts files on disk carry the environment's host ids: nobody shares the image anyway.
            self._missing["idmapped mounts"] = str(error)
            owner = self._options.uid_base + cell.slot
            os.chown(f"/proc/self/fd/{image}", owner, owner)
        return image

    def _limit_cpu(self, message: dict[str, Any]) -> None:
        cell = self._cells.get(message["id"])
        if cell is None:
            raise RefusedError("no such sandbox")
        self._cgroups.limit_cpu(cell.cgroup, message["millicpus"])

    def _close(self, message: dict[str, Any]) -> None:
        cell = self._cells.get(message["id"])
        if cell is None:
            raise RefusedError("no such sandbox")
        cell.is_closing = True
        if cell.pid:
            _kill(cell.pid)
            self._cgroups.thaw(cell.cgroup)

    # What happens below.

    def _hear_zygote(self, zygote: Zygote) -> None:
        try:
            message, fds = channel.receive(zygote.control)
        except (OSError, ValueError):
            message, fds = None, []
        channel.close_all(fds)
        if message is None or "failed" in message:
            self._lose_zygote(zygote, message["failed"] if message else "the zygote ended")
        elif "ready" in message:
            zygote.is_ready = True
            self._tell({"kind": "zygote", "zygote": zygote.key, "pid": zygote.pid})
        elif message.get("id") in zygote.pending:
            zygote.pending.remove(message["id"])
            self._receive_clone(self._cells[message["id"]], message)
            if zygote.is_ending and not zygote.pending:
                self._lose_zygote(zygote, "ended")

    def _receive_clone(self, cell: Cell, message: dict[str, Any]) -> None:
        if "error" in message:
            self._forget(cell, message["error"])
            return
        cell.pid = message["pid"]
        self._cell_by_pid[cell.pid] = cell
        if cell.is_closing:
            _kill(cell.pid)
            return
        try:
            self._let_go(cell)
        except (OSError, NetworkUnavailableError) as error:
            self._tell({"kind": "failed", "id": cell.identifier, "zygote": None, "reason": str(error)[:500]})
            cell.is_closing = True
            _kill(cell.pid)

    def _let_go(self, cell: Cell) -> None:
        """Give the new pid 1 its ids and its link, wake it, and hand its sockets to the daemon."""
        process = f"/proc/{cell.pid}"
        host_id = 0 if self._options.is_rootless else self._options.uid_base + cell.slot
        # Root inside owns files and runs nothing: no process can take an id, and every capability is given up.
        root = "" if self._options.is_rootless else f"0 {self._options.uid_base} 1\n"
        _write(f"{process}/uid_map", f"{root}{USER_ID} {host_id} 1")
        _write(f"{process}/gid_map", f"{root}{GROUP_ID} {host_id} 1")
        _write(f"{process}/oom_score_adj", OUT_OF_MEMORY_SCORE)
        cell.userns_fd = os.open(f"{process}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        if self._network is not None:
            cell.link = self._network.create_link(cell.pid)
        trees = [self._mount_code(cell.shared)] if cell.shared is not None else []
        try:
            go = {"hostname": "169-254-100-6", "link": cell.link, "has_apis": self._options.has_apis}
            channel.send(cell.commands, go, trees)
        finally:
            channel.close_all(trees)
        files = self._cgroups.open_for_daemon(cell.cgroup)
        fds = [cell.commands.fileno(), cell.messages.fileno(), *files.values()]
        reply = {"kind": "created", "id": cell.identifier, "pid": cell.pid, "slot": cell.slot, "files": list(files)}
        self._tell(reply, fds)
        channel.close_all(list(files.values()))
        cell.commands.close()

    def _lose_zygote(self, zygote: Zygote, reason: str) -> None:
        self._unwatch(zygote.control.fileno())
        zygote.control.close()
        _kill(zygote.pid)
        self._zygotes.pop(zygote.key, None)
        for identifier in zygote.pending:
            self._forget(self._cells[identifier], reason)
        self._tell({"kind": "zygote_ended", "zygote": zygote.key, "reason": reason})

    def _reap(self, waker: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(waker, 4096)
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            cell = self._cell_by_pid.pop(pid, None)
            if cell is not None:
                self._forget(cell, None)

    def _forget(self, cell: Cell, reason: str | None) -> None:
        """The sandbox's pid 1 is gone, and all its processes with it."""
        self._cells.pop(cell.identifier, None)
        self._cgroups.remove(cell.cgroup)
        cell.commands.close()
        cell.messages.close()
        if cell.userns_fd >= 0:
            os.close(cell.userns_fd)
        if cell.root:
            self._roots.give_back(cell.root)
        if cell.link is not None and self._network is not None:
            self._network.release_link(cell.link)
        if self._options.is_rootless:
            self._tmp_directories.give_back(cell.slot)
        heapq.heappush(self._free_slots, cell.slot)
        self._tell({"kind": "ended", "id": cell.identifier, "reason": reason})


def _children() -> list[int]:
    with contextlib.suppress(OSError), open("/proc/thread-self/children") as file:
        return [int(pid) for pid in file.read().split()]
    return []


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _write(path: str, value: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)
