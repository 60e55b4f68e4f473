"""Lets MiniStack's services call the daemon's functions: shadows of them here, and the way to their invocation there.

Its services look functions up in one table and run them by a handful of functions of one module. The table is given
entries that stand for the daemon's functions, and where one of these would run the call goes to the daemon, which
runs it in a sandbox. Who called is known by the module that asked, and by what its functions were called with
(sources.py).

What a request sets going without waiting for it (a notification of S3, a message of SNS, an event) is delivered before
the request is answered: what was answered is not lost when this process is killed.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import copy
import json
import logging
import socket
import struct
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from lambent.neighbours.program.stack_types.daemon import received

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator
    from types import FrameType, ModuleType

    Message = dict[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

    Event = Any
    Record = dict[str, Any]
    Result = dict[str, Any]
    Place = tuple[str, str, str]

_log = logging.getLogger("ministack")

_SHADOWS_PATH = "/_lambent/functions"
_HEALTH_PATH = "/_ministack/health"
_TOLD_SECONDS = 30.0
# An answer waits so long for what it has set going.
_DELIVERY_SECONDS = 10.0
_LENGTHS = struct.Struct(">II")
# A function runs for 900 s at most; its sandbox may have to be made first.
_SILENCE_SECONDS = 960.0
_CONNECTIONS_KEPT = 32
_THREADS = 32
_MARK = "lambent"
_SOURCE = "lambent_source"


class Source(NamedTuple):
    """Who calls; see TriggerSource of the daemon. `is_event`: nobody waits for an answer.

    `retries`: how often an event is tried again and for how many seconds, where somebody has said so: a RetryPolicy.
    """

    principal: str
    arn: str = ""
    account: str = ""
    has_role: bool = False
    is_event: bool = False
    dead_letter: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    retries: tuple[int, int] | None = None
    client_context: str = ""
    trace: str = ""


# Module of MiniStack → who it is to a resource policy. Those with a role act in the name of the function's account.
_CALLERS = {
    "alb": Source("elasticloadbalancing.amazonaws.com"),
    "apigateway": Source("apigateway.amazonaws.com"),
    "apigateway_v1": Source("apigateway.amazonaws.com"),
    "appsync": Source("appsync.amazonaws.com", has_role=True),
    "appsync_events": Source("appsync.amazonaws.com", has_role=True),
    "bedrock_agent_runtime": Source("bedrock.amazonaws.com"),
    "cloudwatch_logs": Source("logs.amazonaws.com", is_event=True),
    "cloudformation": Source("cloudformation.amazonaws.com", has_role=True),
    "cognito": Source("cognito-idp.amazonaws.com"),
    "config": Source("config.amazonaws.com", is_event=True),
    "eventbridge": Source("events.amazonaws.com", is_event=True),
    "firehose": Source("firehose.amazonaws.com", has_role=True),
    "iot": Source("iot.amazonaws.com"),
    "pipes": Source("pipes.amazonaws.com", has_role=True),
    "s3": Source("s3.amazonaws.com", is_event=True),
    "s3_object_lambda": Source("s3-object-lambda.amazonaws.com", has_role=True),
    "scheduler": Source("scheduler.amazonaws.com", has_role=True, is_event=True),
    "secretsmanager": Source("secretsmanager.amazonaws.com"),
    "ses": Source("ses.amazonaws.com", is_event=True),
    "ses_v2": Source("ses.amazonaws.com", is_event=True),
    "sns": Source("sns.amazonaws.com", is_event=True),
    "stepfunctions": Source("states.amazonaws.com", has_role=True),
}


class Bridge:
    """The shadows and the calls. One of it; nothing of it is kept: the daemon tells it all when this process starts."""

    path = _SHADOWS_PATH

    def __init__(self, port: int, secret: str, participants: dict[str, Callable[[Bridge, Any], None]]) -> None:
        """`participants`: module of MiniStack → what is to be done when it is there; see sources.py."""
        self._port = port
        self._participants = dict(participants)
        self._secret = secret
        self._shadows: dict[Place, Record] = {}
        self._told = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._functions: ModuleType | None = None
        self._idle: collections.deque[socket.socket] = collections.deque()
        self._threads = ThreadPoolExecutor(_THREADS, "lambent-events")
        self._source: ContextVar[Source | None] = ContextVar("source", default=None)
        self._deliveries: ContextVar[list[asyncio.Future[None]] | None] = ContextVar("deliveries", default=None)
        self._execute: Callable[[Record, Event], Result] | None = None
        # Says that a module's state has changed outside of a request; embedded.py puts its own here.
        self.keep: Callable[[str], None] = lambda _module: None
        # Brings an event to the daemon; see retries.py, which puts its own here.
        self.hand_over: Callable[[str, Source, Event], object] = self.exchange

    # --- what the daemon says

    def apply(self, message: dict[str, Any]) -> None:
        """Take shadows: all there are (`is_whole`), or those that have changed; one without versions is gone."""
        if self._functions is None:
            self._install()
        if message["is_whole"]:
            self._shadows.clear()
        for shadow in message["functions"]:
            place = (shadow["account"], shadow["region"], shadow["name"])
            if shadow["versions"]:
                self._shadows[place] = _record(place, shadow)
            else:
                self._shadows.pop(place, None)

    async def answer(self, receive: Receive, send: Send) -> None:
        """Answer the daemon's request that brings shadows."""
        body, is_more = bytearray(), True
        while is_more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            is_more = message.get("more_body", False)
        said = json.loads(body)
        self.apply(said)
        if said["is_complete"]:
            self._told.set()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def wait_told(self, path: str) -> None:
        """Return when this process knows of the functions: requests come before that where the last one was killed."""
        self._loop = asyncio.get_running_loop()
        if path != _HEALTH_PATH and not self._told.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TOLD_SECONDS):
                    await self._told.wait()

    # --- what requests set going

    def begin(self) -> list[asyncio.Future[None]]:
        """Note from here on what this request sets going."""
        deliveries: list[asyncio.Future[None]] = []
        self._deliveries.set(deliveries)
        return deliveries

    @staticmethod
    async def wait_delivered(deliveries: list[asyncio.Future[None]]) -> None:
        """Return when all of it is delivered or has failed, or after ten seconds."""
        if deliveries:
            await asyncio.wait(deliveries, timeout=_DELIVERY_SECONDS)

    def attend(self) -> None:
        """Take part in what modules do that were loaded since the last time."""
        if self._functions is None:
            return
        for name in [name for name in self._participants if f"ministack.services.{name}" in sys.modules]:
            self._participants.pop(name)(self, sys.modules[f"ministack.services.{name}"])

    def _install(self) -> None:
        functions = self._functions = import_module("ministack.services.lambda_svc")
        self._execute = functions._execute_function
        known = vars(functions)
        known["_functions"] = _shadowed_table(functions._functions, self._shadows)
        known["_execute_function"] = self._run
        known["invoke_async_with_retry"] = self._run_event
        known["_execution_record_for_config"] = self._marked_record
        # These are reached from inside others, where nothing says that they are there.
        for name in ("s3", "sns", "eventbridge"):
            import_module(f"ministack.services.{name}")
        self.attend()

    # --- in place of MiniStack's own

    def _marked_record(self, function: Record, config: Record) -> Record:
        record = {**(function or {}), "config": config}
        if _MARK in record:
            record[_SOURCE] = self._asking(sys._getframe(1))
        return record

    def _asking(self, frame: FrameType) -> Source | None:
        """Return who asks for a function. What was said of another caller does not count: contexts are handed on."""
        caller, said = _caller(frame), self._source.get()
        return said if said is not None and (caller is None or caller.principal == said.principal) else caller

    def _run(self, function: Record, event: Event) -> Result:
        """Run a function and return what MiniStack's own would; an event is taken when this returns, or on its way."""
        if _MARK not in function:
            assert self._execute is not None
            return self._execute(function, event)
        source = function.get(_SOURCE) or self._asking(sys._getframe(1))
        if source is None and isinstance(event, dict) and "awslogs" in event:
            source = _CALLERS["cloudwatch_logs"]
        config = function["config"]
        source = _with_arn(source or Source("unknown.amazonaws.com"), event, config["FunctionArn"])
        if not source.is_event:
            return self._invoke(config["FunctionArn"], source, event)
        self._deliver(lambda: self.hand_over(config["FunctionArn"], source, event))
        return {"body": None}

    def _run_event(self, function: Record, event: Event) -> None:
        source = function.get(_SOURCE) or self._asking(sys._getframe(1)) or Source("unknown.amazonaws.com")
        self._run({**function, _SOURCE: source._replace(is_event=True)}, event)

    def _deliver(self, work: Callable[[], object]) -> None:
        """Do it in this thread, or, where that is the loop's, in another one, for which the request's answer waits."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            work()
            return
        future = loop.run_in_executor(self._threads, work)
        deliveries = self._deliveries.get()
        if deliveries is not None:
            deliveries.append(future)  # type: ignore[arg-type]

    def later(self, seconds: float, work: Callable[[], object]) -> None:
        """Do something in another thread when some time has passed. From any thread."""
        loop = self._loop
        assert loop is not None

        def wait() -> None:
            loop.call_later(seconds, lambda: self._threads.submit(work))

        loop.call_soon_threadsafe(wait)

    # --- the way to the daemon

    def _invoke(self, arn: str, source: Source, event: Event) -> Result:
        code, is_function_error, payload = self.exchange(arn, source, event)
        if code:
            return _refused((code, payload.decode("utf-8", "replace")), source, event)
        text = payload.decode("utf-8", "replace")
        try:
            body = json.loads(text) if text else None
        except ValueError:
            return {"body": text, "raw_payload": True}
        return _failed(body, source, event) if is_function_error else {"body": body}

    def exchange(
        self,
        arn: str,
        source: Source,
        event: Event,
        *,
        is_check: bool = False,
        failure: tuple[str, str] | None = None,
    ) -> tuple[str, bool, bytes]:
        """Send a call; return the code of why there was no invocation, whether the function failed, the payload.

        `failure`: nothing is called any more, and the event goes where those go that cannot be delivered.
        """
        head = json.dumps(
            {
                "secret": self._secret, "function": arn, "principal": source.principal, "arn": source.arn,
                "account": source.account or arn.split(":")[4], "has_role": source.has_role,
                "is_event": source.is_event, "is_check": is_check, "dead_letter": source.dead_letter,
                "attributes": dict(source.attributes), "failure": failure,
                "client_context": source.client_context, "trace": source.trace,
            }
        ).encode()  # fmt: skip
        payload = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = None
        try:
            if connection is None:
                connection = socket.create_connection(("127.0.0.1", self._port), _SILENCE_SECONDS)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(_LENGTHS.pack(len(head), len(payload)) + head + payload)
            head_bytes, payload_bytes = _LENGTHS.unpack(received(connection, _LENGTHS.size))
            said = json.loads(received(connection, head_bytes))
            answer = received(connection, payload_bytes)
        except OSError as error:
            if connection is not None:
                connection.close()
            return "ServiceException", False, f"the daemon does not answer: {error}".encode()
        if len(self._idle) < _CONNECTIONS_KEPT:
            self._idle.append(connection)
        else:
            connection.close()
        return said["code"], said["is_function_error"], answer

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    # --- for sources.py

    def caller(self, name: str) -> Source:
        """Return who a module of MiniStack is to a resource policy."""
        return _CALLERS[name]

    def current(self, name: str) -> Source:
        """Return who calls just now; the module when nobody has said so."""
        return self._source.get() or _CALLERS[name]

    def source(self, principal: str, arn: str, account: str) -> Source:
        """Return a source that is no module."""
        return Source(principal, arn, account)

    def threads(self, counted: Iterable[Callable[..., object]]) -> Any:
        """Return what a module can have for `threading`: threads of these functions are deliveries."""
        return _Threads(self._deliveries, counted)

    @contextlib.contextmanager
    def calling(self, source: Source) -> Iterator[None]:
        """Within this block whoever asks for a function asks as this source."""
        token = self._source.set(source)
        try:
            yield
        finally:
            self._source.reset(token)

    def wrap(self, module: Any, name: str, source: Callable[..., Source]) -> None:
        """Let a function of a module call as the source that `source` makes of its arguments."""
        wrapped = getattr(module, name)

        def in_the_name(*arguments: Any, **named: Any) -> object:
            with self.calling(source(*arguments, **named)):
                return wrapped(*arguments, **named)

        vars(module)[name] = in_the_name

    def start(self, arn: str, source: Source, event: Event) -> None:
        """Call a function as an event."""
        self.call(arn, source._replace(is_event=True), event)

    def call(self, arn: str, source: Source, event: Event) -> Result:
        """Call a function; return what comes of it as MiniStack has it.

        One that its ARN names may be of any account: whether it is there, and who may call it, the daemon knows.
        """
        if arn.startswith("arn:aws:lambda:"):
            source = _with_arn(source, event, arn)
            if not source.is_event:
                return self._invoke(arn, source, event)
            self._deliver(lambda: self.hand_over(arn, source, event))
            return {"body": None}
        functions = self._functions
        assert functions is not None
        function, config, name = functions._get_func_record_for_ref(arn)
        if not function or not config:
            _log.warning("%s: there is no function %s", source.principal, name)
            return {"error": True, "body": {"errorType": "ResourceNotFoundException", "errorMessage": name}}
        record = {**function, "config": config, _SOURCE: source}
        result: Result = functions._execute_function_with_config_scope(record, event)
        return result

    @property
    def daemon(self) -> tuple[int, str]:
        """The daemon's port on 127.0.0.1, and what it knows this process by."""
        return self._port, self._secret

    def is_permitted(self, arn: str, source: Source) -> bool:
        """Return whether there is such a function and its resource policy lets the source call it."""
        return not self.exchange(arn, source, None, is_check=True)[0]


