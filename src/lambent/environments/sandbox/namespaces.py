"""Levels L1 to L3: sandboxes of Linux namespaces, made by the launcher's supervisor on the daemon's request."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
from collections import deque
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from lambent.environments.sandbox.dns import DnsForwarder
from lambent.environments.sandbox.java_archive import JavaArchives
from lambent.environments.sandbox.launcher import channel
from lambent.environments.sandbox.namespace_sandbox import NamespaceSandbox
from lambent.environments.sandbox.sandbox import RuntimeFamily, SandboxError, SandboxKind
from lambent.environments.sandbox.waiting_process import waiting_argv
from lambent.model.environment import IsolationLevel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ZYGOTE_SECONDS_MAX = 30.0
READY_SECONDS_MAX = 20.0
WATCH_SECONDS = 0.1
# Sandboxes of one zygote share its memory layout and hash seed: another takes its place now and then, and one that
# nobody has needed for half an hour goes.
TEND_SECONDS = 60.0
ZYGOTE_TENDINGS_MAX = 60
ZYGOTE_UNUSED_TENDINGS_MAX = 30
_RESOLV_CONF = Path("/etc/resolv.conf")
_CLIENT_DIRECTORY = "/var/runtime"
_ARCHIVE = "/var/lang/runtime.jsa"


class _ZygoteState(Struct):
    """`tendings` and `unused_tendings` count the looks of `tend_zygotes`: all, and those since it was last needed."""

    key: int
    ready: asyncio.Future[int]
    tendings: int = 0
    unused_tendings: int = 0


class NamespaceDriver:
    """Scope: node. The supervisor's death ends all sandboxes; a new supervisor and new zygotes follow in a second."""

    def __init__(
        self, launcher_socket: socket.socket, *, is_fresh: bool = False, is_led: Callable[[str], bool] | None = None
    ) -> None:
        self._socket = launcher_socket
        self.tmp_directory = Path()
        self.is_fresh = is_fresh
        self._is_led = is_led
        self.is_watched = False
        self.is_memory_watched = False
        self._generation = 0
        self._missing: dict[str, str] = {}
        self._sandboxes: dict[int, NamespaceSandbox] = {}
        self._zygotes: dict[SandboxKind, _ZygoteState] = {}
        self._identifiers = itertools.count(1)
        self._outbox: deque[bytes] = deque()
        self._ready = asyncio.Event()
        self._lost = asyncio.Event()
        self._reason = "the launcher has ended"
        self.supervisor_pid = 0
        self.names: DnsForwarder | None = None
        self._archives = JavaArchives(self.create)

    @property
    def level(self) -> IsolationLevel:
        """The level it really gives, known once `wait_ready` has returned."""
        if self.is_watched:
            return IsolationLevel.L1
        return IsolationLevel.L3 if self.is_fresh else IsolationLevel.L2

    @property
    def missing_features(self) -> Mapping[str, str]:
        """Feature → why this machine does not have it."""
        return MappingProxyType(self._missing)

    async def run(self) -> None:
        """Listen to the supervisor until cancelled. Raises SandboxError when the launcher is gone for good."""
        loop = asyncio.get_running_loop()
        self._socket.setblocking(False)
        loop.add_reader(self._socket, self._hear)
        try:
            async with asyncio.TaskGroup() as tasks:
                loops = (self._serve_names, self._watch_sizes, self._tend, self._make_archives)
                chores = [tasks.create_task(each()) for each in loops]
                await self._lost.wait()
                for chore in chores:
                    chore.cancel()
        finally:
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
            # The launcher may outlive this loop for a moment; the sandboxes' ends here do not.
            for sandbox in list(self._sandboxes.values()):
                sandbox.abandon()
        raise SandboxError(self._reason)

    async def _serve_names(self) -> None:
        await self._ready.wait()
        if self.names is not None:
            await self.names.run()

    async def _make_archives(self) -> None:
        await self._ready.wait()
        if not self._lost.is_set():
            await self._archives.run(self.tmp_directory.parent / "java")

    async def wait_ready(self) -> None:
        """Return when `create` can be called. Raises SandboxError with the reason if it never can."""
        try:
            async with asyncio.timeout(READY_SECONDS_MAX):
                await self._ready.wait()
        except TimeoutError:
            raise SandboxError("the launcher does not answer") from None
        if self._lost.is_set():
            raise SandboxError(self._reason)

    async def prove(self) -> None:
        """Make one sandbox and end it: the level is what this machine really does. Raises SandboxError."""
        kind = SandboxKind(RuntimeFamily.EXEC, "000000000000")
        sandbox = await self.create(kind)
        await sandbox.close()
        self.end_zygote(kind)

    async def create(self, kind: SandboxKind) -> NamespaceSandbox:
        """Prewarm one sandbox. Raises SandboxError."""
        await self.wait_ready()
        zygote = await self._ready_zygote(replace(kind, memory_mib=None))
        sandbox = NamespaceSandbox(next(self._identifiers), kind, self)
        self._sandboxes[sandbox.identifier] = sandbox
        shared = self._archives.path_of(kind)
        argv: tuple[str, ...] = ()
        if kind.family.is_waiting_process:
            argv = waiting_argv(kind, _CLIENT_DIRECTORY, _ARCHIVE if shared is not None else None)
        self.ask({"kind": "create", "id": sandbox.identifier, "zygote": zygote, "argv": list(argv), "shared": shared})
        try:
            await sandbox.wait_prepared()
        except BaseException:
            await sandbox.close()
            raise
        return sandbox

    def zygote_ids(self) -> Mapping[SandboxKind, int]:
        """Process ids of the running zygotes."""
        return {
            kind: state.ready.result()
            for kind, state in self._zygotes.items()
            if state.ready.done() and not state.ready.cancelled() and state.ready.exception() is None
        }

    def tend_zygotes(self) -> None:
        """Replace zygotes that are old and end those without a sandbox for long. Called once a minute."""
        in_use = {replace(sandbox.kind, memory_mib=None) for sandbox in self._sandboxes.values()}
        for kind, state in list(self._zygotes.items()):
            state.tendings += 1
            state.unused_tendings = 0 if kind in in_use else state.unused_tendings + 1
            if state.unused_tendings >= ZYGOTE_UNUSED_TENDINGS_MAX:
                self.end_zygote(kind)
            elif state.tendings >= ZYGOTE_TENDINGS_MAX and state.ready.done():
                self.end_zygote(kind)
                self._start_zygote(kind)

    def end_zygote(self, kind: SandboxKind) -> None:
        """Let a zygote that is no longer needed go; its sandboxes live on."""
        state = self._zygotes.pop(replace(kind, memory_mib=None), None)
        if state is not None:
            self.ask({"kind": "end_zygote", "zygote": state.key})

    def ask(self, message: dict[str, Any]) -> None:
        """Send one message to the supervisor; never blocks."""
        self._outbox.append(json.dumps(message | {"generation": self._generation}).encode())
        self._flush()

    def forget(self, identifier: int) -> None:
        """The sandbox is closed and needs no more news."""
        self._sandboxes.pop(identifier, None)

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(TEND_SECONDS)
            self.tend_zygotes()

    async def _watch_sizes(self) -> None:
        await self._ready.wait()
        while self.is_watched:
            await asyncio.sleep(WATCH_SECONDS)
            watched = [sandbox for sandbox in self._sandboxes.values() if sandbox.watched is not None]
            if watched:
                await asyncio.to_thread(_look, watched)
                for sandbox in watched:
                    sandbox.end_if_outgrown()

    def _flush(self) -> None:
        while self._outbox:
            try:
                self._socket.send(self._outbox[0], socket.MSG_DONTWAIT)
            except BlockingIOError:
                asyncio.get_running_loop().add_writer(self._socket, self._flush_later)
                return
            except OSError:
                self._outbox.clear()
                return
            self._outbox.popleft()

    def _flush_later(self) -> None:
        asyncio.get_running_loop().remove_writer(self._socket)
        self._flush()

    async def _ready_zygote(self, kind: SandboxKind) -> int:
        state = self._zygotes.get(kind)
        if state is None:
            state = self._start_zygote(kind)
        try:
            async with asyncio.timeout(ZYGOTE_SECONDS_MAX):
                await asyncio.shield(state.ready)
        except TimeoutError:
            raise SandboxError("the zygote does not get ready") from None
        return state.key

    def _start_zygote(self, kind: SandboxKind) -> _ZygoteState:
        state = _ZygoteState(next(self._identifiers), asyncio.get_running_loop().create_future())
        state.ready.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._zygotes[kind] = state
        interpreter = kind.interpreter
        self.ask(
            {
                "kind": "zygote",
                "zygote": state.key,
                "family": kind.family.value,
                "executable": interpreter.executable if interpreter is not None else None,
                "roots": list(interpreter.roots) if interpreter is not None else [],
                "client_directory": kind.client_directory,
                "sdk_directory": kind.sdk_directory,
                "preload_sdk": kind.preload_sdk,
                "is_fresh": self.is_fresh,
            }
        )
        return state

    # News from the supervisor.

    def _hear(self) -> None:
        while True:
            try:
                data, fds = channel.receive_raw(self._socket, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                data, fds = b"", []
            if not data:
                asyncio.get_running_loop().remove_reader(self._socket)
                self._lose_everything(self._reason)
                self._lost.set()
                self._ready.set()
                return
            self._take(json.loads(data), fds)

    def _take(self, message: dict[str, Any], fds: list[int]) -> None:
        match message["kind"]:
            case "created":
                self._take_created(message, fds)
            case "ended":
                sandbox = self._sandboxes.get(message["id"])
                if sandbox is not None:
                    sandbox.take_ended(message["reason"] or "the sandbox has ended")
            case "zygote":
                for state in self._zygotes.values():
                    if state.key == message["zygote"] and not state.ready.done():
                        state.ready.set_result(message["pid"])
            case "zygote_ended":
                self._take_zygote_end(message["zygote"], message["reason"])
            case "failed":
                self._take_failure(message)
            case "unable":
                self._reason = message["reason"]
            case "hello":
                self._take_hello(message)

    def _take_created(self, message: dict[str, Any], fds: list[int]) -> None:
        sandbox = self._sandboxes.get(message["id"])
        if sandbox is None:
            channel.close_all(fds)
            self.ask({"kind": "close", "id": message["id"]})
        else:
            sandbox.take_created(message, fds)

    def _take_failure(self, message: dict[str, Any]) -> None:
        sandbox = self._sandboxes.get(message["id"])
        if sandbox is not None:
            sandbox.take_failure(message["reason"])
        elif message["id"] is None and message["zygote"] is not None:
            self._take_zygote_end(message["zygote"], message["reason"])

    def _take_zygote_end(self, key: int, reason: str) -> None:
        for kind, state in list(self._zygotes.items()):
            if state.key != key:
                continue
            was_ready = state.ready.done()
            if not was_ready:
                state.ready.set_exception(SandboxError(reason))
            del self._zygotes[kind]
            if was_ready:
                # It worked before and somebody killed it: the next request shall not pay for a new one.
                self._start_zygote(kind)

    def _take_hello(self, message: dict[str, Any]) -> None:
        kinds = list(self.zygote_ids())
        self._lose_everything("the supervisor has ended")
        self._generation = message["generation"]
        self._missing = dict(message["missing"])
        # Root without a memory controller (a locked-down container) gets what an ordinary user gets, and an ordinary
        # user with a cgroup of its own has memory limited by it.
        self.is_memory_watched = "cgroup memory" in self._missing
        self.is_watched = message["is_rootless"] or self.is_memory_watched
        self.tmp_directory = Path(message["tmp_directory"])
        self.supervisor_pid = message["pid"]
        if self.names is None:
            self.names = DnsForwarder(_RESOLV_CONF, host_ipv4=message["host_ipv4"], is_open=True, is_led=self._is_led)
        self._ready.set()
        for kind in kinds:
            self._start_zygote(kind)

    def _lose_everything(self, reason: str) -> None:
        self._outbox.clear()
        zygotes, self._zygotes = self._zygotes, {}
        for state in zygotes.values():
            if not state.ready.done():
                state.ready.set_exception(SandboxError(reason))
        for sandbox in list(self._sandboxes.values()):
            with contextlib.suppress(OSError):
                sandbox.take_ended(reason)


def _look(sandboxes: list[NamespaceSandbox]) -> None:
    for sandbox in sandboxes:
        if sandbox.watched is not None:
            sandbox.watched.look()
