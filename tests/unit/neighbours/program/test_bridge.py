"""The child's side of calls, with a few lines in MiniStack's place and a daemon of sockets."""

from __future__ import annotations

import asyncio
import contextvars
import json
import socket
import struct
import sys
import threading
import types
from typing import TYPE_CHECKING, Any

import pytest

from lambent.neighbours.program.bridge import Bridge, Source
from lambent.neighbours.program.retries import Retries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LENGTHS = struct.Struct(">II")
_ARN = "arn:aws:lambda:eu-west-1:111111111111:function:f"
_SHADOW = {
    "account": "111111111111", "region": "eu-west-1", "name": "f",
    "versions": {"$LATEST": ["python3.13", "h", 3, 128, "r"], "1": ["python3.13", "h", 3, 128, "r"]},
    "aliases": ["live"],
}  # fmt: skip


class Table:
    """MiniStack's table of functions."""

    def __init__(self) -> None:
        self._data: dict[Any, Any] = {}

    def _scoped(self, key: str) -> tuple[str, str, str]:
        return ("111111111111", "eu-west-1", key)

    def get(self, key: str, default: Any = None) -> Any:
        return self._data.get(self._scoped(key), default)

    def get_scoped(self, account: str, region: str, key: str, default: Any = None) -> Any:
        return self._data.get((account, region, key), default)

    def contains_scoped(self, account: str, region: str, key: str) -> bool:
        return (account, region, key) in self._data

    def __contains__(self, key: str) -> bool:
        return self._scoped(key) in self._data

    def __getitem__(self, key: str) -> Any:
        return self._data[self._scoped(key)]


def _module(name: str, **members: Any) -> types.ModuleType:
    module = types.ModuleType(f"ministack.services.{name}")
    vars(module).update(members)
    return module