class _Threads:
    """The module `threading`, whose threads of some functions count as deliveries of the request that starts them."""

    def __init__(
        self, deliveries: ContextVar[list[asyncio.Future[None]] | None], counted: Iterable[Callable[..., object]]
    ) -> None:
        self._deliveries = deliveries
        self._counted = frozenset(counted)

    def __getattr__(self, name: str) -> Any:
        return getattr(threading, name)

    def Thread(self, *, target: Callable[..., object], args: tuple[Any, ...] = (), **named: Any) -> threading.Thread:
        """Return a thread. `target` is the function, or the `run` of a context whose first argument it is."""
        deliveries = self._deliveries.get()
        if deliveries is None or self._counted.isdisjoint((target, *args[:1])):
            return threading.Thread(target=target, args=args, **named)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return threading.Thread(target=target, args=args, **named)
        future: asyncio.Future[None] = loop.create_future()
        deliveries.append(future)
        keywords = named.pop("kwargs", {})

        def run() -> None:
            try:
                target(*args, **keywords)
            finally:
                # The loop may have been closed meanwhile.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(_settle, future)

        return threading.Thread(target=run, **named)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _shadowed_table(own: Any, shadows: dict[Place, Record]) -> Any:
    """Return MiniStack's table of functions with the shadows in front of its own entries; only those are persisted."""

    class Shadowed(type(own)):  # type: ignore[misc]
        __slots__ = ()

        def get(self, key: str, default: Any = None) -> Any:
            found = shadows.get(self._scoped(key))
            return found if found is not None else super().get(key, default)

        def get_scoped(self, account_id: str, region: str, key: str, default: Any = None) -> Any:
            found = shadows.get((account_id, region, key))
            return found if found is not None else super().get_scoped(account_id, region, key, default)

        def contains_scoped(self, account_id: str, region: str, key: str) -> bool:
            return (account_id, region, key) in shadows or super().contains_scoped(account_id, region, key)

        def __contains__(self, key: object) -> bool:
            return self._scoped(key) in shadows or super().__contains__(key)

        def __getitem__(self, key: str) -> Any:
            found = shadows.get(self._scoped(key))
            return found if found is not None else super().__getitem__(key)

        def __deepcopy__(self, memo: dict[int, object]) -> Any:
            table = type(own)()
            table._data = copy.deepcopy(self._data, memo)
            return table

    table = Shadowed()
    table._data = own._data
    return table


