"""What must be done before the event loop and before rights are dropped: directory, lock, interpreters, launcher."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import platform
import resource
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lambent.environments.runtimes import (
    InterpreterSearch,
    SearchPlaces,
    installed_sdks,
    wheel_node,
)
from lambent.environments.runtimes.catalogue import CLIENT_ROOT
from lambent.environments.sandbox import Launcher, LauncherOptions, drop_rights, start_launcher
from lambent.environments.sandbox.sandbox import Interpreter, RuntimeFamily
from lambent.model.environment import IsolationLevel
from lambent.store import DataDirectoryLock

if TYPE_CHECKING:
    from lambent.environments.runtimes.sdk import SdkDirectories
    from lambent.settings import Settings

# What the daemon's account writes; the launcher makes its own directories, which stay root's.
_DAEMON_DIRECTORIES = ("keys", "zips", "code", "layers", "spool", "logs", "run")
_MEMORY_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class PreparedProcess:
    """What the application is built from. `launcher` is None at isolation level L0. Memory in MiB."""

    settings: Settings
    data_directory: Path
    lock: DataDirectoryLock
    interpreters: tuple[Interpreter, ...]
    sdks: SdkDirectories
    launcher: Launcher | None
    memory_mib_max: int


def prepare_process(settings: Settings) -> PreparedProcess:
    """Take the data directory, start the launcher with the rights this process has, then give them up.

    Blocks; to be called once, before any thread or event loop. Raises OSError, and LockedError when another daemon
    holds the data directory.
    """
    os.umask(0o022)
    _raise_descriptor_limit()
    data_directory = Path(settings.data_dir).absolute()
    data_directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    data_directory = data_directory.resolve()
    uid = settings.sandbox.daemon_uid
    lock = DataDirectoryLock(data_directory)
    _make_directories(data_directory, uid)
    interpreters = find_interpreters(settings, data_directory / "run" / "interpreters.json")
    sdks = installed_sdks(sdk_root()) if settings.runtimes.sdk else installed_sdks(data_directory / "no-sdk")
    readable = _readable(interpreters, sdks)
    launcher = None
    if settings.isolation.level != IsolationLevel.L0 and sys.platform == "linux":
        launcher = start_launcher(
            LauncherOptions(
                data_directory,
                readable=readable,
                uid_base=settings.sandbox.uid_base,
                egress=settings.network.egress,
                host_ports=settings.network.host_ports,
            )
        )
    memory_mib_max = settings.host.memory_mib_max or int(_available_mib() * _MEMORY_SHARE)
    drop_rights(uid, reachable=[data_directory, *(Path(path) for path in readable)])
    return PreparedProcess(settings, data_directory, lock, interpreters, sdks, launcher, memory_mib_max)


def find_interpreters(settings: Settings, memory: Path | None) -> tuple[Interpreter, ...]:
    """Return the interpreters of this machine; `memory` keeps the answers of those that were asked before."""
    own: list[tuple[RuntimeFamily, Path]] = [(RuntimeFamily.PYTHON, Path(sys.executable))]
    node = wheel_node(sys.path)
    if node is not None:
        own.append((RuntimeFamily.NODEJS, node))
    machine = settings.machine
    places = SearchPlaces(
        path=machine.path,
        homes=(Path(machine.home),) if machine.home else (),
        tool_roots=machine.tool_roots,
        executables=tuple(own),
    )
    return InterpreterSearch(places, memory).find()


def sdk_root() -> Path:
    """Return where set-up keeps the SDKs that functions find without shipping them."""
    return Path(sys.prefix) / "share" / "lambent" / "sdk"


def end_with_parent() -> None:
    """Let a worker process end when the daemon does, however that happens; runs first in each worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def architecture() -> str:
    """Return this machine's architecture by AWS's name."""
    return "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"


def _make_directories(data_directory: Path, uid: int) -> None:
    is_root = os.geteuid() == 0
    for name in _DAEMON_DIRECTORIES:
        directory = data_directory / name
        directory.mkdir(mode=0o700 if name == "keys" else 0o755, exist_ok=True)
    if not is_root:
        return
    # An earlier start as another account may have left files; a daemon that cannot write them could not start.
    os.chown(data_directory, uid, uid)
    for entry in data_directory.iterdir():
        if entry.name in _DAEMON_DIRECTORIES or (entry.is_file() and not entry.is_symlink()):
            _give(entry, uid)


def _give(entry: Path, uid: int) -> None:
    if entry.lstat().st_uid == uid:
        return
    os.chown(entry, uid, uid, follow_symlinks=False)
    if entry.is_dir() and not entry.is_symlink():
        for directory, names, files in os.walk(entry):
            for name in (*names, *files):
                os.chown(os.path.join(directory, name), uid, uid, follow_symlinks=False)


def _readable(interpreters: tuple[Interpreter, ...], sdks: SdkDirectories) -> tuple[str, ...]:
    roots = {root for interpreter in interpreters for root in interpreter.roots}
    return tuple(sorted({*roots, CLIENT_ROOT, *sdks.python.values(), *sdks.nodejs.values()}))


def _raise_descriptor_limit() -> None:
    # An environment holds about ten descriptors; a thousand of them need more than the usual soft limit.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _available_mib() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) // 1024
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1024 * 1024)
