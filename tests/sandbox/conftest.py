"""Real sandboxes for tests: a launcher, a driver, functions that answer JSON lines, and a count of what is left."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lambent.aws_names import AwsNames
from lambent.clock import SystemClock
from lambent.environments.sandbox.launch import Launcher, LauncherOptions, start_launcher
from lambent.environments.sandbox.launcher import netlink, syscalls
from lambent.environments.sandbox.namespaces import NamespaceDriver
from lambent.environments.sandbox.sandbox import Interpreter, RuntimeFamily, SandboxKind, Specialisation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from socket import socket

    from lambent.environments.sandbox.namespace_sandbox import NamespaceSandbox

FIXTURES = Path(__file__).parent / "fixtures"
UIDS = 65_536
# Two runs of the tests at the same time do not count each other's processes.
UID_BASE = 3_000_000 + os.getpid() % 20_000 * UIDS
DAEMON_UID = 64_990
# How many times slower than usual the machine is: an emulated one is told so by scripts/prove-cgroup-v2.
SLOWNESS = float(os.environ.get("TESTS_SLOWNESS", "1"))
ANSWER_SECONDS = 20.0 * SLOWNESS


def own_interpreter() -> Interpreter:
    """The interpreter that runs the tests."""
    executable = os.path.realpath(sys.executable)
    return Interpreter(RuntimeFamily.PYTHON, executable, "3.11", (os.path.realpath(sys.base_prefix),))


class Running:
    """A specialised sandbox and the connection that its runtime opened."""

    def __init__(self, sandbox: NamespaceSandbox) -> None:
        self.sandbox = sandbox
        self._connection: socket | None = None
        self._buffer = b""

    async def connect(self) -> None:
        """Wait for the runtime's first `next`."""
        loop = asyncio.get_running_loop()
        self.sandbox.runtime_listener.setblocking(False)
        self.hang_up()
        async with asyncio.timeout(ANSWER_SECONDS):
            self._connection, _ = await loop.sock_accept(self.sandbox.runtime_listener)
        assert await self._line() == b"next"

    async def ask(self, event: object = None) -> Any:
        """Send an event and return the handler's answer."""
        await self.tell(event)
        answer = json.loads(await self._line())
        assert await self._line() == b"next"
        return answer

    async def tell(self, event: object = None) -> None:
        """Send an event whose answer nobody expects."""
        assert self._connection is not None
        await asyncio.get_running_loop().sock_sendall(self._connection, json.dumps(event).encode() + b"\n")

    def hang_up(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._buffer = b""

    def log(self) -> bytes:
        """What has been written to stdout and stderr and not been read yet."""
        with contextlib.suppress(BlockingIOError):
            return os.read(self.sandbox.log_fd, 1 << 20)
        return b""

    async def close(self) -> None:
        """Hang up and close the sandbox."""
        self.hang_up()
        await self.sandbox.close()

    async def _line(self) -> bytes:
        assert self._connection is not None
        while b"\n" not in self._buffer:
            async with asyncio.timeout(ANSWER_SECONDS):
                data = await asyncio.get_running_loop().sock_recv(self._connection, 65536)
            if not data:
                raise EOFError("the runtime hung up")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


@dataclass
class Farm:
    """A driver that runs, and the ways to use it."""

    data: Path
    launcher: Launcher
    driver: NamespaceDriver
    interpreter: Interpreter
    client: Path
    names: AwsNames
    functions: int = 0
    running: list[Running] = field(default_factory=list)

    def kind(self, family: RuntimeFamily = RuntimeFamily.PYTHON, account: str = "000000000000") -> SandboxKind:
        """The kind of sandbox that a family needs."""
        client = str(self.client)
        if family is RuntimeFamily.EXEC:
            return SandboxKind(family, account)
        if family is RuntimeFamily.NODEJS:
            node = os.path.realpath(shutil.which("node") or "")
            return SandboxKind(family, account, Interpreter(family, node, "20"), client, memory_mib=256)
        return SandboxKind(family, account, self.interpreter, client)

    def write_code(self, files: Mapping[str, str]) -> str:
        """Write a new function's files and return the directory's path in the data directory."""
        self.functions += 1
        name = f"f{self.functions}"
        directory = self.data / "code" / name
        directory.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (directory / file).write_text(text)
            (directory / file).chmod(0o755)
        return f"code/{name}"

    async def run(self, code: str, **overrides: Any) -> Running:
        """Run Python code that defines `handler(event)`."""
        return await self.run_files({"app.py": code}, self.kind(), **overrides)

    async def run_files(self, files: Mapping[str, str], kind: SandboxKind, **overrides: Any) -> Running:
        """Run files in a sandbox of a kind; `overrides` are members of Specialisation."""
        sandbox = await self.driver.create(kind)
        try:
            running = await self.specialise(sandbox, self.write_code(files), **overrides)
            await running.connect()
        except BaseException:
            await sandbox.close()
            raise
        self.running.append(running)
        return running

    async def specialise(self, sandbox: NamespaceSandbox, code: str, **overrides: Any) -> Running:
        """Specialise a sandbox with usual sizes."""
        values: dict[str, Any] = {"memory_mib": 256, "ephemeral_storage_mib": 512, "variables": {}}
        values |= overrides
        values["variables"] = {"AWS_LAMBDA_RUNTIME_API": sandbox.runtime_api_address} | values["variables"]
        await sandbox.specialise(Specialisation(code_directory=code, **values))
        return Running(sandbox)


def start_in_own_network(
    options: LauncherOptions, hidden: tuple[str, ...] = (), empty: tuple[str, ...] = ()
) -> Launcher:
    """Start a launcher from a thread that has left the host's network, without `hidden` mounts, with `empty` files."""
    started: list[Launcher] = []

    def start() -> None:
        if os.geteuid() == 0:
            syscalls.unshare(syscalls.CLONE_NEWNET)
            netlink.bring_up_loopback()
            syscalls.unshare(syscalls.CLONE_NEWNS)
            syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
            for path in hidden:
                syscalls.umount(path)
            for path in empty:
                syscalls.mount("/dev/null", path, None, syscalls.MS_BIND)
        started.append(start_launcher(options))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    return started[0]


def copy_of_client(parent: Path) -> Path:
    """Copy the test's runtime client to where the daemon's account cannot change it."""
    place = parent if os.access(parent, os.W_OK) else None
    client = Path(tempfile.mkdtemp(prefix="lambent-client-", dir=place))
    shutil.copytree(FIXTURES / "client", client, dirs_exist_ok=True)
    client.chmod(0o755)
    return client


@contextlib.asynccontextmanager
async def open_farm(
    data: Path,
    *,
    is_fresh: bool = False,
    egress: str = "none",
    hidden: tuple[str, ...] = (),
    empty: tuple[str, ...] = (),
    readable: tuple[str, ...] = (),
    memory_mib_max: int = 0,
    has_apis: bool = False,
    on_started: Callable[[], None] = lambda: None,
) -> AsyncIterator[Farm]:
    """Start a launcher and a driver on a data directory; at the end stop both.

    The launcher takes a network namespace of its own for the host's, so that nothing of this machine's is touched.
    """
    client = copy_of_client(data.parent)
    for path in (data, *data.parents):
        if path in (Path("/tmp"), Path("/")) or path.stat().st_uid not in (0, DAEMON_UID):
            break
        path.chmod(0o755)
    interpreter = own_interpreter()
    shown = (*interpreter.roots, str(client), *readable)
    options = LauncherOptions(
        data, shown, uid_base=UID_BASE, egress=egress, memory_mib_max=memory_mib_max, has_apis=has_apis
    )
    names = AwsNames(data, SystemClock(), "intercept" if has_apis else "pass")
    if has_apis:
        for name in ("keys", "trust"):
            (data / name).mkdir(exist_ok=True)
        names.prepare()
    launcher = await asyncio.to_thread(start_in_own_network, options, hidden, empty)
    on_started()
    try:
        driver = NamespaceDriver(launcher.socket, is_fresh=is_fresh, is_led=names.is_led)
        async with asyncio.TaskGroup() as group:
            loop = group.create_task(driver.run())
            await driver.wait_ready()
            farm = Farm(data, launcher, driver, interpreter, client, names)
            try:
                yield farm
            finally:
                for running in farm.running:
                    running.hang_up()
            loop.cancel()
    finally:
        launcher.stop()
        shutil.rmtree(client, ignore_errors=True)


def is_inside(process: Path, data: Path) -> bool:
    """Say whether a process lives in a sandbox of an installation."""
    return f"/{data.parent.name}/{data.name}/" in (process / "mountinfo").read_text()


def count_leftovers(data: Path) -> dict[str, list[str]]:
    """Everything that the sandboxes of one installation could leave behind on this machine, named."""
    processes = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            is_ours = name.isdigit() and UID_BASE <= os.stat(f"/proc/{name}").st_uid < UID_BASE + UIDS
            # A zombie is dead; when the launcher itself was killed, the machine's init buries it in its own time.
            if is_ours and ") Z " not in Path(f"/proc/{name}/stat").read_text():
                processes.append(name)
            # At level 1 they have the user's own account: they are known by what of this directory they have mounted.
            if name.isdigit() and os.geteuid() != 0 and is_inside(Path(f"/proc/{name}"), data):
                processes.append(name)
    loops = []
    for name in os.listdir("/sys/block"):
        with contextlib.suppress(OSError):
            loops.append(Path(f"/sys/block/{name}/loop/backing_file").read_text().strip())
    identity = data / "launcher" / "installation-id"
    cgroups = Path("/sys/fs/cgroup").glob(f"**/lambent-{identity.read_text()}*") if identity.exists() else iter(())
    return {
        "processes": processes,
        "mounts": [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(data) in line],
        "cgroups": [str(path) for path in cgroups],
        "loops": [path for path in loops if path.startswith(str(data))],
        "descriptors": os.listdir("/proc/self/fd"),
    }


@pytest.fixture
def leftovers() -> Callable[[Path], dict[str, list[str]]]:
    """What the installation in a data directory has left on this machine."""
    return count_leftovers


@pytest.fixture
def needs_root() -> None:
    """Skip what only levels 2 and 3 promise, or what only root can prepare."""
    if os.geteuid() != 0:
        pytest.skip("levels L2 and L3 need root")


@pytest.fixture
def in_farm(tmp_path: Path) -> Callable[..., None]:
    """Run `scenario(farm)` with a real launcher, at level 1 for an ordinary user; nothing may be left afterwards."""

    def run(scenario: Callable[[Farm], Any], **options: Any) -> None:
        async def main() -> None:
            async with open_farm(tmp_path, **options) as farm, asyncio.timeout(100 * SLOWNESS):
                await scenario(farm)

        before = count_leftovers(tmp_path)
        asyncio.run(main())
        assert count_leftovers(tmp_path) == before

    return run
