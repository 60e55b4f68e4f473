"""The contract between an execution environment and whatever keeps its processes in.

A `Sandbox` is prewarmed without knowing which function it will serve (`SandboxDriver.create`), specialised once when
it is needed (`specialise`), then run, frozen, reset and stopped by its one owner, the ExecutionEnvironment.
Harmless after the end: `freeze`, `thaw`, `terminate`, `kill` and `close` on an ended sandbox do nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from lambent.model.environment import IsolationLevel


class RuntimeFamily(StrEnum):
    """What waits inside a prewarmed sandbox."""

    PYTHON = "python"
    """A fork of a Python zygote with our runtime client exercised, waiting for code."""
    NODEJS = "nodejs"
    """A running node process with our runtime client exercised, waiting for code. Keyed by memory."""
    RUBY = "ruby"
    """A running ruby process with our runtime client exercised, waiting for code."""
    JAVA = "java"
    """A running Java virtual machine with our runtime client exercised, waiting for code. Keyed by memory."""
    EXEC = "exec"
    """An init that will execve `Specialisation.argv`: custom runtimes, official clients, anything."""

    DOTNET = "dotnet"
    """Found on a machine like an interpreter, but nothing waits for it: its functions start in an EXEC sandbox."""

    @property
    def is_waiting_process(self) -> bool:
        """Whether a process waits inside and is told its variables over a socket (see waiting_process.py)."""
        return self in (RuntimeFamily.NODEJS, RuntimeFamily.RUBY, RuntimeFamily.JAVA)


class Interpreter(Struct, frozen=True):
    """An interpreter found on this machine.

    `executable` is an absolute, resolved path. `roots` are absolute host directories that must appear read-only at
    the same path inside (the interpreter's prefix; /usr is always there). `version` is the true one, e.g. "3.11.7".
    `client_directory` holds the runtime client that came with it, where there is none of our own.
    """

    family: RuntimeFamily
    executable: str
    version: str
    roots: tuple[str, ...] = ()
    client_directory: str | None = None


class SandboxKind(Struct, frozen=True):
    """What a pooled sandbox is good for; two equal kinds are interchangeable before specialisation.

    `runtime` is the interpreter that waits inside (None for EXEC without one). `client_directory` is the absolute
    host directory of the runtime client, mounted read-only at /var/runtime. `preload_sdk` selects the zygote that has
    boto3 loaded. `memory_mib` is set for NODEJS and JAVA (their heap flags are fixed at start). `sdk_directory` is the
    absolute host directory that holds the AWS SDK's modules, shown read-only at /var/sdk.
    """

    family: RuntimeFamily
    account_id: str
    interpreter: Interpreter | None = None
    client_directory: str | None = None
    preload_sdk: bool = False
    memory_mib: int | None = None
    sdk_directory: str | None = None


class SandboxRoot(Struct, frozen=True):
    """A root that is an image's instead of this machine's, read-only: names of unpacked layers, lowest first.

    With `is_merged` there is one, which holds all of them. The program is looked for as PATH of its variables says and
    starts in `working_directory`, an absolute path inside.
    """

    layers: tuple[str, ...]
    is_merged: bool = False
    working_directory: str = "/"


@dataclass(frozen=True, slots=True)
class Specialisation:
    """Turns a generic sandbox into one function's environment.

    `code_directory` and `layers_directory` are paths relative to the data directory (never absolute, no `..`), mounted
    read-only at /var/task and /opt. `variables` is the complete environment of the runtime process. `argv` is what
    EXEC executes (argv[0] an absolute path inside the sandbox; empty for the pooled families, whose client reads
    _HANDLER from the variables). Sizes in MiB. `root` for EXEC only; what is an image has no `code_directory`.
    `extensions` are the base names of the files in /opt/extensions; if there are any, `specialise` and `reset` do not
    start the runtime: `start_runtime` does, after they were started.
    """

    code_directory: str | None
    memory_mib: int
    ephemeral_storage_mib: int
    variables: Mapping[str, str] = field(repr=False)
    layers_directory: str | None = None
    argv: tuple[str, ...] = ()
    root: SandboxRoot | None = None
    extensions: tuple[str, ...] = ()


class RuntimeExit(Struct, frozen=True):
    """How the runtime process ended: exit `code`, or killed by `signal`; `is_out_of_memory` if the limit killed it.

    `start_failure`: it never ran, AWS's error type and why.
    """

    code: int | None
    signal: int | None
    is_out_of_memory: bool = False
    start_failure: tuple[str, str] | None = None


class SandboxError(Exception):
    """The sandbox could not be made, specialised or reset. The environment ends; the function is not to blame.

    `is_started` False means no code of the customer ran yet, so the call may be retried elsewhere.
    """

    def __init__(self, message: str, *, is_started: bool = False) -> None:
        super().__init__(message)
        self.is_started = is_started


class Sandbox(Protocol):
    """One prewarmed or specialised sandbox. Scope: node. After a crash of the daemon the supervisor kills it."""

    @property
    def sandbox_id(self) -> str:
        """Unique in this run of the daemon."""

    @property
    def runtime_api_address(self) -> str:
        """What AWS_LAMBDA_RUNTIME_API says inside, e.g. "127.0.0.1:9001"."""

    @property
    def runtime_listener(self) -> socket.socket:
        """The listening TCP socket of the Runtime API, made inside the sandbox; the environment serves it."""

    @property
    def endpoint_listener(self) -> socket.socket | None:
        """The listening TCP socket of AWS_ENDPOINT_URL inside (127.0.0.1:4566), served by the API door."""

    @property
    def api_listeners(self) -> tuple[socket.socket, socket.socket] | None:
        """The listening TCP sockets that AWS's names lead to inside, for TLS and plain; None where they do not."""

    @property
    def endpoint_address(self) -> str | None:
        """Host and port of the AWS endpoint as seen from inside, or None."""

    @property
    def log_fd(self) -> int:
        """Read end (non-blocking) of the pipe that is stdout and stderr of everything inside. Owned by the sandbox."""

    @property
    def extension_log_fd(self) -> int:
        """Read end (non-blocking) of the pipe that is stdout and stderr of extensions; -1 before the first starts."""

    async def specialise(self, specialisation: Specialisation) -> None:
        """Mount the code, set limits, drop every right and start the runtime. Once.

        Raises SandboxError.
        """

    async def start_extension(
        self, name: str, variables: Mapping[str, str], on_exit: Callable[[str, RuntimeExit], None]
    ) -> int:
        """Start /opt/extensions/`name` with its environment; return 0, or the errno why it could not be started.

        `on_exit(name, how)` is called when its process has ended, unless a reset or the end of all killed it.

        Raises SandboxError.
        """

    async def start_runtime(self) -> None:
        """Start the runtime that was held back for extensions. Raises SandboxError."""

    async def make_socket(self) -> socket.socket:
        """Return a TCP socket of the network inside, not connected, non-blocking; the caller's. Raises SandboxError."""

    async def apply_cpu_limit(self, vcpus: float) -> None:
        """Limit CPU from now on (written after INIT, decision 6)."""

    def freeze(self) -> None:
        """Stop all processes inside without waiting until they are stopped."""

    def thaw(self) -> None:
        """Let them run again; returns when it is ordered (0.02 ms)."""

    async def reset(self, variables: Mapping[str, str] | None = None) -> None:
        """Kill all but init and start the runtime again; /tmp, code, link, listener stay. Raises SandboxError.

        `variables`, if given, are its environment from now on.
        """

    async def wait_exited(self) -> RuntimeExit:
        """Return when the current runtime process has ended, with its true status.

        Raises SandboxError when the whole sandbox was lost without the function's doing.
        """

    def signal_runtime(self, signal_number: int) -> None:
        """Send a signal to the runtime process (SIGTERM of the Shutdown phase)."""

    def memory_peak_mib(self) -> int:
        """Highest memory use so far without page cache, in MiB, rounded up."""

    async def close(self) -> None:
        """Kill everything, reap, close every socket and fd. Idempotent, bounded (5 s), never raises."""


class SandboxDriver(Protocol):
    """Makes sandboxes at one isolation level. Scope: node."""

    @property
    def level(self) -> IsolationLevel:
        """The level it really gives, probed by doing."""

    @property
    def missing_features(self) -> Mapping[str, str]:
        """Feature → why this machine does not have it."""

    async def run(self) -> None:
        """Serve until cancelled: read the supervisor's messages, heal zygotes. Started by app.py in its task group."""

    async def wait_ready(self) -> None:
        """Return when `create` can be called."""

    async def create(self, kind: SandboxKind) -> Sandbox:
        """Prewarm one sandbox. Raises SandboxError."""

    def zygote_ids(self) -> Mapping[SandboxKind, int]:
        """Process ids of the running zygotes, for `doctor` and tests."""
