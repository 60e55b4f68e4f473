"""What the child's program takes for a change, and that a change is written before it is answered."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
import types
from collections import defaultdict
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from lambent.neighbours.program import embedded
from lambent.neighbours.program.embedded import Keeper, LongPolls, _Request, trimmed_logs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Stack(types.ModuleType):
    """MiniStack as far as the keeper knows it: two services, one of them with a module of its own inside."""

    def __init__(self) -> None:
        super().__init__("stack")
        self._state_map = {"sqs": "sqs", "s3": "s3", "cloudformation": "cloudformation"}
        self.SERVICE_REGISTRY = {name: {"module": name} for name in self._state_map}
        self.states: dict[str, list[str]] = defaultdict(list)
        self.saved: list[tuple[str, list[str]]] = []
        self.answered_after: list[int] = []
        self.error: Exception | None = None

    def _get_module(self, name: str) -> str:
        return name

    def _build_persistence_save_dict(self) -> dict[str, Any]:
        def state(name: str) -> Any:
            def found() -> list[str]:
                if self.error is not None:
                    error, self.error = self.error, None
                    raise error
                return list(self.states[name])

            return found

        return {name: state(name) for name in self._state_map}

    async def app(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        service = scope["service"]
        await receive()
        self._get_module(service)
        self.states[service].append(scope["path"])
        await send({"type": "http.response.start", "status": scope.get("status", 200)})
        await send({"type": "http.response.body"})


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack whose states are kept in `saved`."""
    made = Stack()
    persistence = types.ModuleType("ministack.core.persistence")
    persistence.save_state = lambda key, state: made.saved.append((key, state))  # type: ignore[attr-defined]
    for name in ("ministack", "ministack.core"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "ministack.core.persistence", persistence)
    return made


@contextlib.asynccontextmanager
async def keeping(stack: Stack) -> AsyncIterator[Keeper]:
    keeper = Keeper(stack, "known")
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(keeper.run())
        yield keeper
        await keeper.stop()


async def request(keeper: Keeper, stack: Stack, service: str, action: str, body: bytes = b"", **scope: Any) -> None:
    headers = [(b"x-amz-target", f"Target.{action}".encode())] if action else []
    whole = {"type": "http", "method": "POST", "path": "/", "headers": headers, "service": service, **scope}
    whole["headers"] = [*whole["headers"], (b"x-lambent-proof", b"known")]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            stack.answered_after.append(len(stack.saved))

    await keeper(whole, receive, send)


async def test_a_change_is_written_before_it_is_answered(stack: Stack) -> None:
    async with keeping(stack) as keeper:
        await request(keeper, stack, "sqs", "CreateQueue", path="/one")
        await request(keeper, stack, "sqs", "CreateQueue", path="/two")
    assert stack.saved == [("sqs", ["/one"]), ("sqs", ["/one", "/two"])]
    assert stack.answered_after == [1, 2]


@pytest.mark.parametrize(
    ("action", "scope"),
    [("ListQueues", {}), ("GetItem", {}), ("", {"method": "GET"}), ("CreateQueue", {"status": 400})],
)
async def test_what_changes_nothing_writes_nothing(stack: Stack, action: str, scope: dict[str, Any]) -> None:
    async with keeping(stack) as keeper:
        await request(keeper, stack, "sqs", action, **scope)
    assert stack.saved == []


async def test_data_is_written_later(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "DATA_SECONDS", 0.05)
    async with keeping(stack) as keeper:
        await request(keeper, stack, "sqs", "SendMessage")
        assert stack.answered_after == [0]
        while not stack.saved:
            await asyncio.sleep(0.01)


async def test_a_change_is_written_first_however_long_that_takes(stack: Stack) -> None:
    async with keeping(stack) as keeper:
        await request(keeper, stack, "sqs", "CreateQueue")
        keeper._costs["sqs"] = 1.0
        await request(keeper, stack, "sqs", "CreateQueue")
    assert stack.answered_after == [1, 2]


async def test_changes_at_one_time_are_written_together(stack: Stack) -> None:
    async with keeping(stack) as keeper, asyncio.TaskGroup() as tasks:
        for number in range(20):
            tasks.create_task(request(keeper, stack, "sqs", "CreateQueue", path=f"/{number}"))
    assert len(stack.saved) <= 2
    assert len(stack.saved[-1][1]) == 20
    assert min(stack.answered_after) >= 1


async def test_a_stack_of_much_data_holds_up_nobody_for_long(stack: Stack) -> None:
    async with keeping(stack) as keeper:
        await request(keeper, stack, "cloudformation", "CreateStack")
        written = len(stack.saved)
        keeper._costs |= dict.fromkeys(("sqs", "s3", "cloudformation"), 1.0)
        await request(keeper, stack, "cloudformation", "UpdateStack")
    assert stack.answered_after == [written, written]


