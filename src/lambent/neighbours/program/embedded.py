"""Serves MiniStack and keeps its configuration: what a change has touched is written before the change is answered.

MiniStack itself writes its state when it ends in order. Here a request that changes something notes which of its
modules it reached; these are written at once, and the answer waits for that. What CloudFormation makes may be of any
service: where some of them take long to write, it is waited for up to WAIT_SECONDS and follows at a slower pace. Bulk
data (items, messages, log lines) is written later: a kill may lose the newest.

Who waits for messages of a queue is told of them: MiniStack itself looks ten times a second for each who waits, and
gives messages to clients that have gone.

Its services call the daemon's functions by what stands in bridge.py and sources.py.

Arguments: the directory of packages, the listening descriptor, the process id of the daemon.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import ctypes
import importlib.util
import logging
import os
import re
import signal
import sys
import threading
import time
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lambent.neighbours.program.bridge import Bridge

    Message = dict[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

WAIT_SECONDS = 0.25
# A disk that takes longer is broken; the answer says what is true in memory.
WRITTEN_SECONDS = 20.0
BEHIND_SECONDS = 0.25
# Writing may take this share of the time at most.
PACE = 20
DATA_PACE = 50
DATA_SECONDS = 2.0
QUICK_SECONDS = 0.025
# What builds others' resources, some of it after its answer.
_BUILDERS = frozenset({"cloudformation", "cloudcontrol"})
_LATER_SECONDS = (2.0, 10.0)
# Source: "Audit events table" of Python's library reference.
_PROGRAM_STARTS = frozenset(
    {"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn"}
)
LOG_EVENTS_MAX = 50_000
_NICENESS = 5
LOG_EVENTS_KEPT = 40_000
LOG_EVENTS_OF_STREAM_MIN = 20
# Modules beside this one: who takes part in what MiniStack's modules do.
_PARTS = ("sources", "sessions", "user_pools", "alarms", "rotations", "event_rules", "tasks", "log_filters", "stacks")
_SQS = "sqs"
_RECEIVE = "AmazonSQS.ReceiveMessage"
_WAIT = "ReceiveMessageWaitTimeSeconds"
# After these a message may be there for others: of a FIFO queue the next of its group.
_FREEING = ("DeleteMessage", "DeleteMessageBatch", "ChangeMessageVisibility", "ChangeMessageVisibilityBatch")
_LOGS = "cloudwatch_logs"
_LOGS_STATE = (
    "destinations", "resource_policies", "log_group_policies", "metric_filters", "queries", "delivery_sources",
    "delivery_destinations", "deliveries",
)  # fmt: skip
_READING = re.compile(
    r"(?:Get|List|Describe|Batch(?:Get|Check|Describe)|Query|Scan|Search|Lookup|Filter|Select|Test|Simulate|Validate|"
    r"Head|Check|Estimate|Decode|Decrypt|Encrypt|ReEncrypt|GenerateData|GenerateRandom|GenerateMac|Sign|Verify|"
    r"AssumeRole|Preview|Detect|Receive)"
)
_DATA = re.compile(
    r"(?:PutItem|UpdateItem|DeleteItem|BatchWriteItem|TransactWriteItems|ExecuteStatement|ExecuteTransaction|"
    r"BatchExecuteStatement|SendMessage|SendMessageBatch|DeleteMessage|DeleteMessageBatch|ChangeMessageVisibility|"
    r"ChangeMessageVisibilityBatch|PurgeQueue|Publish|PublishBatch|PutRecord|PutRecords|PutRecordBatch|PutEvents|"
    r"PutLogEvents|CreateLogStream|PutMetricData|StartExecution|StartSyncExecution|SendTask\w+|SendEmail|SendRawEmail|"
    r"StartQuery)$"
)


def main() -> None:
    """Serve until SIGTERM."""
    packages, descriptor, parent = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        sys.exit(1)
    yield_to_invocations()
    sys.addaudithook(refuse_programs)
    sys.path.insert(0, packages)
    name_package()
    asyncio.run(serve(descriptor))


def name_package() -> None:
    """Let modules here find each other by their names: this process has no path to the daemon's packages."""
    for name in ("lambent", "lambent.neighbours", "lambent.neighbours.program"):
        sys.modules[name] = package = ModuleType(name)
        package.__path__ = [str(Path(__file__).parent)] if name.endswith("program") else []


