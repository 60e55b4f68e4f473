"""Archives of the classes that a waiting Java process loads (AppCDS): one for each virtual machine, made once.

Made in a sandbox of its own, in which nothing but the virtual machine and our runtime client run, and received over
its standard output; kept in the data directory and shown to waiting processes read-only.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import shutil
from typing import TYPE_CHECKING

from lambent.environments.sandbox.java_flags import FIRST_WITH_ARCHIVES, archive_argv
from lambent.environments.sandbox.sandbox import RuntimeFamily, SandboxError, SandboxKind, Specialisation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from lambent.environments.sandbox.sandbox import Interpreter, Sandbox

_log = logging.getLogger(__name__)

# The first function's own start needs the processors more.
_PAUSE_SECONDS = 3.0
_MAKE_SECONDS_MAX = 120.0
_MEMORY_MIB = 1_024
_READ_BYTES = 1 << 20
_PARTIAL = ".partial"
_FILE = "runtime.jsa"
_ACCOUNT = "000000000000"
_WANTED_MAX = 64


class JavaArchives:
    """Scope: data directory. After a crash: what was whole is used, what was not is removed.

    `create` makes a sandbox. A virtual machine without an archive starts all the same, a fifth slower.
    """

    def __init__(self, create: Callable[[SandboxKind], Awaitable[Sandbox]]) -> None:
        self._create = create
        self._directory: Path | None = None
        self._known: dict[tuple[str, str], str | None] = {}
        self._wanted: asyncio.Queue[tuple[Interpreter, str]] = asyncio.Queue(_WANTED_MAX)

    async def run(self, directory: Path) -> None:
        """Make what is wanted, one at a time, in a directory of the data directory. Runs until cancelled."""
        await asyncio.to_thread(_sweep, directory)
        self._directory = directory
        while True:
            interpreter, client = await self._wanted.get()
            await asyncio.sleep(_PAUSE_SECONDS)
            name = archive_name(interpreter, client)
            try:
                async with asyncio.timeout(_MAKE_SECONDS_MAX):
                    await self._make(interpreter, client, name)
            except (SandboxError, OSError, TimeoutError) as error:
                _log.warning("no class archive for %s: %s", interpreter.executable, error)
                continue
            self._known[interpreter.executable, client] = f"{directory.name}/{name}"

    def path_of(self, kind: SandboxKind) -> str | None:
        """Return the archive's directory, relative to the data directory; None while there is none. Never blocks."""
        interpreter, client = kind.interpreter, kind.client_directory
        if self._directory is None or kind.family is not RuntimeFamily.JAVA or interpreter is None or client is None:
            return None
        key = interpreter.executable, client
        if key not in self._known:
            self._known[key] = None
            if int(interpreter.version.split(".", 1)[0]) >= FIRST_WITH_ARCHIVES:
                self._look_for(interpreter, client)
        return self._known[key]

    def _look_for(self, interpreter: Interpreter, client: str) -> None:
        assert self._directory is not None
        with contextlib.suppress(OSError, asyncio.QueueFull):
            name = archive_name(interpreter, client)
            if (self._directory / name / _FILE).is_file():
                self._known[interpreter.executable, client] = f"{self._directory.name}/{name}"
            else:
                self._wanted.put_nowait((interpreter, client))

    async def _make(self, interpreter: Interpreter, client: str, name: str) -> None:
        assert self._directory is not None
        partial = self._directory / f"{name}{_PARTIAL}"
        partial.mkdir(mode=0o755)
        try:
            sandbox = await self._create(SandboxKind(RuntimeFamily.EXEC, _ACCOUNT, interpreter, client))
            try:
                await sandbox.specialise(
                    Specialisation(
                        code_directory=f"{self._directory.name}/{partial.name}",
                        memory_mib=_MEMORY_MIB,
                        ephemeral_storage_mib=_MEMORY_MIB // 2,
                        variables={"PATH": "/usr/local/bin:/usr/bin:/bin"},
                        argv=archive_argv(interpreter, "/var/runtime"),
                    )
                )
                await _receive(sandbox, partial / _FILE)
            finally:
                await sandbox.close()
            await asyncio.to_thread(_put_in_place, partial, self._directory / name)
        finally:
            await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)


def archive_name(interpreter: Interpreter, client: str) -> str:
    """Return what an archive is called: by its virtual machine, and by the state of that and of the client.

    Raises OSError.
    """
    marks = [f"{status.st_mtime_ns}/{status.st_size}" for status in map(os.stat, (interpreter.executable, client))]
    jar = os.stat(f"{client}/lambent-runtime.jar")
    marks.append(f"{jar.st_mtime_ns}/{jar.st_size}/{interpreter.version}")
    machine = hashlib.sha256(interpreter.executable.encode()).hexdigest()[:16]
    return f"{machine}-{hashlib.sha256(' '.join(marks).encode()).hexdigest()[:16]}"


async def _receive(sandbox: Sandbox, path: Path) -> None:
    """Write what the sandbox says to a file; SandboxError if its program fails."""
    loop = asyncio.get_running_loop()
    with path.open("wb") as file:

        def drain() -> None:
            with contextlib.suppress(BlockingIOError):
                while data := os.read(sandbox.log_fd, _READ_BYTES):
                    file.write(data)

        loop.add_reader(sandbox.log_fd, drain)
        try:
            ended = await sandbox.wait_exited()
        finally:
            loop.remove_reader(sandbox.log_fd)
        drain()
        file.flush()
        await asyncio.to_thread(os.fsync, file.fileno())
    if ended.code != 0:
        raise SandboxError(f"the virtual machine made none (exit {ended.code}, signal {ended.signal})")


def _put_in_place(partial: Path, final: Path) -> None:
    """Give a whole archive its name, and remove those of earlier states of the same virtual machine."""
    partial.rename(final)
    for other in final.parent.glob(f"{final.name.split('-', 1)[0]}-*"):
        if other != final and not other.name.endswith(_PARTIAL):
            shutil.rmtree(other, ignore_errors=True)


def _sweep(directory: Path) -> None:
    """Make the directory, and remove what a crash left unfinished in it."""
    directory.mkdir(mode=0o755, exist_ok=True)
    for path in directory.glob(f"*{_PARTIAL}"):
        shutil.rmtree(path, ignore_errors=True)
