"""Resource limits of sandboxes on cgroup v1, v2 and hybrid hosts, found out by doing.

Every sandbox has one directory in each hierarchy in use, below one directory that carries the installation's id.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from dataclasses import dataclass, field
from typing import NoReturn

CPU_PERIOD_US = 20_000
# RLIMIT_NPROC stops a function at 1,024; this stops whatever found a way around it.
PIDS_MAX = 1_100
_V2 = "cgroup2"
_WANTED = ("memory", "cpu", "pids")
_SWEEP_SECONDS_MAX = 5.0
# A v2 cgroup that is divided may hold no process itself: those that were in it go here.
_MEMBERS = "lambent-members"
_MOVES_MAX = 20


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted hierarchy: `directory` is the installation's own directory in it."""

    directory: str
    is_v2: bool
    controllers: frozenset[str]


@dataclass(slots=True)
class SandboxCgroup:
    """The directories of one sandbox, by what they are for."""

    directories: list[str]
    by_controller: dict[str, Hierarchy]
    name: str
    fds: list[int] = field(default_factory=list)

    def path(self, controller: str, file: str) -> str:
        """Return the path of a control file."""
        return f"{self.by_controller[controller].directory}/{self.name}/{file}"


class Cgroups:
    """All hierarchies that this installation uses. Scope: node. What a crash leaves is swept at the next start."""

    def __init__(self, installation_id: str) -> None:
        self._installation = f"lambent-{installation_id}"
        self.by_controller: dict[str, Hierarchy] = {}
        self.missing: dict[str, str] = {}
        self._hierarchies: list[Hierarchy] = []
        self._stale: list[str] = []

    def set_up(self, *, is_delegated: bool = False) -> None:
        """Find the hierarchies and make the installation's directories.

        An ordinary user (`is_delegated`) may divide only the v2 cgroup this process is in, and only where systemd
        or a container has made it that account's.
        """
        for mount_point, is_v2, options in _mounted_hierarchies():
            place = mount_point if not is_delegated else _delegated_cgroup(mount_point) if is_v2 else None
            if place is not None:
                self._adopt(place, is_v2=is_v2, options=options)
        for controller in ("memory", "cpu", "freezer"):
            if controller not in self.by_controller:
                self.missing.setdefault(controller, f"no cgroup hierarchy offers {controller}")
        used = {each.directory for each in self.by_controller.values()}
        for hierarchy in self._hierarchies:
            if hierarchy.directory not in used:
                _remove(hierarchy.directory)
        self._hierarchies = [each for each in self._hierarchies if each.directory in used]
        self._prove()

    def create(self, name: str) -> SandboxCgroup:
        """Make the directories of one sandbox; `fds` are its cgroup.procs files, opened for writing."""
        cgroup = SandboxCgroup([], self.by_controller, name)
        try:
            for hierarchy in self._hierarchies:
                directory = f"{hierarchy.directory}/{name}"
                with contextlib.suppress(FileExistsError):
                    os.mkdir(directory)
                cgroup.directories.append(directory)
                cgroup.fds.append(os.open(f"{directory}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC))
            if "pids" in self.by_controller:
                _write(cgroup.path("pids", "pids.max"), str(PIDS_MAX))
        except OSError:
            self.close_fds(cgroup)
            self.remove(cgroup)
            raise
        return cgroup

    @staticmethod
    def close_fds(cgroup: SandboxCgroup) -> None:
        """Close the cgroup.procs files."""
        for fd in cgroup.fds:
            os.close(fd)
        cgroup.fds.clear()

    def remove(self, cgroup: SandboxCgroup) -> None:
        """Remove the directories; those still busy are tried again by `remove_stale`."""
        self._stale += [directory for directory in cgroup.directories if not _remove(directory)]

    def remove_stale(self) -> bool:
        """Try again what could not be removed. True when nothing is left."""
        self._stale = [directory for directory in self._stale if not _remove(directory)]
        return not self._stale

    def open_for_daemon(self, cgroup: SandboxCgroup) -> dict[str, int]:
        """Open the files with which the daemon freezes and measures without asking. The caller closes them."""
        files: dict[str, int] = {}
        freezer = self.by_controller.get("freezer")
        if freezer is not None:
            file = "cgroup.freeze" if freezer.is_v2 else "freezer.state"
            files["freeze_v2" if freezer.is_v2 else "freeze_v1"] = _open(cgroup.path("freezer", file), os.O_WRONLY)
        memory = self.by_controller.get("memory")
        if memory is not None:
            names = (
                ("memory.peak", "memory.events")
                if memory.is_v2
                else ("memory.max_usage_in_bytes", "memory.oom_control")
            )
            peak = cgroup.path("memory", names[0])
            if not os.path.exists(peak):
                peak = cgroup.path("memory", "memory.current")
            files["memory_peak"] = _open(peak, os.O_RDONLY)
            files["memory_events"] = _open(cgroup.path("memory", names[1]), os.O_RDONLY)
            files["memory_stat"] = _open(cgroup.path("memory", "memory.stat"), os.O_RDONLY)
        return files

    def limit_all_memory(self, memory_mib: int) -> None:
        """Bound all sandboxes together, so that many at once cannot take the host's memory; 0: no bound."""
        memory = self.by_controller.get("memory")
        if memory is None or not memory_mib:
            return
        file = "memory.max" if memory.is_v2 else "memory.limit_in_bytes"
        try:
            _write(f"{memory.directory}/{file}", str(memory_mib << 20))
        except OSError as error:
            self.missing["memory of all together"] = f"{memory.directory}/{file}: {error.strerror}"

    def limit_memory(self, cgroup: SandboxCgroup, memory_mib: int) -> None:
        """Set the hard limit, swap included."""
        memory = self.by_controller.get("memory")
        if memory is None:
            return
        value = str(memory_mib << 20)
        if memory.is_v2:
            _write(cgroup.path("memory", "memory.max"), value)
            with contextlib.suppress(FileNotFoundError):
                _write(cgroup.path("memory", "memory.swap.max"), "0")
            return
        _write(cgroup.path("memory", "memory.limit_in_bytes"), value)
        try:
            _write(cgroup.path("memory", "memory.memsw.limit_in_bytes"), value)
        except OSError:
            with contextlib.suppress(OSError):
                _write(cgroup.path("memory", "memory.swappiness"), "0")

    def limit_cpu(self, cgroup: SandboxCgroup, millicpus: int) -> None:
        """Allow `millicpus` thousandths of one CPU from now on."""
        cpu = self.by_controller.get("cpu")
        if cpu is None:
            return
        quota = max(1000, CPU_PERIOD_US * millicpus // 1000)
        if cpu.is_v2:
            _write(cgroup.path("cpu", "cpu.max"), f"{quota} {CPU_PERIOD_US}")
            return
        _write(cgroup.path("cpu", "cpu.cfs_period_us"), str(CPU_PERIOD_US))
        _write(cgroup.path("cpu", "cpu.cfs_quota_us"), str(quota))

    def thaw(self, cgroup: SandboxCgroup) -> None:
        """Let killed processes die: the v1 freezer holds even those."""
        freezer = self.by_controller.get("freezer")
        if freezer is not None and not freezer.is_v2:
            with contextlib.suppress(OSError):
                _write(cgroup.path("freezer", "freezer.state"), "THAWED")

    def sweep(self) -> int:
        """Kill everything in this installation's directories and remove them; return how many sandboxes there were."""
        deadline = time.monotonic() + _SWEEP_SECONDS_MAX
        directories = [f"{each.directory}/{name}" for each in self._hierarchies for name in _children(each.directory)]
        swept = len({os.path.basename(directory) for directory in directories})
        while directories and time.monotonic() < deadline:
            for directory in directories:
                with contextlib.suppress(OSError):
                    _write(f"{directory}/freezer.state", "THAWED")
                _kill_members(directory)
            directories = [directory for directory in directories if not _remove(directory)]
            if directories:
                time.sleep(0.005)
        return swept

    def tear_down(self) -> None:
        """Remove the installation's directories, if they are empty."""
        for hierarchy in self._hierarchies:
            _remove(hierarchy.directory)

    def _prove(self) -> None:
        """Let a process join as every sandbox's will; where that fails there are no cgroups."""
        try:
            cgroup = self.create("probe")
        except OSError as error:
            self._give_up(error.errno or errno.EIO)
            return
        pid = os.fork()
        if pid == 0:
            _join(cgroup.fds)
        failure = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self.close_fds(cgroup)
        self.remove(cgroup)
        if failure:
            self._give_up(failure)

    def _give_up(self, number: int) -> None:
        for controller, hierarchy in self.by_controller.items():
            self.missing[controller] = f"{hierarchy.directory}: no process can join: {os.strerror(abs(number))}"
        for hierarchy in self._hierarchies:
            _remove(hierarchy.directory)
        self.by_controller.clear()
        self._hierarchies.clear()

    def _adopt(self, mount_point: str, *, is_v2: bool, options: frozenset[str]) -> None:
        wanted = {"freezer"} | set(_WANTED)
        if is_v2:
            with contextlib.suppress(OSError):
                options = frozenset(_read(f"{mount_point}/cgroup.controllers").split())
        offered = {name for name in wanted if name in options}
        # The pids controller of v1 would be one more hierarchy to join; RLIMIT_NPROC bounds as well there.
        offered -= set() if is_v2 else {"pids"}
        if is_v2:
            offered.add("freezer")
        if not offered:
            return
        directory = f"{mount_point}/{self._installation}"
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(directory, 0o755)
            enabled = self._enable(mount_point, directory, offered - {"freezer"}) if is_v2 else set(offered)
        except OSError as error:
            for controller in offered:
                self.missing[controller] = f"{directory}: {error.strerror}"
            return
        if is_v2 and os.path.exists(f"{directory}/cgroup.freeze"):
            enabled.add("freezer")
        hierarchy = Hierarchy(directory, is_v2, frozenset(enabled))
        self._hierarchies.append(hierarchy)
        for controller in enabled:
            self.missing.pop(controller, None)
            if is_v2 or controller not in self.by_controller:
                self.by_controller[controller] = hierarchy

    def _enable(self, mount_point: str, directory: str, controllers: set[str]) -> set[str]:
        enabled = set()
        # A cgroup that is divided may hold no process of its own, but for the root of all.
        is_root = not os.path.exists(f"{mount_point}/cgroup.type")
        if not is_root and controllers - set(_read(f"{mount_point}/cgroup.subtree_control").split()):
            _move_members(mount_point)
        for controller in sorted(controllers):
            try:
                for place in (mount_point, directory):
                    if controller not in _read(f"{place}/cgroup.subtree_control").split():
                        _write(f"{place}/cgroup.subtree_control", f"+{controller}")
                enabled.add(controller)
            except OSError as error:
                self.missing[controller] = f"{mount_point}: cannot enable {controller}: {error.strerror}"
        return enabled


def _mounted_hierarchies() -> list[tuple[str, bool, frozenset[str]]]:
    found = []
    for line in _read("/proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind in ("cgroup", _V2):
            mount_point = left.split(" ")[4].replace("\\040", " ")
            found.append((mount_point, kind == _V2, frozenset(options.split(","))))
    return found


def _delegated_cgroup(mount_point: str) -> str | None:
    """Return the directory of this process's own v2 cgroup, if this account may divide it."""
    for line in _read("/proc/self/cgroup").splitlines():
        if line.startswith("0::/"):
            directory = os.path.normpath(f"{mount_point}/{line[4:]}")
            if os.path.basename(directory) == _MEMBERS:
                directory = os.path.dirname(directory)
            if all(
                os.access(f"{directory}/{file}", os.W_OK) for file in ("", "cgroup.procs", "cgroup.subtree_control")
            ):
                return directory
    return None


def _join(fds: list[int]) -> NoReturn:
    try:
        for fd in fds:
            os.write(fd, b"0")
    except OSError as error:
        os._exit(error.errno or errno.EIO)
    os._exit(0)


def _move_members(place: str) -> None:
    """Move the processes of a v2 cgroup that is ours (this one's own, its parents') into a child of it."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(f"{place}/{_MEMBERS}", 0o755)
    for _ in range(_MOVES_MAX):
        members = _read(f"{place}/cgroup.procs").split()
        if not members:
            return
        for member in members:
            with contextlib.suppress(ProcessLookupError):
                _write(f"{place}/{_MEMBERS}/cgroup.procs", member)


def _children(directory: str) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _kill_members(directory: str) -> None:
    try:
        members = _read(f"{directory}/cgroup.procs").split()
    except OSError:
        return
    for member in members:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(int(member), signal.SIGKILL)


def _remove(directory: str) -> bool:
    try:
        os.rmdir(directory)
    except OSError as error:
        return error.errno == errno.ENOENT
    return True


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC)


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()


def _write(path: str, value: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)