def yield_to_invocations() -> None:
    """Where processors are short, invocations come first and the services around them wait."""
    os.nice(_NICENESS)
    # Where the kernel groups by session (sched_autogroup), the line above counts within this session only, which would
    # have as much as the daemon and all its workers together. The group's own weight stands here.
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICENESS), encoding="ascii")


def refuse_programs(event: str, _arguments: tuple[object, ...]) -> None:
    """Let this process start no other one: some of MiniStack's services would run customers' code beside the sandboxes.

    Raises PermissionError, which they answer as a failure of that code.
    """
    if event in _PROGRAM_STARTS:
        raise PermissionError("Code of customers runs in sandboxes only, not in the embedded services.")


def leave_timers_out() -> None:
    """Let MiniStack fire no schedule: the daemon has a timer of its own, and all would come twice."""
    from ministack.services import eventbridge, scheduler

    for service in (eventbridge, scheduler):
        vars(service)["start_scheduler"] = lambda: None


async def serve(descriptor: int) -> None:
    """Serve on a listening descriptor."""
    import ministack.app as stack
    from hypercorn.asyncio import serve as serve_asgi
    from hypercorn.config import Config

    logging.getLogger("hypercorn.access").disabled = True
    leave_timers_out()
    config = Config()
    config.bind = [f"fd://{descriptor}"]
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    proof, port = os.environ.pop("LAMBENT_PROOF"), os.environ.pop("LAMBENT_CALLS", "")
    names = _PARTS if port else ()
    parts = [load(name).PARTICIPANTS for name in names]
    participants = {name: take_part for part in parts for name, take_part in part.items()}
    bridge = load("bridge").Bridge(int(port), proof, participants) if port else None
    if bridge is not None:
        load("retries").Retries(bridge)
    keeper = Keeper(stack, proof, bridge)

    async def wait_for_end() -> None:
        # MiniStack writes everything itself now; two writers would be in each other's way.
        await ended.wait()
        await keeper.stop()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keeper.run())
        await serve_asgi(keeper, config, shutdown_trigger=wait_for_end)


