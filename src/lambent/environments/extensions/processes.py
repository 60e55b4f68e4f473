"""Processes of external extensions, and sockets of the network inside: asked of init, or made here at level 0."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar, cast

from lambent.environments.sandbox.launcher import channel
from lambent.environments.sandbox.sandbox import RuntimeExit, SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ANSWER_SECONDS_MAX = 10.0
Answer = TypeVar("Answer")


class InitRequests:
    """Scope: one sandbox. Init answers in order, so what waits is a queue for each kind of answer."""

    def __init__(self, command: Callable[[dict[str, Any]], None]) -> None:
        self._command = command
        self._started: deque[asyncio.Future[int]] = deque()
        self._made: deque[asyncio.Future[socket.socket]] = deque()
        self._on_exit: Callable[[str, RuntimeExit], None] | None = None
        self.log_fd = -1

    async def start_extension(
        self,
        name: str,
        variables: Mapping[str, str],
        data_mib: int | None,
        on_exit: Callable[[str, RuntimeExit], None],
    ) -> int:
        """Start an extension; return 0 or the errno why not. Raises SandboxError."""
        self._on_exit = on_exit
        self._command({"extension": name, "variables": dict(variables), "data_mib": data_mib})
        return await _answer(self._started)

    async def make_socket(self) -> socket.socket:
        """Return an unconnected TCP socket of the sandbox's network. Raises SandboxError."""
        self._command({"socket": True})
        return await _answer(self._made)

    def take(self, message: dict[str, Any], fds: list[int]) -> None:
        """Take one answer or piece of news; what is none of ours is dropped."""
        if "extension_log" in message:
            self.log_fd = fds[0]
            os.set_blocking(self.log_fd, False)
        elif "started" in message:
            _give(self._started, message["errno"])
        elif "socket" in message:
            made = socket.socket(fileno=fds[0])
            made.setblocking(False)
            if not _give(self._made, made):
                made.close()
        elif "extension_exit" in message and self._on_exit is not None:
            self._on_exit(message["extension_exit"], _exit_of(message["status"]))
        else:
            channel.close_all(fds)

    def close(self) -> None:
        """Nothing more is answered."""
        self._on_exit = None
        waiting: tuple[asyncio.Future[Any], ...] = (*self._started, *self._made)
        for future in waiting:
            if not future.done():
                future.set_exception(SandboxError("the sandbox has ended", is_started=True))
        if self.log_fd >= 0:
            os.close(self.log_fd)
            self.log_fd = -1


class ExtensionProcesses:
    """External extensions as ordinary processes, for level 0. Scope: one sandbox."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.SubprocessTransport] = {}
        self._log_write_fd = -1
        self.log_fd = -1

    async def start(
        self,
        name: str,
        path: str,
        variables: Mapping[str, str],
        on_exit: Callable[[str, RuntimeExit], None],
    ) -> int:
        """Start one; return 0 or the errno why not."""
        if self.log_fd < 0:
            self.log_fd, self._log_write_fd = os.pipe()
            os.set_blocking(self.log_fd, False)
        watcher = _ExitWatcher(name, self._running, on_exit)
        try:
            transport, _ = await asyncio.get_running_loop().subprocess_exec(
                lambda: watcher,
                path,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=self._log_write_fd,
                stderr=self._log_write_fd,
                cwd="/",
                env=dict(variables),
                start_new_session=True,
            )
        except OSError as error:
            return error.errno or errno.EPERM
        if transport.get_returncode() is None:
            self._running[name] = transport
        return 0

    def signal(self, number: int) -> None:
        """Send a signal to all of them and to what they started."""
        for transport in self._running.values():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(transport.get_pid(), number)

    def kill(self) -> None:
        """Kill all of them; nobody is told."""
        self.signal(signal.SIGKILL)
        self._running.clear()

    def close(self) -> None:
        """Kill all and close the pipe. Idempotent."""
        self.kill()
        for fd in (self.log_fd, self._log_write_fd):
            if fd >= 0:
                os.close(fd)
        self.log_fd = self._log_write_fd = -1


class _ExitWatcher(asyncio.SubprocessProtocol):
    def __init__(
        self,
        name: str,
        running: dict[str, asyncio.SubprocessTransport],
        on_exit: Callable[[str, RuntimeExit], None],
    ) -> None:
        self._name = name
        self._running = running
        self._on_exit = on_exit
        self._transport: asyncio.SubprocessTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember whose end is watched."""
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def process_exited(self) -> None:
        """Tell how it ended, unless it was to end."""
        assert self._transport is not None
        status = self._transport.get_returncode() or 0
        if self._running.get(self._name) is self._transport:
            del self._running[self._name]
            self._on_exit(self._name, RuntimeExit(None, -status) if status < 0 else RuntimeExit(status, None))


async def _answer(queue: deque[asyncio.Future[Answer]]) -> Answer:
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    queue.append(future)
    # One that was given up stays in the queue: its answer may still come.
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            return await future
    except TimeoutError:
        raise SandboxError("init does not answer", is_started=True) from None


def _give(queue: deque[asyncio.Future[Answer]], answer: Answer) -> bool:
    if not queue:
        return False
    future = queue.popleft()
    if future.done():
        return False
    future.set_result(answer)
    return True


def _exit_of(status: int) -> RuntimeExit:
    if os.WIFSIGNALED(status):
        return RuntimeExit(None, os.WTERMSIG(status))
    return RuntimeExit(os.WEXITSTATUS(status), None)
