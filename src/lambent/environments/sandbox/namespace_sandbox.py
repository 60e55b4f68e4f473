"""One sandbox of levels L1 to L3, seen from the daemon: its sockets, its files, its state."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from typing import TYPE_CHECKING, Any, Protocol

from msgspec.structs import replace

from lambent.environments.extensions.processes import InitRequests
from lambent.environments.sandbox.launcher import channel
from lambent.environments.sandbox.memory_gauge import MemoryGauge
from lambent.environments.sandbox.sandbox import RuntimeExit, RuntimeFamily, SandboxError
from lambent.environments.sandbox.size_watch import SizeWatch
from lambent.environments.sandbox.start_failures import start_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lambent.environments.sandbox.dns import DnsDoor, DnsForwarder
    from lambent.environments.sandbox.sandbox import SandboxKind, Specialisation

PREPARE_SECONDS_MAX = 30.0
SPECIALISE_SECONDS_MAX = 15.0
RESET_SECONDS_MAX = 10.0
CLOSE_SECONDS_MAX = 5.0
LAST_WORDS_BYTES_MAX = 2_000
# How far the data segment may outgrow the memory size between two looks of the watch, and what the stacks of a
# thousand threads reserve and do not use.
DATA_SLACK_MIB = 2_048 + 1_024 * 8
_FRESH_PYTHON = (
    "import os, sys; sys.path.insert(0, '/var/runtime'); import lambent_runtime; lambent_runtime.main(dict(os.environ))"
)


class SupervisorDoor(Protocol):
    """What a sandbox needs of its driver."""

    is_fresh: bool
    is_watched: bool
    """Whether use is watched from here: of /tmp, because it is a plain directory, and mostly of memory too."""
    is_memory_watched: bool
    """Whether memory is watched from here because no cgroup limits it."""
    names: DnsForwarder | None
    tmp_directory: Path

    def ask(self, message: dict[str, Any]) -> None:
        """Send one message to the supervisor; never blocks."""

    def forget(self, identifier: int) -> None:
        """The sandbox is closed and needs no more news."""


class NamespaceSandbox:
    """Scope: node. When the supervisor dies, all its processes are dead and it counts as ended."""

    def __init__(self, identifier: int, kind: SandboxKind, door: SupervisorDoor) -> None:
        self.identifier = identifier
        self.kind = kind
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[str] = self._loop.create_future()
        self._exited: asyncio.Future[RuntimeExit] = self._loop.create_future()
        self._steps: dict[str, asyncio.Future[None]] = {}
        self._sockets: dict[str, socket.socket] = {}
        self._files: dict[str, int] = {}
        self._gauge: MemoryGauge | None = None
        self._start: dict[str, Any] = {}
        self._is_started = False
        self._is_closed = False
        self._is_outgrown = False
        self._extensions: tuple[str, ...] = ()
        self._init = InitRequests(self._command)
        self._start_failure: tuple[str, str] | None = None
        self._log_fd = -1
        self._names: DnsDoor | None = None
        self._slot = 0
        self.pid = 0
        self.watched: SizeWatch | None = None

    @property
    def sandbox_id(self) -> str:
        """Unique in this run of the daemon."""
        return str(self.identifier)

    @property
    def runtime_api_address(self) -> str:
        """What AWS_LAMBDA_RUNTIME_API says inside."""
        return "127.0.0.1:9001"

    @property
    def runtime_listener(self) -> socket.socket:
        """The listening socket of the Runtime API, made inside."""
        return self._sockets["runtime"]

    @property
    def endpoint_listener(self) -> socket.socket | None:
        """The listening socket of the AWS endpoint, made inside."""
        return self._sockets.get("endpoint")

    @property
    def api_listeners(self) -> tuple[socket.socket, socket.socket] | None:
        """The listening sockets of AWS's APIs, made inside: that for TLS and the plain one."""
        if "apis_tls" not in self._sockets:
            return None
        return self._sockets["apis_tls"], self._sockets["apis_plain"]

    @property
    def endpoint_address(self) -> str | None:
        """The AWS endpoint as seen from inside."""
        return "127.0.0.1:4566"

    @property
    def log_fd(self) -> int:
        """Read end of stdout and stderr, non-blocking."""
        return self._log_fd

    @property
    def is_ended(self) -> bool:
        """Whether all its processes are gone."""
        return self._ended.done()

    async def wait_prepared(self) -> None:
        """Return when it can be specialised. Raises SandboxError."""
        await self._wait_step("ready", PREPARE_SECONDS_MAX)
        if self.kind.family.is_waiting_process:
            await self._wait_process()

    async def specialise(self, specialisation: Specialisation) -> None:
        """Mount the code, set limits, drop every right and start the runtime. Once. Raises SandboxError."""
        argv = specialisation.argv
        if self.kind.family is RuntimeFamily.PYTHON and self._door.is_fresh and self.kind.interpreter is not None:
            argv = (self.kind.interpreter.executable, "-c", _FRESH_PYTHON)
        self._start = {"variables": dict(specialisation.variables), "argv": list(argv)}
        if self._door.is_memory_watched:
            self._start["data_mib"] = specialisation.memory_mib + DATA_SLACK_MIB
        root = specialisation.root
        if root is not None:
            self._start["directory"] = root.working_directory
            if self._names is not None:
                # An image trusts whom it says: its certificates are not replaced.
                self._names.is_leading = False
        self._extensions = specialisation.extensions
        is_waiting = self.kind.family.is_waiting_process
        if not is_waiting and not self._extensions:
            self._say_start()
        self._door.ask(
            {
                "kind": "specialise",
                "id": self.identifier,
                "code": specialisation.code_directory,
                "layers": specialisation.layers_directory,
                "root": list(root.layers) if root is not None else [],
                "is_merged": root is not None and root.is_merged,
                "memory_mib": specialisation.memory_mib,
                "tmp_mib": specialisation.ephemeral_storage_mib,
            }
        )
        await self._wait_step("mounted", SPECIALISE_SECONDS_MAX)
        self._is_started = True
        if self._door.is_watched:
            tmp = self._door.tmp_directory / f"t{self._slot}"
            memory_mib = specialisation.memory_mib if self._door.is_memory_watched else None
            self.watched = SizeWatch(self.pid, tmp, memory_mib, specialisation.ephemeral_storage_mib)
        if is_waiting and not self._extensions:
            await self._start_process()

    async def start_extension(
        self, name: str, variables: Mapping[str, str], on_exit: Callable[[str, RuntimeExit], None]
    ) -> int:
        """Start an external extension; return 0 or the errno why not. Raises SandboxError."""

        def ended(name: str, exit_: RuntimeExit) -> None:
            is_all_killed = self.watched is not None and self.watched.is_out_of_hand
            is_out_of_memory = exit_.signal == signal.SIGKILL and is_all_killed
            on_exit(name, replace(exit_, is_out_of_memory=is_out_of_memory))

        return await self._init.start_extension(name, variables, self._start.get("data_mib"), ended)

    async def start_runtime(self) -> None:
        """Start the runtime that was held back for extensions. Raises SandboxError."""
        if self.kind.family.is_waiting_process:
            await self._start_process()
        else:
            self._say_start()

    async def make_socket(self) -> socket.socket:
        """Return an unconnected TCP socket of the network inside. Raises SandboxError."""
        return await self._init.make_socket()

    @property
    def extension_log_fd(self) -> int:
        """Read end of stdout and stderr of extensions, non-blocking; -1 before the first."""
        return self._init.log_fd

    async def apply_cpu_limit(self, vcpus: float) -> None:
        """Limit CPU from now on."""
        if not self.is_ended:
            self._door.ask({"kind": "cpu", "id": self.identifier, "millicpus": max(1, round(vcpus * 1000))})

    def freeze(self) -> None:
        """Order all processes inside to stop."""
        self._set_frozen(is_frozen=True)

    def thaw(self) -> None:
        """Order all processes inside to run."""
        self._set_frozen(is_frozen=False)

    async def reset(self, variables: Mapping[str, str] | None = None) -> None:
        """Kill all but init and start the runtime again; /tmp, code, link and listeners stay. Raises SandboxError."""
        if variables is not None:
            self._start["variables"] = dict(variables)
        if self._is_closed or self.is_ended:
            raise SandboxError("the sandbox has ended", is_started=True)
        self.thaw()
        self._steps.pop("reset", None)
        self._steps.pop("process", None)
        self._command({"reset": True})
        await self._wait_step("reset", RESET_SECONDS_MAX)
        if self._exited.done():
            self._exited = self._loop.create_future()
        if self.kind.family.is_waiting_process:
            await self._wait_process()
        if not self._extensions:
            await self.start_runtime()

    async def wait_exited(self) -> RuntimeExit:
        """Return when the runtime process has ended, with its true status. Raises SandboxError when all is gone."""
        return await asyncio.shield(self._exited)

    def signal_runtime(self, signal_number: int) -> None:
        """Send a signal to the runtime process."""
        if not self._is_closed and not self.is_ended:
            self._command({"signal": int(signal_number)})

    def memory_peak_mib(self) -> int:
        """Highest memory use so far without page cache, in MiB, rounded up."""
        if self.watched is not None and self._door.is_memory_watched:
            return self.watched.peak_mib()
        return self._gauge.peak_mib() if self._gauge is not None else 0

    async def close(self) -> None:
        """Kill everything, reap, close every socket and fd. Idempotent, bounded, never raises."""
        if not self._is_closed and not self.is_ended:
            self._door.ask({"kind": "close", "id": self.identifier})
        self.abandon()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await asyncio.shield(self._ended)
        self._door.forget(self.identifier)

    def abandon(self) -> None:
        """Close every descriptor: init sees the end of its socket and dies with everything inside."""
        if not self._is_closed:
            self._is_closed = True
            self.watched = None
            self._init.close()
            self._close_descriptors()
            self._settle_exit(RuntimeExit(None, signal.SIGKILL))
            self._fail_steps("closed")

    def end_if_outgrown(self) -> None:
        """Level 1: end what has outgrown its /tmp, or its memory for good."""
        if self.watched is None:
            return
        self._is_outgrown |= self.watched.is_memory_outgrown
        if self.watched.is_out_of_hand or self.watched.is_tmp_outgrown:
            self.watched.kill_seen()
            self._command({"signal_all": int(signal.SIGKILL)})

    # News from the supervisor and from inside.

    def take_created(self, message: dict[str, Any], fds: list[int]) -> None:
        """The supervisor's answer: pid, command and message sockets, control files."""
        if self._is_closed:
            channel.close_all(fds)
            return
        self.pid = message["pid"]
        self._slot = message["slot"]
        for name, fd in zip(("commands", "messages"), fds[:2], strict=True):
            self._sockets[name] = socket.socket(fileno=fd)
            self._sockets[name].setblocking(False)
            self._loop.add_reader(fd, self._hear, name)
        self._files = dict(zip(message["files"], fds[2:], strict=True))
        self._gauge = MemoryGauge(self._files, self.pid)

    def take_ended(self, reason: str) -> None:
        """All its processes are gone."""
        if not self._ended.done():
            self._ended.set_result(reason)
        self._hear_rest()
        if self._is_out_of_memory():
            self._settle_exit(RuntimeExit(None, signal.SIGKILL, is_out_of_memory=True))
        elif not self._exited.done():
            # Not the function's doing: its supervisor died, or somebody killed init from outside.
            self._exited.set_exception(SandboxError(f"the sandbox was lost: {reason}", is_started=True))
            self._exited.exception()
        self._fail_steps(reason)

    def take_failure(self, reason: str) -> None:
        """The supervisor could not do what was asked."""
        self._fail_steps(reason)

    def _hear_rest(self) -> None:
        for name in ("commands", "messages"):
            if name in self._sockets:
                self._hear(name)

    def _hear(self, name: str) -> None:
        while name in self._sockets:
            try:
                data, fds = channel.receive_raw(self._sockets[name], socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                data, fds = b"", []
            if not data:
                self._loop.remove_reader(self._sockets[name])
                self._sockets.pop(name).close()
                return
            self._take(json.loads(data), fds)

    def _take(self, message: dict[str, Any], fds: list[int]) -> None:
        if "ready" in message:
            self._log_fd = fds[0]
            os.set_blocking(self._log_fd, False)
            for name, fd in zip(message["ready"], fds[1:], strict=False):
                self._sockets[name] = socket.socket(fileno=fd)
            if "dns_udp" in self._sockets and self._door.names is not None:
                dns = self._sockets["dns_udp"], self._sockets["dns_tcp"]
                self._names = self._door.names.serve(*dns, has_link=message["has_link"])
            self._finish_step("ready")
        elif "mounted" in message:
            self._finish_step("mounted")
        elif "reset" in message:
            self._finish_step("reset")
        elif "process" in message:
            self._drop_socket("process")
            self._sockets["process"] = socket.socket(fileno=fds[0])
            self._sockets["process"].setblocking(False)
            self._finish_step("process")
        elif "exit" in message:
            self._take_exit(message["exit"])
        elif "failed" in message:
            self._fail_steps(message["failed"])
        elif "entry" in message:
            self._start_failure = start_failure(message["entry"])
        else:
            self._init.take(message, fds)

    def _take_exit(self, status: int) -> None:
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            is_out_of_memory = number == signal.SIGKILL and self._is_out_of_memory()
            self._settle_exit(RuntimeExit(None, number, is_out_of_memory))
        else:
            # Said on another socket than the end, and before it.
            if "messages" in self._sockets:
                self._hear("messages")
            failure, self._start_failure = self._start_failure, None
            self._settle_exit(RuntimeExit(os.WEXITSTATUS(status), None, start_failure=failure))
        if not self._is_started:
            self._fail_steps("the process inside ended before its time")

    def _has_outgrown(self) -> bool:
        # The thread that watches kills before the loop knows.
        return self._is_outgrown or (self.watched is not None and self.watched.is_memory_outgrown)

    def _is_out_of_memory(self) -> bool:
        if self._has_outgrown():
            self._is_outgrown = False
            if self.watched is not None:
                self.watched.is_memory_outgrown = False
            return True
        return self._gauge is not None and self._gauge.is_killed_since_last_asked()

    def _settle_exit(self, runtime_exit: RuntimeExit) -> None:
        if not self._exited.done():
            self._exited.set_result(runtime_exit)

    # Steps: things that happen once and are waited for with a deadline.

    def _step(self, name: str) -> asyncio.Future[None]:
        if name not in self._steps:
            self._steps[name] = self._loop.create_future()
            # A step that failed with nobody waiting for it is no news.
            self._steps[name].add_done_callback(lambda future: future.cancelled() or future.exception())
        return self._steps[name]

    async def _wait_step(self, name: str, seconds_max: float) -> None:
        step = self._step(name)
        if (self.is_ended or self._is_closed) and not step.done():
            raise SandboxError("the sandbox has ended", is_started=self._is_started)
        try:
            async with asyncio.timeout(seconds_max):
                await asyncio.shield(step)
        except TimeoutError:
            raise SandboxError(f"no '{name}' within {seconds_max:g} s", is_started=self._is_started) from None

    def _finish_step(self, name: str) -> None:
        if not self._step(name).done():
            self._step(name).set_result(None)

    def _fail_steps(self, reason: str) -> None:
        for name in ("ready", "mounted", "reset", "process"):
            if not self._step(name).done():
                self._step(name).set_exception(SandboxError(reason, is_started=self._is_started))

    # Small things.

    def _say_start(self) -> None:
        try:
            channel.send(self._sockets["messages"], {"start": self._start})
        except (OSError, KeyError):
            raise SandboxError("the sandbox does not listen", is_started=self._is_started) from None

    async def _wait_process(self) -> None:
        await self._wait_step("process", PREPARE_SECONDS_MAX)
        try:
            async with asyncio.timeout(PREPARE_SECONDS_MAX):
                is_ready = bool(await self._loop.sock_recv(self._sockets["process"], 64))
        except (TimeoutError, OSError):
            is_ready = False
        if not is_ready:
            reason = f"{self.kind.family} does not get ready: {self._last_words()}"
            raise SandboxError(reason, is_started=self._is_started)

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            return os.read(self._log_fd, LAST_WORDS_BYTES_MAX).decode(errors="replace")
        return ""

    async def _start_process(self) -> None:
        line = json.dumps({"variables": self._start["variables"]}).encode() + b"\n"
        try:
            async with asyncio.timeout(SPECIALISE_SECONDS_MAX):
                await self._loop.sock_sendall(self._sockets["process"], line)
        except (TimeoutError, OSError):
            raise SandboxError(f"{self.kind.family} does not listen", is_started=self._is_started) from None

    def _command(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError, KeyError):
            channel.send(self._sockets["commands"], message)

    def _set_frozen(self, *, is_frozen: bool) -> None:
        if self._is_closed or self.is_ended:
            return
        if "freeze_v2" in self._files:
            self._write_state("freeze_v2", b"1" if is_frozen else b"0")
        elif "freeze_v1" in self._files:
            self._write_state("freeze_v1", b"FROZEN" if is_frozen else b"THAWED")
        else:
            self._command({"signal_all": int(signal.SIGSTOP if is_frozen else signal.SIGCONT)})

    def _write_state(self, name: str, value: bytes) -> None:
        # The cgroup of a sandbox that a dead supervisor's successor swept is gone before we hear of its end (ENODEV).
        with contextlib.suppress(OSError):
            os.pwrite(self._files[name], value, 0)

    def _drop_socket(self, name: str) -> None:
        if name in self._sockets:
            dropped = self._sockets.pop(name)
            # A server that served the listener has closed it already.
            if dropped.fileno() >= 0:
                self._loop.remove_reader(dropped)
                dropped.close()

    def _close_descriptors(self) -> None:
        if self._names is not None:
            self._names.close()
            self._names = None
        for name in list(self._sockets):
            self._drop_socket(name)
        channel.close_all(list(self._files.values()))
        self._files = {}
        if self._gauge is not None:
            self._gauge.close()
        if self._log_fd >= 0:
            os.close(self._log_fd)
            self._log_fd = -1