def load(name: str) -> ModuleType:
    """Return a module beside this one, which no path leads to."""
    spec = importlib.util.spec_from_file_location(f"lambent_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Keeper:
    """An ASGI application around MiniStack's, and the loop that writes what requests have changed."""

    def __init__(self, stack: ModuleType, password: str, bridge: Bridge | None = None) -> None:
        self._stack = stack
        self._bridge = bridge
        self._proof = (b"x-lambent-proof", password.encode())
        self._keys: dict[str, str] = {module: key for key, module in stack._state_map.items()}
        self._due: dict[str, float] = {}
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._costs: dict[str, float] = {}
        self._written_at: dict[str, float] = {}
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_stopping = False
        self._stopped = asyncio.Event()
        self._touched: ContextVar[set[str] | None] = ContextVar("touched", default=None)
        # The scheme that the caller of this request used; links in answers begin with it.
        self._scheme: ContextVar[str] = ContextVar("scheme", default="http")
        self._has_seen_queues = False
        if bridge is not None:
            bridge.keep = self.keep
        self._find_module = stack._get_module
        stack._get_module = self._noting_module  # type: ignore[attr-defined]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request; a change's answer waits until it is written, if that is quick."""
        if scope["type"] == "lifespan":
            await self._stack.app(scope, receive, send)
            return
        if self._proof not in scope["headers"]:
            # Everybody on this machine can connect; who may ask is for the daemon to say.
            if scope["type"] == "http":
                await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"0")]})
                await send({"type": "http.response.body", "body": b""})
            return
        scope["headers"] = [one for one in scope["headers"] if one != self._proof]
        if scope["type"] != "http":
            await self._stack.app(scope, receive, send)
            return
        bridge = self._bridge
        if bridge is not None and scope.get("path") == bridge.path:
            await bridge.answer(receive, send)
            return
        if bridge is not None:
            await bridge.wait_told(scope["path"])
        request = _Request(scope, receive)
        self._scheme.set(request.scheme)
        touched: set[str] = set()
        self._touched.set(touched)
        deliveries = bridge.begin() if bridge is not None else []

        async def send_kept(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                await self._keep(request, touched)
                if deliveries and bridge is not None:
                    await bridge.wait_delivered(deliveries)
            await send(message)

        if request.target != _RECEIVE:
            await self._stack.app(scope, request.receive, send_kept)
            return
        async with asyncio.TaskGroup() as tasks:
            answering = tasks.create_task(self._stack.app(scope, request.receive, send_kept))
            watching = tasks.create_task(request.wait_gone())
            await asyncio.wait((answering, watching), return_when=asyncio.FIRST_COMPLETED)
            # Messages for a client that went away stay where they are.
            answering.cancel()
            watching.cancel()

    async def run(self) -> None:
        """Write what is due, until `stop`."""
        loop = self._loop = asyncio.get_running_loop()
        while not self._is_stopping:
            self._wake.clear()
            now = loop.time()
            due = [key for key, at in self._due.items() if at <= now]
            for key in due:
                del self._due[key]
                try:
                    await self._write(key)
                except Exception:
                    logging.getLogger("ministack").exception("the state of %s could not be written", key)
                    _settle(self._waiters.pop(key, []))
            if not due:
                left = min(self._due.values(), default=now + 3600) - now
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(left, 0.001)):
                        await self._wake.wait()
        # From here on MiniStack writes everything itself, as it ends.
        for waiters in self._waiters.values():
            _settle(waiters)
        self._stopped.set()

    async def stop(self) -> None:
        """End `run` and return when it writes no more."""
        self._is_stopping = True
        self._wake.set()
        await self._stopped.wait()

    def keep(self, module: str) -> None:
        """Note that a module's state has changed outside of a request. From any thread."""
        for key in self._keys_of({module}):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._mark, key, 0.0)

    def _noting_module(self, name: str) -> object:
        touched = self._touched.get()
        if touched is not None:
            touched.add(name)
        module = self._find_module(name)
        if self._bridge is not None:
            self._bridge.attend()
        if name == _SQS and not self._has_seen_queues:
            self._has_seen_queues = True
            self._tell_scheme(module)
            LongPolls.install(module)
        return module

    def _tell_scheme(self, queues: object) -> None:
        """Let addresses of queues begin with the caller's scheme: SDKs speak to the address, and to no endpoint."""
        externalize = getattr(queues, "_externalize_url", None)
        if externalize is None:
            return

        def with_scheme(url: str) -> str:
            shown: str = externalize(url)
            return shown.replace("http://", "https://", 1) if self._scheme.get() == "https" else shown

        vars(queues)["_externalize_url"] = with_scheme

    async def _keep(self, request: _Request, touched: set[str]) -> None:
        is_builder = not _BUILDERS.isdisjoint(touched)
        if self._is_stopping or not (request.is_change or is_builder):
            return
        loop = asyncio.get_running_loop()
        keys = set(self._stack._build_persistence_save_dict()) if is_builder else self._keys_of(touched)
        now = loop.time()
        if is_builder:
            for delay in _LATER_SECONDS:
                loop.call_later(delay, self._mark_all)
        if request.is_data and not is_builder:
            for key in keys:
                pace = max(DATA_SECONDS, DATA_PACE * self._costs.get(key, 0.0))
                self._mark(key, self._written_at.get(key, now) + pace)
            return
        waiting = [self._mark_change(key, self._paced(key, now) if is_builder else now) for key in keys]
        if waiting:
            await asyncio.wait(waiting, timeout=WAIT_SECONDS if is_builder else WRITTEN_SECONDS)

    def _keys_of(self, touched: set[str]) -> set[str]:
        keys = {self._keys[name] for name in touched if name in self._keys}
        for service in self._stack.SERVICE_REGISTRY.values():
            # A service keeps part of its state in modules of its own that requests reach from inside.
            if service["module"] in touched:
                keys |= {one for one in service.get("sub_modules", ()) if f"ministack.services.{one}" in sys.modules}
        return keys

    def _mark_all(self) -> None:
        for key in self._stack._build_persistence_save_dict():
            self._mark(key, 0.0)

    def _paced(self, key: str, now: float) -> float:
        cost = self._costs.get(key, 0.0)
        return now if cost <= QUICK_SECONDS else max(now + BEHIND_SECONDS, self._written_at[key] + PACE * cost)

    def _mark_change(self, key: str, due: float) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(key, []).append(future)
        self._mark(key, due)
        return future

    def _mark(self, key: str, due: float) -> None:
        self._due[key] = min(due, self._due.get(key, due))
        self._wake.set()

    async def _write(self, key: str) -> None:
        """Write one service's state: copied here, so that it is of one moment, and written in a thread."""
        from ministack.core.persistence import save_state

        loop = asyncio.get_running_loop()
        waiters = self._waiters.get(key, [])[:]
        started = loop.time()
        state: Message | None
        try:
            if key == _LOGS:
                state = trimmed_logs(sys.modules[f"ministack.services.{_LOGS}"])
            else:
                find_state = self._stack._build_persistence_save_dict().get(key)
                state = find_state() if find_state is not None else None
        except RuntimeError:
            # A thread of MiniStack's changed it while it was copied.
            self._mark(key, loop.time() + 0.05)
            return
        if state is not None:
            await loop.run_in_executor(None, save_state, key, state)
        self._written_at[key] = loop.time()
        self._costs[key] = self._written_at[key] - started
        # Whoever came while it was written waits for the next time.
        self._waiters[key] = self._waiters.get(key, [])[len(waiters) :]
        _settle(waiters)