async def test_a_state_that_changes_while_it_is_copied_is_copied_again(stack: Stack) -> None:
    async with keeping(stack) as keeper:
        stack.error = RuntimeError("dictionary changed size during iteration")
        await request(keeper, stack, "sqs", "CreateQueue")
    assert stack.answered_after == [1]


async def test_a_state_that_cannot_be_written_stops_nothing(stack: Stack) -> None:
    async with keeping(stack) as keeper:
        stack.error = ValueError("not serializable")
        await request(keeper, stack, "sqs", "CreateQueue")
        await request(keeper, stack, "s3", "", method="PUT", path="/bucket")
    assert [key for key, _ in stack.saved] == ["s3"]


async def test_a_stack_writes_everything(stack: Stack) -> None:
    async with keeping(stack) as keeper:
        await request(keeper, stack, "cloudformation", "", b"Action=DescribeStacks",
                      headers=[(b"content-type", b"application/x-www-form-urlencoded")])  # fmt: skip
    assert {key for key, _ in stack.saved} == {"sqs", "s3", "cloudformation"}


async def test_nobody_but_the_daemon_is_answered(stack: Stack) -> None:
    async with keeping(stack) as keeper:
        for headers in ([], [(b"x-lambent-proof", b"guessed")]):
            sent: list[dict[str, Any]] = []

            async def send(message: dict[str, Any], sent: list[dict[str, Any]] = sent) -> None:
                sent.append(message)

            await keeper({"type": "http", "method": "GET", "path": "/", "headers": headers}, None, send)  # type: ignore[arg-type]
            assert [one.get("status") for one in sent] == [403, None]
    assert not stack.states