def _record(place: Place, shadow: dict[str, Any]) -> Record:
    """Return a function as MiniStack keeps them; an alias is a version of its own name, so that calls name it."""
    account, region, name = place
    arn = f"arn:aws:lambda:{region}:{account}:function:{name}"
    versions = shadow["versions"]
    latest = versions.get("$LATEST") or next(iter(versions.values()))
    qualifiers = [number for number in versions if number != "$LATEST"]
    records = {
        qualifier: {
            _MARK: True,
            "config": _config(f"{arn}:{qualifier}", name, qualifier, versions.get(qualifier, latest)),
        }
        for qualifier in (*qualifiers, *shadow["aliases"])
    }
    return {
        _MARK: True,
        "config": _config(arn, name, "$LATEST", latest),
        "versions": records,
        "aliases": {alias: {"Name": alias, "FunctionVersion": alias} for alias in shadow["aliases"]},
        "code_zip": None,
    }


def _config(arn: str, name: str, version: str, described: list[Any]) -> Record:
    runtime, handler, timeout, memory, role = described
    return {
        "FunctionName": name, "FunctionArn": arn, "Version": version, "Runtime": runtime or "",
        "Handler": handler or "", "Timeout": timeout, "MemorySize": memory, "Role": role,
        "State": "Active", "LastUpdateStatus": "Successful", "PackageType": "Zip" if runtime else "Image",
    }  # fmt: skip


