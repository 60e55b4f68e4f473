"""Level 0: a function is an ordinary process of the daemon's account. For macOS and locked-down containers.

What is kept: one Runtime API listener and one TMPDIR per environment, a process group that is stopped, reset and ended
as a whole, resource limits, and a watch that ends what outgrows its memory. What is not: isolation. The function sees
the host's files, processes and network.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
import os
import shutil
import signal
import socket
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING

from lambent.environments.extensions.processes import ExtensionProcesses
from lambent.environments.sandbox import process_table
from lambent.environments.sandbox.java_flags import java_command
from lambent.environments.sandbox.sandbox import RuntimeExit, RuntimeFamily, SandboxError
from lambent.environments.sandbox.waiting_process import waiting_argv
from lambent.model.environment import IsolationLevel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lambent.environments.sandbox.sandbox import Sandbox, SandboxKind, Specialisation

_WATCH_SECONDS = 0.1
_CLOSE_SECONDS = 5.0
_READY_SECONDS = 10.0
_FILE_DESCRIPTORS = 1_024
_PROCESSES = 1_024
# How far the data segment may outgrow the memory size between two looks of the watch.
_DATA_SLACK_MIB = 2_048

# The shell sets the limits because a preexec_fn in a threaded daemon can deadlock; `-p` is dash's name for `-u`.
# Standard input arrives as the control socket of families that have one and becomes fd 3.
_START = (
    "ulimit -c 0; ulimit -n {files}; ulimit -d {data_kib}; "
    "{{ ulimit -u {tasks} || ulimit -p {tasks}; }} 2>/dev/null; "
    'exec "$0" "$@" {control} </dev/null'
)
_PYTHON_START = (
    "import os, site, sys; sys.path.insert(0, sys.argv.pop()); site.setquit(); site.setcopyright(); site.sethelper(); "
    "import lambent_runtime; lambent_runtime.main(dict(os.environ))"
)
# Variables that hold paths of the inside; AWS's values name directories that do not exist at level 0.
_PATH_VARIABLES = (
    "AWS_LAMBDA_EXEC_WRAPPER",
    "CLASSPATH",
    "GEM_PATH",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "LD_LIBRARY_PATH",
    "NODE_PATH",
    "PATH",
    "PYTHONPATH",
    "RUBYLIB",
)

_MISSING = MappingProxyType(
    {
        "isolation": "functions run as ordinary processes of the daemon's account and see the whole machine",
        "egress": "functions use the host's network: network.egress is not enforced",
        "names of AWS": "functions use the host's names: those of amazonaws.com lead to AWS, AWS_ENDPOINT_URL here",
        "cpu": "the CPU share of the memory size is not enforced",
        "ephemeral storage": "TMPDIR is a directory of its own, but neither /tmp nor its size is enforced",
        "memory": "the memory size is enforced by a look at the resident size ten times a second",
    }
)


class ProcessDriver:
    """Makes `ProcessSandbox`es. Scope: node. After a crash of the daemon, `run` ends what an earlier run left behind.

    `data_directory` holds the code and layers that a specialisation names; `run_directory` is the driver's own.
    """

    def __init__(self, data_directory: Path, run_directory: Path) -> None:
        self._data_directory = data_directory
        self._run_directory = run_directory
        self._numbers = itertools.count(1)
        self._sandboxes: dict[str, ProcessSandbox] = {}
        self._ready = asyncio.Event()

    @property
    def level(self) -> IsolationLevel:
        """Always L0."""
        return IsolationLevel.L0

    @property
    def missing_features(self) -> Mapping[str, str]:
        """Feature → what level 0 does not do."""
        return _MISSING

    async def run(self) -> None:
        """Sweep, then look at every sandbox's memory until cancelled."""
        await asyncio.to_thread(_sweep, self._run_directory)
        self._ready.set()
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            watched = [sandbox for sandbox in self._sandboxes.values() if sandbox.is_growing]
            if watched:
                entries = await asyncio.to_thread(process_table.processes)
                for sandbox in watched:
                    sandbox.watch_memory(entries)

    async def wait_ready(self) -> None:
        """Return when the sweep is done."""
        await self._ready.wait()

    async def create(self, kind: SandboxKind) -> Sandbox:
        """Prepare one sandbox; a node process starts now, everything else when it is specialised.

        Raises SandboxError.
        """
        sandbox_id = f"process-{os.getpid()}-{next(self._numbers)}"
        try:
            sandbox = ProcessSandbox(
                sandbox_id, kind, self._data_directory, self._run_directory / sandbox_id, self._forget
            )
        except OSError as error:
            raise SandboxError("the process sandbox could not be prepared") from error
        self._sandboxes[sandbox_id] = sandbox
        try:
            await sandbox.prewarm()
        except BaseException:
            await sandbox.close()
            raise
        return sandbox

    def zygote_ids(self) -> Mapping[SandboxKind, int]:
        """Return nothing: level 0 starts a fresh interpreter each time."""
        return {}

    def _forget(self, sandbox_id: str) -> None:
        self._sandboxes.pop(sandbox_id, None)


