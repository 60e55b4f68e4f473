"""The API door in a thread of its own, with fakes behind it, and clients that speak to it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import socket
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from lambent.api import ApiOptions, ApiParts, build_server
from lambent.model.caller import Credentials
from lambent.model.errors import LambdaError
from lambent.model.invocation import InvocationResult
from lambent.wire.generated.create_function import FunctionConfiguration
from lambent.wire.generated.get_account_settings import GetAccountSettingsResponse
from lambent.wire.generated.get_function import FunctionCodeLocation, GetFunctionResponse
from lambent.wire.generated.list_functions import ListFunctionsResponse
from lambent.wire.generated.list_tags import ListTagsResponse

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

    from lambent.api import LocalRoute
    from lambent.api.elsewhere import Forwards
    from lambent.api.server import ApiServer
    from lambent.model.caller import Caller
    from lambent.model.invocation import InvokeRequest

KNOWN = Credentials("AKIDKNOWN", "a-secret-of-forty-characters-or-thereabout", "111122223333")
TEMPORARY = Credentials(
    "ASIATEMP", "another-secret", "444455556666", "the-token", "arn:aws:sts::444455556666:assumed-role/r/s"
)


class WallClock:
    """The machine's clock, movable by `offset_ms`."""

    def __init__(self) -> None:
        self.offset_ms = 0

    def time_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.offset_ms

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()


class FakeInvoker:
    """Answers with what it was asked, or with `result`, or raises `error`. `gate`, when set, is waited for."""

    def __init__(self) -> None:
        self.requests: list[InvokeRequest] = []
        self.error: Exception | None = None
        self.result: InvocationResult | None = None
        self.gate: asyncio.Event | None = None
        self.started = threading.Event()
        self.ended = threading.Event()

    @asynccontextmanager
    async def invoke(self, request: InvokeRequest) -> AsyncIterator[InvocationResult]:
        self.requests.append(request)
        self.started.set()
        if self.gate is not None:
            await self.gate.wait()
        self.ended.set()
        if self.error is not None:
            raise self.error
        tail = b"START\nEND\n" if request.wants_log_tail else None
        yield self.result or InvocationResult(request.payload, "$LATEST", log_tail=tail)

    def check(self, request: InvokeRequest) -> None:
        self.requests.append(request)
        if self.error is not None:
            raise self.error


class FakeControlPlane:
    """Keeps the last configuration; `error` is raised by every method."""

    def __init__(self) -> None:
        self.calls: list[tuple[Caller, Any]] = []
        self.blobs: dict[str, bytes] = {}
        self.error: Exception | None = None

    def acting(self, caller: Caller, request: object) -> Caller:
        return caller

    def _take(self, caller: Caller, request: Any) -> None:
        self.calls.append((caller, request))
        self.blobs = {name: Path(blob.path).read_bytes() for name, blob in caller.blobs.items()}
        for name, blob in caller.blobs.items():
            assert hashlib.sha256(self.blobs[name]).hexdigest() == blob.sha256
        if self.error is not None:
            raise self.error

    def _configuration(self, caller: Caller, request: Any) -> FunctionConfiguration:
        self._take(caller, request)
        name = request.function_name
        return FunctionConfiguration(
            function_name=name,
            function_arn=f"arn:aws:lambda:{caller.region}:{caller.account_id}:function:{name}",
            memory_size=128,
            state="Active",
        )

    async def create_function(self, caller: Caller, request: Any) -> FunctionConfiguration:
        return self._configuration(caller, request)

    async def update_function_code(self, caller: Caller, request: Any) -> FunctionConfiguration:
        return self._configuration(caller, request)

    async def update_function_configuration(self, caller: Caller, request: Any) -> FunctionConfiguration:
        return self._configuration(caller, request)

    async def get_function_configuration(self, caller: Caller, request: Any) -> FunctionConfiguration:
        return self._configuration(caller, request)

    async def get_function(self, caller: Caller, request: Any) -> GetFunctionResponse:
        location = FunctionCodeLocation(repository_type="S3", location=f"{caller.base_url}/_lambent/v1/code")
        return GetFunctionResponse(configuration=self._configuration(caller, request), code=location)

    async def delete_function(self, caller: Caller, request: Any) -> None:
        self._take(caller, request)

    async def list_functions(self, caller: Caller, request: Any) -> ListFunctionsResponse:
        self._take(caller, request)
        return ListFunctionsResponse(functions=[])

    async def get_account_settings(self, caller: Caller, request: Any) -> GetAccountSettingsResponse:
        self._take(caller, request)
        return GetAccountSettingsResponse()

    async def list_tags(self, caller: Caller, request: Any) -> ListTagsResponse:
        self._take(caller, request)
        return ListTagsResponse(tags={"a": "b"})

    async def tag_resource(self, caller: Caller, request: Any) -> None:
        self._take(caller, request)

    async def untag_resource(self, caller: Caller, request: Any) -> None:
        self._take(caller, request)