async def test_a_queues_address_begins_with_the_callers_scheme(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    queues = types.ModuleType("sqs")
    queues._externalize_url = lambda url: url  # type: ignore[attr-defined]
    shown: list[str] = []

    def find(name: str) -> object:
        shown.append(queues._externalize_url("http://host:1/q"))
        return queues

    monkeypatch.setattr(stack, "_get_module", find, raising=False)
    async with keeping(stack) as keeper:
        for proto in (b"http", b"https", b"https, http", b"http"):
            headers = [(b"x-amz-target", b"AmazonSQS.GetQueueUrl"), (b"x-forwarded-proto", proto)]
            await request(keeper, stack, "sqs", "", headers=headers)
    assert shown == ["http://host:1/q", "https://host:1/q", "https://host:1/q", "http://host:1/q"]


def asked(**scope: Any) -> _Request:
    return _Request({"method": "POST", "path": "/", "headers": [], **scope}, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scope", "is_change", "is_data"),
    [
        ({"headers": [(b"x-amz-target", b"DynamoDB_20120810.PutItem")]}, True, True),
        ({"headers": [(b"x-amz-target", b"DynamoDB_20120810.CreateTable")]}, True, False),
        ({"headers": [(b"x-amz-target", b"DynamoDB_20120810.Query")]}, False, False),
        ({"headers": [(b"X-Amz-Target", b"Logs_20140328.PutLogEvents")]}, True, True),
        ({"path": "/service/GraniteServiceVersion20100801/operation/PutMetricAlarm"}, True, False),
        ({"query_string": b"Action=CreateRole&Version=1"}, True, False),
        ({"query_string": b"Action=GetRole"}, False, False),
        ({"method": "PUT", "path": "/bucket"}, True, False),
        ({"method": "PUT", "path": "/bucket/key"}, True, True),
        ({"method": "GET", "path": "/bucket/key"}, False, True),
        ({"path": "/v2/apis", "headers": [(b"authorization", b"A Credential=k/d/r/apigateway/a, S=s")]}, True, False),
        ({"query_string": b"Action=ExecuteChangeSet"}, True, False),
    ],
)  # fmt: skip
def test_what_a_request_is(scope: dict[str, Any], is_change: bool, is_data: bool) -> None:
    request_ = asked(**scope)
    assert (request_.is_change, request_.is_data) == (is_change, is_data)


class Scoped:
    """A dictionary as MiniStack has them."""

    def __init__(self) -> None:
        self._data: dict[Any, Any] = {}


def test_log_lines_are_bounded_and_not_copied() -> None:
    logs = SimpleNamespace(_log_groups=Scoped(), _log_records=Scoped(), _log_events_lock=contextlib.nullcontext())
    for name in embedded._LOGS_STATE:
        setattr(logs, f"_{name}", Scoped())
    key = ("1" * 12, "r")
    for group in range(2):
        events = [{"eventId": f"{group}-{number}"} for number in range(40_000)]
        logs._log_groups._data[(*key, f"g{group}")] = {"retention": 7, "streams": {"s": {"events": events}}}
        logs._log_records._data |= {(*key, event["eventId"]): {} for event in events}
    state = trimmed_logs(logs)  # type: ignore[arg-type]
    kept = [group["streams"]["s"]["events"] for group in logs._log_groups._data.values()]
    assert [len(events) for events in kept] == [20_000, 20_000]
    assert [events[-1]["eventId"] for events in kept] == ["0-39999", "1-39999"]
    assert len(logs._log_records._data) == 40_000
    assert state["log_groups"]._data[(*key, "g0")] == {"retention": 7, "streams": {"s": {"events": []}}}


class Queues(types.ModuleType):
    """MiniStack's queues as far as long polls know them: one queue."""

    def __init__(self) -> None:
        super().__init__("queues")
        self.queue: dict[str, Any] = {"attributes": {}, "messages": []}
        self.esm_wake = threading.Event()
        self.looks = 0
        self._HANDLERS: dict[str, Any] = {"ReceiveMessage": self.receive}
        for name in ("DeleteMessage", "DeleteMessageBatch", "ChangeMessageVisibility", "ChangeMessageVisibilityBatch"):
            self._HANDLERS[name] = lambda data, _url: data

    def _get_q(self, _url: str) -> dict[str, Any]:
        return self.queue

    async def receive(self, data: dict[str, Any], _url: str) -> dict[str, Any]:
        assert data["WaitTimeSeconds"] == 0
        self.looks += 1
        now = time.time()
        found = [message for message in self.queue["messages"] if message["visible_at"] <= now]
        self.queue["messages"] = [message for message in self.queue["messages"] if message not in found]
        return {"Messages": found} if found else {}

    def put(self, seconds: float = 0.0) -> None:
        self.queue["messages"].append({"visible_at": time.time() + seconds})
        self.esm_wake.set()


async def test_who_waits_for_messages_is_told() -> None:
    queues = Queues()
    LongPolls.install(queues)
    receive = queues._HANDLERS["ReceiveMessage"]
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(receive({"WaitTimeSeconds": 20}, "q"))
        while not queues.looks:
            await asyncio.sleep(0)
        await asyncio.to_thread(queues.put)
    assert len(asked.result()["Messages"]) == 1
    assert queues.looks == 2
    assert queues.esm_wake.is_set()


async def test_a_message_that_was_hidden_is_seen_when_its_time_has_come() -> None:
    queues = Queues()
    LongPolls.install(queues)
    queues.put(0.05)
    assert await queues._HANDLERS["ReceiveMessage"]({"WaitTimeSeconds": 20}, "q")
    assert queues.looks <= 3


async def test_what_a_deletion_frees_is_looked_for() -> None:
    queues = Queues()
    LongPolls.install(queues)
    queues.put(1_000)
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(queues._HANDLERS["ReceiveMessage"]({"WaitTimeSeconds": 20}, "q"))
        while not queues.looks:
            await asyncio.sleep(0)
        queues.queue["messages"][0]["visible_at"] = 0
        assert queues._HANDLERS["DeleteMessage"]({"a": 1}, "q") == {"a": 1}
    assert asked.result()["Messages"]


async def test_none_after_the_time_that_was_asked_for_or_that_the_queue_has() -> None:
    queues = Queues()
    LongPolls.install(queues)
    assert await queues._HANDLERS["ReceiveMessage"]({"WaitTimeSeconds": 0}, "q") == {}
    assert await queues._HANDLERS["ReceiveMessage"]({}, "q") == {}
    queues.queue["attributes"] = {"ReceiveMessageWaitTimeSeconds": "20"}
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(queues._HANDLERS["ReceiveMessage"]({}, "q"))
        while queues.looks < 3:
            await asyncio.sleep(0)
        queues.put()
    assert asked.result()


async def test_a_client_that_has_gone_takes_no_messages(stack: Stack) -> None:
    keeper = Keeper(stack, "proof")
    gone = asyncio.Event()
    ended = asyncio.Event()

    async def app(_scope: dict[str, Any], receive: Any, _send: Any) -> None:
        await receive()
        try:
            await asyncio.sleep(3_600)
        finally:
            ended.set()

    vars(stack)["app"] = app
    told = iter([{"type": "http.request", "body": b"{}"}])

    async def receive() -> dict[str, Any]:
        for message in told:
            return message
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(_message: dict[str, Any]) -> None:
        raise AssertionError("nobody is there")

    headers = [(b"x-lambent-proof", b"proof"), (b"x-amz-target", b"AmazonSQS.ReceiveMessage")]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keeper(scope, receive, send))
        await asyncio.sleep(0)
        gone.set()
    assert ended.is_set()