class ProcessSandbox:
    """One function's processes: a session of their own whose leader is the runtime. Scope: node.

    Its life: prewarm, specialise once, freeze, thaw and reset as often as wanted, close.
    """

    def __init__(
        self,
        sandbox_id: str,
        kind: SandboxKind,
        data_directory: Path,
        directory: Path,
        on_closed: Callable[[str], None],
    ) -> None:
        self._id = sandbox_id
        self._kind = kind
        self._data_directory = data_directory
        self._directory = directory
        self._temp_directory = directory / "tmp"
        self._specialisation: Specialisation | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._control: socket.socket | None = None
        self._is_closed = False
        self._is_frozen = False
        self._is_out_of_memory = False
        self._peak_kib = 0
        self._extensions = ExtensionProcesses()
        self._runtime_started = asyncio.Event()
        self._on_closed = on_closed
        with contextlib.ExitStack() as undo:
            undo.callback(shutil.rmtree, directory, ignore_errors=True)
            self._temp_directory.mkdir(parents=True, mode=0o700)
            (directory / "opt").mkdir()
            self._runtime_listener = _listen(undo)
            self._endpoint_listener = _listen(undo)
            self._log_fd, self._log_write_fd = os.pipe2(os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
            os.set_blocking(self._log_fd, False)
            undo.pop_all()

    @property
    def sandbox_id(self) -> str:
        """Unique in this run of the daemon."""
        return self._id

    @property
    def runtime_api_address(self) -> str:
        """Host and ephemeral port of the Runtime API."""
        return _address(self._runtime_listener)

    @property
    def runtime_listener(self) -> socket.socket:
        """The listening socket of the Runtime API, non-blocking."""
        return self._runtime_listener

    @property
    def endpoint_listener(self) -> socket.socket | None:
        """The listening socket of AWS_ENDPOINT_URL, non-blocking."""
        return self._endpoint_listener

    @property
    def api_listeners(self) -> None:
        """None: functions have the host's names."""
        return None

    @property
    def endpoint_address(self) -> str | None:
        """Host and ephemeral port of the AWS endpoint."""
        return _address(self._endpoint_listener)

    @property
    def log_fd(self) -> int:
        """Non-blocking read end of the pipe behind stdout and stderr."""
        return self._log_fd

    @property
    def is_growing(self) -> bool:
        """Whether the runtime runs, so that its memory can change."""
        return self._specialisation is not None and self._is_running() and not self._is_frozen

    async def prewarm(self) -> None:
        """Start what may start without knowing the function. Raises SandboxError."""
        if self._is_waiting:
            await self._start_process()

    async def specialise(self, specialisation: Specialisation) -> None:
        """Start the runtime with its variables. Once. Raises SandboxError."""
        if self._specialisation is not None or self._is_closed:
            raise SandboxError("a sandbox is specialised once, before its end")
        if specialisation.root is not None or specialisation.code_directory is None:
            raise SandboxError("level 0 has no roots of their own")
        if not self._host_path(specialisation.code_directory).is_dir():
            raise SandboxError(f"no code at {specialisation.code_directory}")
        self._specialisation = specialisation
        if not specialisation.extensions:
            await self.start_runtime()

    async def start_extension(
        self, name: str, variables: Mapping[str, str], on_exit: Callable[[str, RuntimeExit], None]
    ) -> int:
        """Start an external extension; return 0 or the errno why not."""
        if self._specialisation is None or self._is_closed:
            raise SandboxError("only a specialised sandbox has extensions")
        outside = self._outside(variables)
        return await self._extensions.start(name, self._path_outside(f"/opt/extensions/{name}"), outside, on_exit)

    async def start_runtime(self) -> None:
        """Start the runtime that was held back for extensions. Raises SandboxError."""
        if self._specialisation is None or self._is_closed:
            raise SandboxError("only a specialised sandbox has a runtime")
        await self._start(self._specialisation)
        self._runtime_started.set()

    async def make_socket(self) -> socket.socket:
        """Return an unconnected TCP socket: level 0 has the host's network."""
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setblocking(False)
        return made

    @property
    def extension_log_fd(self) -> int:
        """Read end of stdout and stderr of extensions, non-blocking; -1 before the first."""
        return self._extensions.log_fd

    async def apply_cpu_limit(self, vcpus: float) -> None:
        """Do nothing: level 0 has no means to (told in `missing_features`)."""

    def freeze(self) -> None:
        """Stop the process group without waiting."""
        self._is_frozen = True
        self._signal_group(signal.SIGSTOP)
        self._extensions.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the process group run again."""
        self._is_frozen = False
        self._signal_group(signal.SIGCONT)
        self._extensions.signal(signal.SIGCONT)

    async def reset(self, variables: Mapping[str, str] | None = None) -> None:
        """Kill everything and start the runtime again; TMPDIR, log and listeners stay. Raises SandboxError."""
        if self._specialisation is None or self._is_closed:
            raise SandboxError("only a specialised sandbox can be reset", is_started=True)
        if variables is not None:
            self._specialisation = replace(self._specialisation, variables=variables)
        await self._end_processes()
        self._is_frozen = self._is_out_of_memory = False
        if self._is_waiting:
            await self._start_process()
        self._runtime_started.clear()
        if not self._specialisation.extensions:
            await self.start_runtime()

    async def wait_exited(self) -> RuntimeExit:
        """Return when the current runtime process has ended, with its true status."""
        await self._runtime_started.wait()
        if self._process is None:
            raise SandboxError("no runtime was started")
        status = await self._process.wait()
        if status < 0:
            return RuntimeExit(None, -status, self._is_out_of_memory)
        return RuntimeExit(status, None)

    def signal_runtime(self, signal_number: int) -> None:
        """Send a signal to the runtime process; nothing if it has ended."""
        if self._process is not None and self._is_running():
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal_number)

    def memory_peak_mib(self) -> int:
        """Return the highest resident size seen so far, in MiB, rounded up."""
        if self._process is not None and self._is_running():
            self._peak_kib = max(self._peak_kib, process_table.peak_kib(self._process.pid))
        return math.ceil(self._peak_kib / 1024)

    def watch_memory(self, entries: list[process_table.ProcessEntry]) -> None:
        """Kill the runtime if its processes together outgrew the memory size. For the driver's loop."""
        if self._process is None or self._specialisation is None or not self._is_running():
            return
        session_id = self._process.pid
        mine = [entry for entry in entries if entry.session_id == session_id]
        used_kib = process_table.memory_kib(mine)
        self._peak_kib = max(self._peak_kib, used_kib)
        if used_kib > self._specialisation.memory_mib * 1024:
            self._is_out_of_memory = True
            self._signal_group(signal.SIGKILL)

    async def close(self) -> None:
        """Kill everything, reap, close every fd, remove TMPDIR. Idempotent, bounded, never raises."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._end_processes()
        except TimeoutError:
            pass
        finally:
            self._runtime_started.set()
            self._extensions.close()
            self._runtime_listener.close()
            self._endpoint_listener.close()
            os.close(self._log_fd)
            os.close(self._log_write_fd)
            self._on_closed(self._id)
            await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    async def _start(self, specialisation: Specialisation) -> None:
        variables = self._outside(specialisation.variables)
        directory = self._host_path(specialisation.code_directory or "")
        if self._is_waiting:
            await self._tell_process(variables)
        elif self._kind.family is RuntimeFamily.JAVA:
            await self._spawn(self._java(specialisation), variables, directory)
        elif self._kind.family is RuntimeFamily.PYTHON:
            interpreter, client = self._client()
            await self._spawn((interpreter, "-I", "-S", "-B", "-c", _PYTHON_START, client), variables, directory)
        else:
            # The code tree belongs to the store and is shared: no interpreter may leave byte code in it.
            variables.setdefault("PYTHONDONTWRITEBYTECODE", "1")
            await self._spawn(tuple(self._path_outside(item) for item in specialisation.argv), variables, directory)

    @property
    def _is_waiting(self) -> bool:
        # A Java process cannot change its directory, and here the function's is not the one it would have waited in.
        return self._kind.family.is_waiting_process and self._kind.family is not RuntimeFamily.JAVA

    def _java(self, specialisation: Specialisation) -> tuple[str, ...]:
        _, client = self._client()
        assert self._kind.interpreter is not None
        return java_command(self._kind.interpreter, specialisation.memory_mib, client)

    async def _start_process(self) -> None:
        _, client = self._client()
        self._drop_control()
        self._control, inside = socket.socketpair()
        self._control.setblocking(False)
        argv = waiting_argv(self._kind, client)
        variables = {
            "AWS_LAMBDA_RUNTIME_API": self.runtime_api_address,
            "PATH": os.defpath,
            "TMPDIR": str(self._temp_directory),
        }
        with inside:
            await self._spawn(argv, variables, self._temp_directory, inside)
        line = b""
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while not line.endswith(b"\n"):
                    piece = await asyncio.get_running_loop().sock_recv(self._control, 64)
                    if not piece:
                        break
                    line += piece
        except OSError as error:  # TimeoutError is one
            raise SandboxError(f"{self._kind.family} did not become ready in time") from error
        if line != b"ready\n":
            raise SandboxError(f"{self._kind.family} ended before it became ready")

    async def _tell_process(self, variables: Mapping[str, str]) -> None:
        if self._control is None:
            raise SandboxError("no process waits")
        message = json.dumps({"variables": dict(variables)}).encode() + b"\n"
        try:
            await asyncio.get_running_loop().sock_sendall(self._control, message)
        except OSError as error:
            raise SandboxError(f"the waiting {self._kind.family} process has ended") from error

    async def _spawn(
        self,
        argv: tuple[str, ...],
        variables: Mapping[str, str],
        directory: Path,
        control: socket.socket | None = None,
    ) -> None:
        if not argv:
            raise SandboxError("nothing to execute")
        memory_mib = self._specialisation.memory_mib if self._specialisation else self._kind.memory_mib or 0
        start = _START.format(
            files=_FILE_DESCRIPTORS,
            data_kib=(memory_mib + _DATA_SLACK_MIB) * 1024,
            tasks=await asyncio.to_thread(process_table.tasks_of_account) + _PROCESSES,
            control="3<&0" if control is not None else "",
        )
        try:
            self._process = await asyncio.create_subprocess_exec(
                *("/bin/sh", "-c", start, *argv),
                stdin=asyncio.subprocess.DEVNULL if control is None else control.fileno(),
                stdout=self._log_write_fd,
                stderr=self._log_write_fd,
                cwd=directory,
                env=variables,
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxError("the runtime could not be started") from error

    async def _end_processes(self) -> None:
        self._drop_control()
        self._extensions.kill()
        if self._process is None:
            return
        self._signal_group(signal.SIGKILL)
        await self._process.wait()
        session_id = self._process.pid
        while True:
            entries = await asyncio.to_thread(process_table.processes)
            # Our leader is reaped: a process with its number is somebody else's, and so is its session.
            is_reused = any(entry.pid == session_id for entry in entries)
            left = process_table.members(entries, -1 if is_reused else session_id, self._temp_directory)
            if not left:
                return
            for entry in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(entry.pid, signal.SIGKILL)
            await asyncio.sleep(0.002)

    def _is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def _signal_group(self, signal_number: int) -> None:
        if self._process is not None and self._is_running():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal_number)

    def _drop_control(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None

    def _client(self) -> tuple[str, str]:
        if self._kind.interpreter is None or self._kind.client_directory is None:
            raise SandboxError(f"a {self._kind.family} sandbox needs an interpreter and a runtime client")
        return self._kind.interpreter.executable, self._kind.client_directory

    def _host_path(self, relative: str) -> Path:
        path = PurePosixPath(relative)
        if path.is_absolute() or ".." in path.parts or "\0" in relative:
            raise SandboxError("a path outside the data directory was refused")
        return self._data_directory / path

    def _outside(self, inside: Mapping[str, str]) -> dict[str, str]:
        variables = dict(inside)
        for name in _PATH_VARIABLES:
            if name in variables:
                parts = (self._path_outside(part) for part in variables[name].split(os.pathsep))
                variables[name] = os.pathsep.join(parts)
        variables["TMPDIR"] = str(self._temp_directory)
        interpreter = self._kind.interpreter
        if interpreter is not None and interpreter.family is RuntimeFamily.JAVA:
            variables["LAMBENT_OPT_DIRECTORY"] = self._path_outside("/opt")
        if interpreter is not None and interpreter.family is RuntimeFamily.PYTHON:
            variables["LAMBENT_OPT_DIRECTORY"] = self._path_outside("/opt")
            variables["LAMBENT_SDK_DIRECTORY"] = self._path_outside("/var/sdk")
        return variables

    def _path_outside(self, path: str) -> str:
        if self._specialisation is None:
            return path
        layers = self._specialisation.layers_directory
        outside = {
            "/var/task": self._host_path(self._specialisation.code_directory or ""),
            "/opt": self._host_path(layers) if layers is not None else self._directory / "opt",
        }
        if self._kind.client_directory is not None:
            outside["/var/runtime"] = Path(self._kind.client_directory)
        if self._kind.sdk_directory is not None:
            outside["/var/sdk"] = Path(self._kind.sdk_directory)
        for inside, directory in outside.items():
            if path == inside or path.startswith(inside + "/"):
                return f"{directory}{path[len(inside) :]}"
        return path


def _listen(undo: contextlib.ExitStack) -> socket.socket:
    listener = undo.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
    listener.setblocking(False)
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"{host}:{port}"


def _sweep(run_directory: Path) -> None:
    """End the processes and remove the directories of an earlier run that was killed."""
    for entry in process_table.strays(process_table.processes(), run_directory):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(entry.pid, signal.SIGKILL)
    for directory in run_directory.glob("process-*"):
        shutil.rmtree(directory, ignore_errors=True)