def find_credentials(access_key_id: str, session_token: str | None) -> Credentials | None:
    """The keys that the door's fakes know."""
    for known in (KNOWN, TEMPORARY):
        if (known.access_key_id, known.session_token) == (access_key_id, session_token):
            return known
    return None


class LazyWorkers(Executor):
    """A process pool, started when first needed and shared by the run's doors."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self._pool is None:
            import multiprocessing

            self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        return self._pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait, cancel_futures=cancel_futures)


@dataclass
class Door:
    """A door being served. `options` as given; fakes are public.

    `neighbours()` is called on the door's loop, `on_end()` at its end.
    """

    options: ApiOptions
    workers: Executor
    routes: tuple[LocalRoute, ...] = ()
    tls: ssl.SSLContext | None = None
    invoker: FakeInvoker = field(default_factory=FakeInvoker)
    control_plane: FakeControlPlane = field(default_factory=FakeControlPlane)
    clock: WallClock = field(default_factory=WallClock)
    neighbours: Callable[[], Forwards] | None = None
    on_end: Callable[[], None] | None = None

    def __enter__(self) -> Door:
        ready = threading.Event()
        self._is_stopped = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(ready)), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if not self._is_stopped:
            self.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()

    async def _main(self, ready: threading.Event) -> None:
        parts = ApiParts(
            control_plane=self.control_plane,
            invoker=self.invoker,
            find_credentials=find_credentials,
            workers=self.workers,
            clock=self.clock,
            random_bytes=os.urandom,
            log=logging.getLogger("lambent.tests.door"),
            local_routes=self.routes,
            neighbours=self.neighbours() if self.neighbours is not None else None,
        )
        self.loop = asyncio.get_running_loop()
        self.server: ApiServer = build_server(self.options, parts)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.server.run())
            self.host, self.port = await self.server.listen("127.0.0.1", 0, self.tls)
            ready.set()
        if self.on_end is not None:
            self.on_end()
            await asyncio.sleep(0.01)

    def stop(self, grace_seconds: float = 5.0) -> None:
        """Stop the server and wait for `stop` (not for `run`)."""
        self.begin_stop(grace_seconds).result(30)

    def begin_stop(self, grace_seconds: float) -> Future[None]:
        """Let the server begin to stop."""
        self._is_stopped = True
        return asyncio.run_coroutine_threadsafe(self.server.stop(grace_seconds), self.loop)

    def call(self, function: Callable[[], None]) -> None:
        """Run a function on the door's loop."""
        self.loop.call_soon_threadsafe(function)

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}"

    def client(self, credentials: Credentials | None = None, **config: Any) -> Any:
        """Return a boto3 client, without retries."""
        known = credentials or KNOWN
        return boto3.client(
            "lambda",
            endpoint_url=self.url,
            region_name="eu-west-1",
            aws_access_key_id=known.access_key_id,
            aws_secret_access_key=known.secret_access_key,
            aws_session_token=known.session_token,
            config=Config(retries={"total_max_attempts": 1}, **config),
        )

    def connect(self) -> socket.socket:
        """Return a plain connection."""
        return socket.create_connection((self.host, self.port), timeout=10)

    def exchange(self, data: bytes, *, is_last: bool = False) -> bytes:
        """Send bytes and return everything that comes until the server closes."""
        with self.connect() as connection:
            connection.sendall(data)
            if is_last:
                connection.shutdown(socket.SHUT_WR)
            return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    """Return everything until the other side closes."""
    received = b""
    while part := connection.recv(65_536):
        received += part
    return received


def options(directory: Path, **changes: Any) -> ApiOptions:
    """Return options for tests: verify mode, quick time-outs."""
    plain = ApiOptions(
        auth_mode="verify", default_account_id="000000000000", default_region="us-east-1", spool_directory=directory
    )
    return plain._replace(**changes)


class Boom(Exception):
    """A fault of ours, for tests."""


def lambda_error(code: str, message: str = "told", **members: str) -> LambdaError:
    """Return an error with this code."""
    return LambdaError(message, code=code, members=members)
