"""The embedded services: MiniStack as a child process, started at the first call, kept alive, ended with the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from lambent.neighbours.addresses import base_url, responses_at
from lambent.wire.client import PROOF_HEADER
from lambent.wire.error_forms import NeighbourError
from lambent.wire.http_client import ClientRules, ConnectionFailedError, HttpClient, Origin, OutwardRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from lambent.model.invocation import TriggeredAnswer, TriggeredCall
    from lambent.neighbours.bridge import ChildBridge
    from lambent.neighbours.operations import OthersServed
    from lambent.neighbours.shadows import KnowsFunctions

_log = logging.getLogger(__name__)
_child_log = logging.getLogger("lambent.neighbours.embedded")

_PROGRAM = Path(__file__).with_name("program") / "embedded.py"
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_PROBE_SECONDS = 10.0
_LINE_BYTES_MAX = 65_536
_PAUSE_SECONDS_MIN = 0.2
_PAUSE_SECONDS_MAX = 10.0
# Whoever lived this long did not die of its start.
_LONG_LIFE_SECONDS = 60.0
_HEALTH = "/_ministack/health"


class ChildState(StrEnum):
    """What /_lambent/health says of the child."""

    OFF = "not started"
    MISSING = "not installed"
    STARTING = "starting"
    RUNNING = "running"
    PAUSING = "waiting to be started again"


@dataclass(frozen=True, slots=True)
class ChildPlan:
    """How the child is started. `packages` holds MiniStack and what it imports; `directory` is the child's own.

    `password`: random text that only this daemon and its child know; the child answers nobody else, though every
    account of the machine can connect to it. `public_address` answers host and port under which callers reach the
    daemon, for URLs in the child's answers. `hung_seconds`: a child that answers nothing for so long is killed.
    `calls_port` answers the loopback port where the child calls functions; `greet` tells a child what it must know
    before it is used, and may raise ConnectionFailedError. `is_sandboxed`: functions are not processes of this
    machine; `is_led`: AWS's names lead to us inside them.
    """

    packages: Path
    directory: Path
    account_id: str
    region: str
    password: str = field(repr=False)
    public_address: Callable[[], tuple[str, int] | None]
    hung_seconds: float = 30.0
    calls_port: Callable[[], int] | None = None
    greet: Callable[[Origin], Awaitable[None]] | None = None
    is_sandboxed: Callable[[], bool] = lambda: False
    is_led: Callable[[], bool] = lambda: False


class EmbeddedChild:
    """Supervises the child. Scope: node. The child dies with the daemon, whatever ends it; its state is its own files.

    Its listening socket is made here and outlives it: a child that is started again answers at the same port.
    """

    def __init__(self, plan: ChildPlan) -> None:
        self._plan = plan
        self.password = plan.password
        self.public_address = plan.public_address
        self._wanted = asyncio.Event()
        self._ready = asyncio.Event()
        self._listener: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        # A start takes as long as it takes; afterwards silence means that it hangs.
        self._first_probe = HttpClient(ClientRules(connect_seconds=1.0, silence_seconds=_START_SECONDS))
        self._probe = HttpClient(ClientRules(connect_seconds=1.0, silence_seconds=plan.hung_seconds, idle_seconds=60.0))
        self._failures = 0
        self._starts = 0
        self._last_words = ""
        self.state = ChildState.OFF if (plan.packages / "ministack").is_dir() else ChildState.MISSING

    async def wait_ready(self) -> Origin:
        """Return where the child answers; the first call starts it.

        Raises:
            NeighbourError: it is not installed (501), or does not come up (503).
        """
        if self.state is ChildState.RUNNING:
            return self._origin()
        if not self.is_installed:
            raise NeighbourError(
                "NotImplementedException",
                "The embedded services are not installed: run ./scripts/setup, or set neighbours.SERVICE.endpoint.",
                501,
            )
        self._wanted.set()
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._ready.wait()
        except TimeoutError as error:
            raise NeighbourError(
                "ServiceUnavailable", f"The embedded services do not start: {self._last_words or 'no answer'}.", 503
            ) from error
        return self._origin()

    async def run(self) -> None:
        """Start the child when it is wanted and again whenever it ends, until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            await self._wanted.wait()
            while True:
                started = loop.time()
                try:
                    await self._live()
                except OSError as error:
                    self._last_words = str(error)
                    _log.error("the embedded services cannot be started: %s", error)
                self._failures = 0 if loop.time() - started > _LONG_LIFE_SECONDS else self._failures + 1
                self.state = ChildState.PAUSING
                await asyncio.sleep(min(_PAUSE_SECONDS_MIN * 2 ** min(self._failures - 1, 10), _PAUSE_SECONDS_MAX))
        finally:
            await asyncio.shield(self._stop())
            self._first_probe.close()
            self._probe.close()
            if self._listener is not None:
                self._listener.close()

    @property
    def is_installed(self) -> bool:
        """Whether there is anything to start."""
        return self.state is not ChildState.MISSING

    def statistics(self) -> Mapping[str, str | int]:
        """Return what health says of the child."""
        found: dict[str, str | int] = {"state": self.state.value, "starts": self._starts}
        if self._process is not None and self._listener is not None:
            found |= {"pid": self._process.pid, "port": self._listener.getsockname()[1]}
        return found

    async def _live(self) -> None:
        """Be the child's supervisor from its start to its end."""
        self.state = ChildState.STARTING
        self._process = process = await self._start()
        self._starts += 1
        try:
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(self._read_log(process))
                watching = tasks.create_task(self._watch(process))
                status = await process.wait()
                self.state = ChildState.PAUSING
                self._ready.clear()
                watching.cancel()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await reading
        finally:
            self._ready.clear()
            if process.returncode is not None:
                self._process = None
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
        _log.warning("the embedded services ended with %s; they are started again", how)
        self._last_words = self._last_words or how

    async def _start(self) -> asyncio.subprocess.Process:
        plan = self._plan
        if self._listener is None:
            self._listener = listener = socket.socket()
            listener.bind(("127.0.0.1", 0))
            listener.listen(1_024)
        for name in ("state", "objects", "tmp"):
            (plan.directory / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = self._listener.fileno()
        # Isolated and without site-packages: the child sees its own packages and the standard library.
        arguments = ("-I", "-S", str(_PROGRAM), str(plan.packages), str(descriptor), str(os.getpid()))
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_LINE_BYTES_MAX,
            env=self._environment(),
            cwd=str(plan.directory),
            pass_fds=(descriptor,),
            start_new_session=True,
        )

    def _environment(self) -> dict[str, str]:
        plan = self._plan
        directory = plan.directory
        _, port = plan.public_address() or ("127.0.0.1", 4566)
        return {
            "PATH": os.defpath,
            "HOME": str(directory),
            "TMPDIR": str(directory / "tmp"),
            "LANG": "C.UTF-8",
            "LAMBENT_PROOF": plan.password,
            **({"LAMBENT_CALLS": str(plan.calls_port())} if plan.calls_port is not None else {}),
            "LAMBENT_RESPONSES": responses_at(
                plan.public_address(), is_sandboxed=plan.is_sandboxed(), is_led=plan.is_led()
            ),
            "BIND_HOST": "127.0.0.1",
            # For URLs in answers, where callers reach the child: through the daemon. Its name is not set, so that a
            # queue's URL has the host the caller used, which inside a sandbox is another one.
            "GATEWAY_PORT": str(port),
            "MINISTACK_ACCOUNT_ID": plan.account_id,
            "MINISTACK_REGION": plan.region,
            "PERSIST_STATE": "1",
            "STATE_DIR": str(directory / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(directory / "objects"),
            "LOG_LEVEL": "WARNING",
            # What would listen on ports of its own, or run containers beside our sandboxes.
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "DOCKER_HOST": "unix:///nonexistent",
            # Its own functions would run outside our sandboxes.
            "LAMBDA_STRICT": "1",
        }

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Say when the child is ready; afterwards kill one that no longer answers."""
        plan, origin = self._plan, self._origin()
        probe = OutwardRequest("GET", _HEALTH, (("host", "localhost"), (PROOF_HEADER, plan.password)))
        while True:
            try:
                async with asyncio.timeout(_START_SECONDS):
                    client = self._probe if self._ready.is_set() else self._first_probe
                    response = await client.send(origin, probe)
                    await response.read(_LINE_BYTES_MAX)
                    if plan.greet is not None and not self._ready.is_set():
                        await plan.greet(origin)
            except (ConnectionFailedError, TimeoutError) as error:
                if process.returncode is None and (isinstance(error, TimeoutError) or error.is_silent):
                    _log.error("the embedded services do not answer and are killed")
                    self._kill(process)
                    return
            else:
                self.state = ChildState.RUNNING
                self._last_words = ""
                self._ready.set()
            await asyncio.sleep(_PROBE_SECONDS if self._ready.is_set() else 0.05)

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:
                continue  # A line longer than the limit: dropped.
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            if text:
                self._last_words = text[:500]
                _child_log.info("%s", text)

    async def _stop(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            # A stopped process does not see SIGTERM.
            process.send_signal(signal.SIGCONT)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            _log.warning("the embedded services did not end within %g s and are killed", _STOP_SECONDS)
        self._kill(process)
        await process.wait()

    @staticmethod
    def _kill(process: asyncio.subprocess.Process) -> None:
        # The session's other processes go with it, were there any.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

    def _origin(self) -> Origin:
        assert self._listener is not None
        return Origin("http", "127.0.0.1", int(self._listener.getsockname()[1]))


def build_bridge(
    known: KnowsFunctions,
    answer: Callable[[TriggeredCall], Awaitable[TriggeredAnswer]],
    http: HttpClient,
    child: EmbeddedChild | None,
    planes: Callable[[], Sequence[object]],
    served: Callable[[], OthersServed],
) -> ChildBridge:
    """Return what stands between the child and functions; loaded here, for a command needs none of it.

    `planes` returns the objects that have Lambda's operations, `served` the other services that are served here.
    """
    from lambent.neighbours.bridge import ChildBridge
    from lambent.neighbours.operations import InsideOperations

    address: Callable[[], tuple[str, int] | None] = child.public_address if child is not None else lambda: None
    operations = InsideOperations(planes, lambda: base_url(address()), os.urandom, served)
    return ChildBridge(known, answer, http, child.password if child is not None else "", operations.answer)