class Daemon:
    """Answers calls as it is told."""

    def __init__(self) -> None:
        self.heads: list[dict[str, Any]] = []
        self.events: list[Any] = []
        self.answers: list[tuple[dict[str, Any], bytes]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream:
            while lengths := stream.read(_LENGTHS.size):
                head, payload = _LENGTHS.unpack(lengths)
                self.heads.append(json.loads(stream.read(head)))
                self.events.append(json.loads(stream.read(payload)))
                said, answer = self.answers.pop(0) if self.answers else ({}, b"null")
                text = json.dumps({"code": "", "is_function_error": False, **said}).encode()
                stream.write(_LENGTHS.pack(len(text), len(answer)) + text + answer)
                stream.flush()


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    made = Daemon()
    yield made
    made.close()


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """MiniStack's module of functions, and the services that are looked at."""

    def run_in_scope(function: dict[str, Any], event: Any) -> Any:
        return contextvars.copy_context().run(vars(module)["_execute_function"], function, event)

    def find(arn: str) -> tuple[Any, Any, str]:
        name, _, qualifier = arn.partition(":function:")[2].partition(":")
        function = vars(module)["_functions"].get(name)
        if function is None or not qualifier:
            return function, (function or {}).get("config"), name
        version = function["versions"].get(qualifier)
        return version, (version or {}).get("config"), name

    module = _module(
        "lambda_svc", _functions=Table(), _execute_function=lambda function, event: {"body": "its own"},
        _execute_function_with_config_scope=run_in_scope, _get_func_record_for_ref=find,
    )  # fmt: skip
    for package in ("ministack", "ministack.services"):
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    for each in (module, _module("s3"), _module("sns"), _module("eventbridge")):
        monkeypatch.setitem(sys.modules, each.__name__, each)
    return module


@pytest.fixture
def make(daemon: Daemon, functions: types.ModuleType) -> Iterator[Callable[[], Bridge]]:
    """A maker of bridges that know a function, for they belong to the loop that makes them."""
    bridges = []

    def made() -> Bridge:
        bridge = Bridge(daemon.port, "secret", {})
        Retries(bridge)
        bridge.apply({"is_whole": True, "functions": [_SHADOW]})
        bridges.append(bridge)
        return bridge

    yield made
    for bridge in bridges:
        bridge.close()


def test_functions_come_and_go(make: Callable[[], Bridge], functions: types.ModuleType) -> None:
    bridge, table = make(), vars(functions)["_functions"]
    assert "f" in table
    assert table.contains_scoped("111111111111", "eu-west-1", "f")
    assert table["f"]["config"]["FunctionArn"] == _ARN
    assert (
        table.get_scoped("111111111111", "eu-west-1", "f")["versions"]["live"]["config"]["FunctionArn"]
        == f"{_ARN}:live"
    )
    # Only what is MiniStack's own is kept by it.
    assert table._data == {}
    bridge.apply({"is_whole": False, "functions": [{**_SHADOW, "name": "g"}, {**_SHADOW, "versions": {}}]})
    assert ("f" in table, "g" in table) == (False, True)
    bridge.apply({"is_whole": True, "functions": []})
    assert "g" not in table


def test_who_waits_gets_the_answer(make: Callable[[], Bridge], daemon: Daemon) -> None:
    bridge = make()
    daemon.answers = [({}, b'{"a":1}'), ({"is_function_error": True}, b'{"errorType":"E","errorMessage":"no"}')]
    source = Source("states.amazonaws.com", has_role=True)
    assert bridge.call(f"{_ARN}:live", source, {"x": "ä"}) == {"body": {"a": 1}}
    assert bridge.call(_ARN, source, {}) == {"error": True, "body": {"errorType": "E", "errorMessage": "no"}}
    assert [one["function"] for one in daemon.heads] == [f"{_ARN}:live", _ARN]
    assert daemon.events[0] == {"x": "ä"}
    head = daemon.heads[0]
    assert (head["secret"], head["principal"], head["has_role"], head["is_event"]) == (
        "secret", "states.amazonaws.com", True, False
    )  # fmt: skip
    daemon.answers = [({"code": "ResourceNotFoundException"}, b"none")]
    assert bridge.call("arn:aws:lambda:eu-west-1:111111111111:function:none", source, {})["error"] is True


def test_refusals_have_the_form_of_who_asked(make: Callable[[], Bridge], daemon: Daemon) -> None:
    bridge = make()

    def refused(principal: str, event: Any, code: str = "AccessDeniedException") -> Any:
        daemon.answers = [({"code": code}, b"why")]
        return bridge.call(_ARN, Source(principal, "arn"), event)["body"]

    assert refused("apigateway.amazonaws.com", {})["body"] == '{"message": "Internal server error"}'
    http_api = refused("apigateway.amazonaws.com", {"routeKey": "GET /"})
    assert (http_api["statusCode"], http_api["body"]) == (500, '{"message": "Internal Server Error"}')
    assert refused("apigateway.amazonaws.com", {}, "TooManyRequestsException")["statusCode"] == 429
    assert refused("states.amazonaws.com", {}) == {"errorType": "Lambda.AccessDeniedException", "errorMessage": "why"}
    assert refused("cognito-idp.amazonaws.com", {}) == "why"


async def test_events_are_delivered_before_the_request_is_answered(make: Callable[[], Bridge], daemon: Daemon) -> None:
    bridge = make()
    deliveries = bridge.begin()
    # What passes is tried again.
    daemon.answers = [({"code": "TooManyRequestsException"}, b"full"), ({}, b"")]
    bridge.start(_ARN, Source("sns.amazonaws.com", "topic", "111111111111"), {"n": 1})
    assert len(deliveries) == 1
    await bridge.wait_delivered(deliveries)
    assert daemon.events == [{"n": 1}, {"n": 1}]
    assert daemon.heads[-1]["is_event"] is True


async def test_nobody_is_let_in_before_the_functions_are_known(make: Callable[[], Bridge]) -> None:
    bridge = make()
    await bridge.wait_told("/_ministack/health")
    waiting = asyncio.ensure_future(bridge.wait_told("/"))
    sent: list[Any] = []

    async def answer(message: dict[str, Any]) -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": json.dumps(message).encode()}

        async def send(part: dict[str, Any]) -> None:
            sent.append(part)

        await bridge.answer(receive, send)

    await answer({"is_whole": True, "is_complete": False, "functions": []})
    await asyncio.sleep(0)
    assert not waiting.done()
    await answer({"is_whole": False, "is_complete": True, "functions": [_SHADOW]})
    await waiting
    assert sent[0]["status"] == 200


@pytest.mark.parametrize(
    ("event", "arn"),
    [
        (
            {"requestContext": {"apiId": "a", "stage": "s", "httpMethod": "GET", "resourcePath": "/x/{id}"}},
            "arn:aws:execute-api:eu-west-1:111111111111:a/s/GET/x/{id}",
        ),
        (
            {
                "version": "2.0", "routeKey": "ANY /x",
                "requestContext": {"apiId": "a", "stage": "$default", "http": {"method": "PUT"}},
            },
            "arn:aws:execute-api:eu-west-1:111111111111:a/$default/PUT/x",
        ),
        (
            {"version": "2.0", "routeKey": "$default", "requestContext": {"apiId": "a", "stage": "s", "http": {}}},
            "arn:aws:execute-api:eu-west-1:111111111111:a/s/$default",
        ),
    ],
)  # fmt: skip
def test_an_api_is_named_by_its_request(make: Callable[[], Bridge], daemon: Daemon, event: Any, arn: str) -> None:
    make().call(_ARN, Source("apigateway.amazonaws.com"), event)
    assert daemon.heads[-1]["arn"] == arn
