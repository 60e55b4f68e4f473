"""A real driver with hostile functions, on a host and an internet of the scene's own. Run as root, as a program.

`scene.py LEVEL PART` starts in a fresh network namespace, builds the world, becomes an ordinary user for level L1,
and prints one JSON object: what each probe got hold of, and how host and neighbour were after each bomb.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from lambent.environments.sandbox.launch import LauncherOptions, start_launcher
from lambent.environments.sandbox.launcher import syscalls
from lambent.environments.sandbox.namespaces import NamespaceDriver
from lambent.environments.sandbox.sandbox import Interpreter, RuntimeFamily, SandboxError, SandboxKind, Specialisation
from tests.sandbox.escape.table import BOMBS, QUIET_PROBES
from tests.sandbox.network import scene as world

if TYPE_CHECKING:
    from lambent.environments.sandbox.namespace_sandbox import NamespaceSandbox

INTERPRETER_ROOT = os.path.realpath(sys.base_prefix)
HERE = Path(__file__).parent
ORDINARY_USER = 64_123
UID_BASE = 3_200_000
CANARY = "lambent-escape-canary"
LOOPBACK_PORT, NEIGHBOUR_PORT = 7_008, 9_002
# Opened to functions by network.host_ports; slirp4netns has no such thing.
HOST_PORTS = () if "no-host-ports" in sys.argv else (world.OPENED_PORT,)
TMP_MIB = 512
MEMORY_MIB = 256
SLOWNESS = float(os.environ.get("TESTS_SLOWNESS", "1"))
ANSWER_SECONDS = 60.0 * SLOWNESS
BOMB_SECONDS = 6.0 * SLOWNESS
NEIGHBOUR_SECONDS = 10.0 * SLOWNESS


@dataclass
class Function:
    """A running function and the connection its runtime opened."""

    sandbox: NamespaceSandbox
    connection: socket.socket | None = None
    buffer: bytes = b""

    async def connect(self) -> None:
        """Wait for the runtime."""
        if self.connection is not None:
            self.connection.close()
        self.buffer = b""
        self.sandbox.runtime_listener.setblocking(False)
        async with asyncio.timeout(ANSWER_SECONDS):
            self.connection, _ = await asyncio.get_running_loop().sock_accept(self.sandbox.runtime_listener)
        await self.line()

    async def ask(self, event: object) -> Any:
        """Send an event and return the answer. Raises EOFError when the runtime ends."""
        await self.tell(event)
        answer = json.loads(await self.line())
        await self.line()
        return answer

    async def tell(self, event: object) -> None:
        """Send an event."""
        assert self.connection is not None
        await asyncio.get_running_loop().sock_sendall(self.connection, json.dumps(event).encode() + b"\n")

    async def line(self) -> bytes:
        """Read one line."""
        assert self.connection is not None
        while b"\n" not in self.buffer:
            async with asyncio.timeout(ANSWER_SECONDS):
                piece = await asyncio.get_running_loop().sock_recv(self.connection, 65_536)
            if not piece:
                raise EOFError("the runtime ended")
            self.buffer += piece
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line

    async def close(self) -> None:
        """Hang up and end it."""
        if self.connection is not None:
            self.connection.close()
        await self.sandbox.close()


class Stage:
    """The driver and everything a hostile function might find."""

    def __init__(self, data: Path, driver: NamespaceDriver) -> None:
        self.data = data
        self.driver = driver
        self.sockets: tuple[socket.socket, ...] = ()
        self.interpreter_root = INTERPRETER_ROOT
        roots = () if INTERPRETER_ROOT == "/usr" else (INTERPRETER_ROOT,)
        interpreter = Interpreter(RuntimeFamily.PYTHON, os.path.realpath(sys.executable), "3", roots)
        self.kind = SandboxKind(RuntimeFamily.PYTHON, "000000000000", interpreter, str(data / "client"))

    async def start(self, memory_mib: int = MEMORY_MIB) -> Function:
        """Start one hostile function."""
        sandbox = await self.driver.create(self.kind)
        variables = {"AWS_LAMBDA_RUNTIME_API": sandbox.runtime_api_address, "SECRET": "of this environment only"}
        await sandbox.specialise(Specialisation("code/hostile", memory_mib, TMP_MIB, variables))
        function = Function(sandbox)
        await function.connect()
        return function


def main(level: str, part: str) -> None:
    """Build the world, become who the level wants, play one part."""
    world.with_internet()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "addr", "add", f"{world.OTHER_HOST_ADDRESS}/32", "dev", "lo"], check=True)
    world.serve_all(
        ("0.0.0.0", world.PORT), ("::", world.PORT), ("127.0.0.1", LOOPBACK_PORT), ("127.0.0.1", world.OPENED_PORT)
    )
    host_canary = Path(tempfile.gettempdir()) / f"{CANARY}-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="lambent-escape-") as directory:
        os.chmod(directory, 0o755)
        data = Path(directory) / "data"
        prepare(data)
        host_canary.write_text("secret")
        try:
            player = os.fork()
            if player == 0:
                play_as(level, part, data, host_canary)
            _, status = os.waitpid(player, 0)
        finally:
            host_canary.unlink()
    # Threads that answer for the host are still waiting.
    os._exit(os.waitstatus_to_exitcode(status))


def play_as(level: str, part: str, data: Path, host_canary: Path) -> NoReturn:
    """Play in a process of its own, which becomes an ordinary user for L1."""
    status = 1
    try:
        if level == "L1":
            become_ordinary(data)
        sys.stdout.write(json.dumps(asyncio.run(play(data, part, host_canary))))
        sys.stdout.flush()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def become_ordinary(data: Path) -> None:
    """Become another user; where this is only the root of a user namespace, one of a namespace further in."""
    if Path("/proc/self/uid_map").read_text().split()[2] == "1":
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        for file, value in (("setgroups", "deny"), ("uid_map", "1000 0 1"), ("gid_map", "1000 0 1")):
            Path(f"/proc/self/{file}").write_text(value)
        return
    give_to(data, ORDINARY_USER)
    os.setgroups([])
    os.setresgid(ORDINARY_USER, ORDINARY_USER, ORDINARY_USER)
    os.setresuid(ORDINARY_USER, ORDINARY_USER, ORDINARY_USER)
    # As after an exec: a process that changed its ids has lost the way into its own /proc.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)


async def play(data: Path, part: str, host_canary: Path) -> dict[str, Any]:
    """Start launcher and driver, play the part, stop both."""
    readable = (str(data / "client"), *(() if INTERPRETER_ROOT == "/usr" else (INTERPRETER_ROOT,)))
    before = host_health()
    options = LauncherOptions(
        data, readable, uid_base=UID_BASE, egress="open", host_ports=HOST_PORTS, has_apis=True
    )  # As servers start it.
    launcher = start_launcher(options)
    seen: dict[str, Any] = {"host before": before}
    try:
        driver = NamespaceDriver(launcher.socket)
        async with asyncio.TaskGroup() as tasks:
            loop = tasks.create_task(driver.run())
            await driver.wait_ready()
            seen |= {"level": str(driver.level), "missing": dict(driver.missing_features)}
            stage = Stage(data, driver)
            neighbour = await stage.start()
            context = await make_context(stage, neighbour, host_canary)
            if part == "quiet":
                seen |= await play_quiet(stage, context)
            else:
                seen |= await play_bomb(stage, neighbour, context, part)
            seen["neighbour"] = await neighbour.ask({"module": "probe_files", "probe": "rights", "context": context})
            await neighbour.close()
            loop.cancel()
    finally:
        launcher.stop()
    seen["host"] = host_health()
    seen["left"] = processes_left()
    return seen


async def play_quiet(stage: Stage, context: dict[str, Any]) -> dict[str, Any]:
    """Run every probe of the table in one environment, one after the other, and the controls on the host."""
    function = await stage.start()
    got: dict[str, Any] = {}
    for name in QUIET_PROBES:
        module, _, probe = name.partition(".")
        started = time.monotonic()
        try:
            got[name] = await function.ask({"module": module, "probe": probe, "context": context})
        except EOFError:
            got[name] = {"got": [], "note": "the runtime ended"}
            await function.sandbox.reset()
            await function.connect()
        got[name]["seconds"] = round(time.monotonic() - started, 2)
    await function.close()
    return {"got": got, "control": control(context)}


def control(context: dict[str, Any]) -> dict[str, Any]:
    """The same probes where nothing holds them: what is not found here, a sandbox need not hide."""
    sys.path.insert(0, str(HERE / "fixtures"))
    files, network = importlib.import_module("probe_files"), importlib.import_module("probe_network")
    return {
        "canaries": files.readable("", context["canaries"]),
        "streams": network.reachable(context),
        "sockets": network.names_of_sockets(context),
    }


async def play_bomb(stage: Stage, neighbour: Function, context: dict[str, Any], name: str) -> dict[str, Any]:
    """Set off one bomb and look at everybody else."""
    # A thousand processes of Python need more than the usual size: it is their number that is to be met.
    function = await stage.start(1_536 if name == "forks_count" else MEMORY_MIB)
    supervisor = stage.driver.supervisor_pid
    await function.tell({"module": "probe_bombs", "probe": name, "context": context, "in_place": True})
    outcome: dict[str, Any] = {"got": [], "note": "went on until it was stopped"}
    started = time.monotonic()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(BOMB_SECONDS):
            try:
                outcome = json.loads(await function.line())
                await function.line()
            except EOFError:
                ending = await function.sandbox.wait_exited()
                outcome = {"got": [], "note": f"ended: {ending}", "out_of_memory": ending.is_out_of_memory}
    seen: dict[str, Any] = {"bomb": outcome, "seconds": time.monotonic() - started}
    async with asyncio.timeout(NEIGHBOUR_SECONDS):
        seen["neighbour during"] = await neighbour.ask({"module": "probe_files", "probe": "rights", "context": context})
    seen["host during"] = host_health()
    started = time.monotonic()
    try:
        await function.sandbox.reset()
        await function.connect()
        seen["after reset"] = await function.ask({"module": "probe_files", "probe": "rights", "context": context})
    except SandboxError as error:
        # Whoever owns it takes a new one then, as is done below.
        seen["reset failed"] = str(error)
    seen["reset seconds"] = time.monotonic() - started
    await function.close()
    seen["same supervisor"] = stage.driver.supervisor_pid == supervisor
    fresh = await stage.start()
    seen["a new one"] = await fresh.ask({"module": "probe_files", "probe": "rights", "context": context})
    await fresh.close()
    return seen


async def make_context(stage: Stage, neighbour: Function, host_canary: Path) -> dict[str, Any]:
    """Name everything a probe looks for."""
    served = await neighbour.ask(
        {"module": "probe_serving", "probe": "serve", "context": {"port": NEIGHBOUR_PORT}, "in_place": True}
    )
    abstract = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    abstract.bind(f"\0{CANARY}-{os.getpid()}")
    abstract.listen()
    named = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    named.bind(str(stage.data / "run" / "socket"))
    named.listen()
    stage.sockets = (abstract, named)
    namespaces = {os.readlink(f"/proc/{pid}/ns/{kind}") for pid in ("self",) for kind in os.listdir("/proc/self/ns")}
    refused = [
        ("host", world.HOST, world.PORT),
        ("host ipv6", world.HOST6, world.PORT),
        ("host's other address", world.OTHER_HOST_ADDRESS, world.PORT),
        ("host mapped", f"::ffff:{world.HOST}", world.PORT),
        ("loopback", "127.0.0.1", world.PORT),
        ("loopback only", "127.0.0.1", LOOPBACK_PORT),
        ("loopback ipv6", "::1", world.PORT),
        ("any", "0.0.0.0", world.PORT),
        ("metadata", world.METADATA, 80),
        ("metadata ipv6", "fd00:ec2::254", 80),
        *[(f"neighbour {address}", address, NEIGHBOUR_PORT) for address in served["got"]],
        *[(f"neighbour's runtime api {address}", address, 9_001) for address in served["got"]],
    ]
    return {
        "canary_name": CANARY,
        "canaries": [str(host_canary), *(str(path) for path in sorted(stage.data.rglob(f"*{CANARY}*")))],
        "host_pids": [os.getpid(), stage.driver.supervisor_pid, neighbour.sandbox.pid],
        "host_namespaces": sorted(namespaces),
        "interpreter_root": stage.interpreter_root,
        "host_name": os.uname().nodename,
        "words": [str(stage.data)],
        "unix_sockets": [f"@{CANARY}-{os.getpid()}", str(stage.data / "run" / "socket")],
        "refused": refused,
        "allowed": [
            ("internet", world.INTERNET, world.PORT),
            *[("a port of the host's that was opened", "host.lambent.internal", port) for port in HOST_PORTS],
        ],
        "echo_port": world.PORT,
        "sink": world.INTERNET,
        "tmp_mib": TMP_MIB,
    }


def prepare(data: Path) -> None:
    """Lay out a data directory with secrets in the store and another function's code."""
    for name in ("keys", "run", "code/hostile", "code/other", "zips", "logs"):
        (data / name).mkdir(parents=True)
    shutil.copytree(HERE.parent / "fixtures" / "client", data / "client")
    for path in (HERE / "fixtures").glob("*.py"):
        shutil.copy(path, data / "code" / "hostile")
    for name in (f"keys/{CANARY}", f"{CANARY}.db", f"zips/{CANARY}.zip", f"logs/{CANARY}", f"code/other/{CANARY}.py"):
        (data / name).write_text("secret")


def give_to(data: Path, user: int) -> None:
    """Make an ordinary user the owner."""
    for path in (data, *data.rglob("*")):
        os.chown(path, user, user)


def host_health() -> dict[str, Any]:
    """Whether the host can still do what a host does."""
    started = subprocess.run(["/bin/true"], check=False).returncode == 0
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    used_kib = int(memory["MemTotal"].split()[0]) - int(memory["MemAvailable"].split()[0])
    tasks = int(Path("/proc/loadavg").read_text().split()[3].split("/")[1])
    answer = world.connect(("127.0.0.1", LOOPBACK_PORT))
    return {"starts programs": started, "answers": answer == "127.0.0.1", "used_mib": used_kib >> 10, "tasks": tasks}


def processes_left() -> list[str]:
    """Processes of environments, or of the launcher's, that outlived it."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            user = os.stat(f"/proc/{name}").st_uid
            is_inside = UID_BASE <= user < UID_BASE + 65_536 or user == ORDINARY_USER
            if is_inside and int(name) != os.getpid():
                found.append(Path(f"/proc/{name}/stat").read_text())
    return found


if __name__ == "__main__":
    assert sys.argv[2] in ("quiet", *BOMBS)
    main(sys.argv[1], sys.argv[2])