class LongPolls:
    """ReceiveMessage that is told when there may be something, in place of MiniStack's. Scope: process.

    `queues` is MiniStack's module. Every part of it that puts a message into a queue, or lets one be seen again, says
    so by `esm_wake.set()`, from any thread; time-outs and delays are in the messages.
    """

    def __init__(self, queues: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._queues = queues
        self._loop = loop
        self._thread = threading.get_ident()
        self._receive = queues._HANDLERS["ReceiveMessage"]
        self._waiting: dict[asyncio.Event, Message] = {}

    @staticmethod
    def install(queues: Any) -> None:
        """Take the place of MiniStack's operation, if this version of it is as it is known here."""
        if not all(hasattr(queues, name) for name in ("_HANDLERS", "_get_q", "esm_wake")):
            return
        polls = LongPolls(queues, asyncio.get_running_loop())
        handlers = queues._HANDLERS
        handlers["ReceiveMessage"] = polls.receive
        for name in _FREEING:
            handlers[name] = polls.freeing(handlers[name])
        wake = queues.esm_wake.set

        def set_and_tell() -> None:
            wake()
            polls.tell()

        queues.esm_wake.set = set_and_tell

    async def receive(self, data: Message, url: str) -> Message:
        """Answer with messages as soon as there are some, or with none when the time that was asked for is over."""
        end: float | None = None
        while True:
            answer: Message = await self._receive({**data, "WaitTimeSeconds": 0}, url)
            if answer:
                return answer
            queue = self._queues._get_q(data.get("QueueUrl", url))
            now = self._loop.time()
            if end is None:
                asked = data.get("WaitTimeSeconds")
                end = now + int(queue["attributes"].get(_WAIT, "0") if asked is None else asked)
            if now >= end:
                return answer
            await self._wait(queue, end - now)

    def freeing(self, operation: Callable[[Message, str], Message]) -> Callable[[Message, str], Message]:
        """Return an operation after which others may be able to receive."""

        def freed(data: Message, url: str) -> Message:
            answer = operation(data, url)
            self.tell()
            return answer

        return freed

    def tell(self) -> None:
        """Some queue may have something now. From any thread."""
        if threading.get_ident() == self._thread:
            self._tell()
        else:
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        for waiter, queue in self._waiting.items():
            if queue["messages"]:
                waiter.set()

    async def _wait(self, queue: Message, seconds: float) -> None:
        now = time.time()
        hidden = (message["visible_at"] - now for message in queue["messages"] if message.get("visible_at", 0) > now)
        waiter = asyncio.Event()
        self._waiting[waiter] = queue
        try:
            async with asyncio.timeout(max(min(seconds, min(hidden, default=seconds)), 0.001)):
                await waiter.wait()
        except TimeoutError:
            pass
        finally:
            del self._waiting[waiter]


def _settle(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)


def trimmed_logs(logs: ModuleType) -> Message:
    """Return the state of CloudWatch Logs without its lines, of which the oldest are dropped over LOG_EVENTS_MAX.

    The lines of functions are in the daemon's own log too; copying all of them at every change would hold up the
    child, and MiniStack itself keeps every line for ever.
    """
    streams = [(key, stream) for key, group in logs._log_groups._data.items() for stream in group["streams"].values()]
    total = sum(len(stream["events"]) for _, stream in streams)
    if total > LOG_EVENTS_MAX:
        share = LOG_EVENTS_KEPT / total
        with logs._log_events_lock:
            for (account, region, _), stream in streams:
                events = stream["events"]
                first = max(0, len(events) - max(int(len(events) * share), LOG_EVENTS_OF_STREAM_MIN))
                stream["events"] = events[first:]
                for event in events[:first]:
                    logs._log_records._data.pop((account, region, event["eventId"]), None)
    groups = type(logs._log_groups)()
    for key, group in logs._log_groups._data.items():
        empty = {name: {**stream, "events": []} for name, stream in group["streams"].items()}
        groups._data[key] = {**group, "streams": empty}
    rest = {name: copy.deepcopy(getattr(logs, f"_{name}")) for name in _LOGS_STATE}
    return {"log_groups": copy.deepcopy(groups), "log_records": type(logs._log_records)(), **rest}


class _Request:
    """What a request asks for, as far as its head and the beginning of its form say."""

    def __init__(self, scope: Message, receive: Receive) -> None:
        self._receive = receive
        self._method: str = scope["method"]
        self._path: str = scope["path"]
        self._query: bytes = scope.get("query_string", b"")
        headers = {name.lower(): value for name, value in scope.get("headers", ())}
        self._proto: bytes = headers.get(b"x-forwarded-proto", b"").partition(b",")[0].strip().lower()
        self.target: str = headers.get(b"x-amz-target", b"").decode("latin-1")
        self._is_form: bool = headers.get(b"content-type", b"").startswith(b"application/x-www-form-urlencoded")
        self._scope: list[bytes] = (
            headers.get(b"authorization", b"").partition(b"Credential=")[2].partition(b",")[0].split(b"/")
        )
        self._form = b""
        self._is_read = asyncio.Event()

    async def receive(self) -> Message:
        """Hand the body on; remember where a form begins."""
        message = await self._receive()
        if self._is_form and len(self._form) < 65_536:
            self._form += message.get("body", b"")[:65_536]
        if not message.get("more_body", False):
            self._is_read.set()
        return message

    async def wait_gone(self) -> None:
        """Return when the client has gone before it was answered."""
        await self._is_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    @property
    def scheme(self) -> str:
        """How the caller reached the daemon, as the daemon says."""
        return "https" if self._proto == b"https" else "http"

    @property
    def action(self) -> str:
        """The operation's name; empty where only method and path say it."""
        if self.target:
            return self.target.rpartition(".")[2]
        if "/operation/" in self._path:
            return self._path.rpartition("/operation/")[2]
        match = re.search(rb"(?:^|&)Action=(\w+)", self._form or self._query)
        return match[1].decode() if match else ""

    @property
    def is_change(self) -> bool:
        """Whether it may change anything."""
        action = self.action
        if action:
            return _READING.match(action) is None
        return self._method not in ("GET", "HEAD", "OPTIONS")

    @property
    def is_data(self) -> bool:
        """Whether it changes bulk data and no configuration."""
        action = self.action
        if action:
            return _DATA.match(action) is not None
        is_s3 = len(self._scope) != 5 or self._scope[3] == b"s3"
        return is_s3 and self._path.strip("/").count("/") > 0


if __name__ == "__main__":
    main()