def _caller(frame: FrameType | None) -> Source | None:
    """Return who asks for a function: the first of MiniStack's services among the callers that is not Lambda itself."""
    for _ in range(12):
        if frame is None:
            return None
        module: str = frame.f_globals.get("__name__", "")
        if module.startswith("ministack.services."):
            name = module.split(".")[2]
            if name not in ("lambda_svc", "lambda_core"):
                return _CALLERS.get(name) or Source(f"{name}.amazonaws.com")
        frame = frame.f_back
    return None


def _with_arn(source: Source, event: Event, function_arn: str) -> Source:
    """Complete a source by what its event says of it."""
    if source.arn or not isinstance(event, dict):
        return source
    _, _, _, region, account, *_ = function_arn.split(":")
    context = event.get("requestContext") or {}
    arn = ""
    if source.principal == "logs.amazonaws.com" and "awslogs" in event:
        arn = f"arn:aws:logs:{region}:{account}:log-group:{_log_group(event)}:*"
    elif source.principal == "cognito-idp.amazonaws.com":
        region = event.get("region") or region
        arn = f"arn:aws:cognito-idp:{region}:{account}:userpool/{event.get('userPoolId', '')}"
    elif source.principal == "elasticloadbalancing.amazonaws.com":
        arn = (context.get("elb") or {}).get("targetGroupArn", "")
    elif source.principal == "apigateway.amazonaws.com" and context.get("apiId"):
        path = _method_path(event, context)
        arn = f"arn:aws:execute-api:{region}:{account}:{context['apiId']}/{context.get('stage', '')}/{path}"
    return source._replace(arn=arn, account=source.account or account)


def _method_path(event: Record, context: Record) -> str:
    """Return what follows the stage in the ARN by which API Gateway names itself: METHOD/resource."""
    route = str(event.get("routeKey") or context.get("routeKey") or "")
    if not route:
        return f"{context.get('httpMethod', '*')}{context.get('resourcePath') or event.get('resource') or '/'}"
    if " " not in route:
        return route
    method = (context.get("http") or {}).get("method") or event.get("httpMethod") or "*"
    return f"{method}{route.partition(' ')[2]}"


def _log_group(event: Record) -> str:
    import base64
    import gzip

    return str(json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))["logGroup"])


def _refused(error: tuple[str, str], source: Source, event: Event) -> Result:
    """Return what MiniStack takes for a call that came to nothing."""
    code, text = error
    if source.principal == "apigateway.amazonaws.com":
        # Source: API Gateway's user guides: what is wrong with the integration is told to nobody outside.
        status = 429 if code == "TooManyRequestsException" else 500
        return {"error": True, "body": _proxy_answer(status, event)}
    body = {"errorType": code, "errorMessage": text}
    if source.principal == "states.amazonaws.com":
        # Source: Step Functions developer guide, "Error handling": names of Lambda's errors.
        return {"error": True, "body": {**body, "errorType": f"Lambda.{code}"}, "refused": code}
    if source.principal == "cognito-idp.amazonaws.com":
        return {"error": True, "body": text, "refused": code}
    return {"error": True, "body": body, **({"throttle": True} if code == "TooManyRequestsException" else {})}


def _failed(body: Any, source: Source, event: Event) -> Result:
    """Return what MiniStack takes for a function that failed."""
    if source.principal == "apigateway.amazonaws.com":
        return {"error": True, "body": _proxy_answer(500 if _is_http_api(event) else 502, event)}
    if source.principal == "cognito-idp.amazonaws.com":
        # Source: Cognito developer guide, "Lambda trigger errors": TRIGGER failed with error MESSAGE.
        trigger = str(event.get("triggerSource", "")).partition("_")[0].replace("TokenG", "PreTokenG")
        text = body.get("errorMessage", "") if isinstance(body, dict) else str(body)
        return {"error": True, "body": f"{trigger} failed with error {text}."}
    return {"error": True, "body": body}


def _is_http_api(event: Event) -> bool:
    return isinstance(event, dict) and "routeKey" in event


def _proxy_answer(status: int, event: Event) -> Record:
    # HTTP and REST APIs spell it differently.
    text = "Internal Server Error" if _is_http_api(event) else "Internal server error"
    # What is 502 MiniStack puts into such a body itself.
    body = text if status == 502 else json.dumps({"message": "Too Many Requests" if status == 429 else text})
    return {"statusCode": status, "headers": {"Content-Type": "application/json"}, "body": body}
