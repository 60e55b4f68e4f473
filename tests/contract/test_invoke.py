"""The Invoke operation through the real botocore client."""

from __future__ import annotations

import base64
import json
import threading
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambent.model.invocation import FunctionErrorKind, InvocationResult
from lambent.wire.json_text import find_json_error
from tests.contract.door import lambda_error

if TYPE_CHECKING:
    from typing import Any

    from tests.contract.door import Door

ACCOUNT_ARN = "arn:aws:lambda:eu-west-1:111122223333:function:f"


def refusal(door: Door, **arguments: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as refused:
        door.client().invoke(**{"FunctionName": "f", **arguments})
    error = refused.value.response
    return error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"], error["Error"]["Message"]


def test_the_answer(door: Door) -> None:
    answer = door.client().invoke(FunctionName="f", Payload=b'{"a": "\xc3\xa9"}', LogType="Tail")
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert answer["Payload"].read() == b'{"a": "\xc3\xa9"}'
    assert base64.b64decode(answer["LogResult"]) == b"START\nEND\n"
    assert "FunctionError" not in answer
    request = door.invoker.requests[-1]
    assert str(request.function) == ACCOUNT_ARN
    assert request.request_id == answer["ResponseMetadata"]["RequestId"]
    assert request.wants_log_tail


def test_a_function_error_is_an_answer(door: Door) -> None:
    door.invoker.result = InvocationResult(b'{"errorMessage":"x"}', "7", FunctionErrorKind.UNHANDLED)
    answer = door.client().invoke(FunctionName="f")
    assert (answer["StatusCode"], answer["FunctionError"], answer["ExecutedVersion"]) == (200, "Unhandled", "7")
    assert "LogResult" not in answer


def test_no_payload_is_an_empty_object(door: Door) -> None:
    assert door.client().invoke(FunctionName="f")["Payload"].read() == b"{}"


@pytest.mark.parametrize(
    ("name", "qualifier", "function"),
    [
        ("f", None, ACCOUNT_ARN),
        ("f:prod", None, f"{ACCOUNT_ARN}:prod"),
        ("f", "prod", f"{ACCOUNT_ARN}:prod"),
        ("f:prod", "prod", f"{ACCOUNT_ARN}:prod"),
        ("111122223333:function:f", None, ACCOUNT_ARN),
        (ACCOUNT_ARN, "$LATEST", f"{ACCOUNT_ARN}:$LATEST"),
        (f"{ACCOUNT_ARN}:7", None, f"{ACCOUNT_ARN}:7"),
    ],
)
def test_names(door: Door, name: str, qualifier: str | None, function: str) -> None:
    arguments = {} if qualifier is None else {"Qualifier": qualifier}
    for _ in range(2):  # The second time the target is known.
        door.client().invoke(FunctionName=name, **arguments)
        assert str(door.invoker.requests[-1].function) == function


def test_names_that_are_refused(door: Door) -> None:
    assert refusal(door, FunctionName="f:a", Qualifier="b") == (
        400,
        "InvalidParameterValueException",
        "The derived qualifier from the function name does not match the specified qualifier.",
    )
    # Recorded: test_lambda_api.json, function_arn_other_region_exc.
    assert refusal(door, FunctionName=ACCOUNT_ARN.replace("eu-west-1", "us-east-1")) == (
        404,
        "ResourceNotFoundException",
        "Functions from 'us-east-1' are not reachable in this region ('eu-west-1')",
    )
    status, code, _ = refusal(door, FunctionName=ACCOUNT_ARN.replace("111122223333", "999999999999"))
    assert (status, code) == (403, "AccessDeniedException")
    status, code, message = refusal(door, FunctionName="x" * 300)
    assert (status, code) == (400, "ValidationException")
    assert "Member must have length less than or equal to 256" in message


def test_dry_run(door: Door) -> None:
    assert door.client().invoke(FunctionName="f", InvocationType="DryRun")["StatusCode"] == 204


def test_an_event_is_not_taken_before_it_can_be_kept(door: Door) -> None:
    door.invoker.started.clear()
    assert refusal(door, InvocationType="Event")[:2] == (501, "NotImplementedException")
    assert not door.invoker.started.is_set()
    door.invoker.error = lambda_error("ResourceNotFoundException", "told")
    assert refusal(door, InvocationType="Event") == (404, "ResourceNotFoundException", "told")


def test_headers_are_checked(door: Door) -> None:
    assert refusal(door, InvocationType="Later") == (
        400,
        "ValidationException",
        "1 validation error detected: Value 'Later' at 'invocationType' failed to satisfy constraint: "
        "Member must satisfy enum value set: [Event, RequestResponse, DryRun]",
    )
    assert refusal(door, LogType="Head")[1] == "ValidationException"
    assert refusal(door, TenantId="t")[1] == "NotImplementedException"


def test_client_context(door: Door) -> None:
    context = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
    door.client().invoke(FunctionName="f", ClientContext=context)
    assert json.loads(door.invoker.requests[-1].client_context or "") == {"custom": {"k": "v"}}
    for wrong in ("%%%", base64.b64encode(b"text").decode(), base64.b64encode(b"[1]").decode()):
        assert refusal(door, ClientContext=wrong)[:2] == (400, "InvalidRequestContentException")
    longest = base64.b64encode(b'{"a":"' + b"x" * 2_677 + b'"}').decode()
    assert len(longest) == 3_580
    door.client().invoke(FunctionName="f", ClientContext=longest)
    assert refusal(door, ClientContext="A" * 3_584)[:2] == (400, "InvalidRequestContentException")


def test_the_trace_header(door: Door) -> None:
    def put_trace(request: Any, **_: Any) -> None:
        request.headers["X-Amzn-Trace-Id"] = "Root=1-5759e988-bd86"

    client = door.client()
    client.meta.events.register("before-send.lambda.Invoke", put_trace)
    client.invoke(FunctionName="f")
    assert door.invoker.requests[-1].trace_header == "Root=1-5759e988-bd86"


@pytest.mark.parametrize("payload", [b"nope", b"{]", b"\xff", b'"\xff"', b'{"a":1} trailing', b"[" * 1_000_000])
def test_payloads_that_are_not_json(door: Door, payload: bytes) -> None:
    status, code, message = refusal(door, Payload=payload)
    assert (status, code) == (400, "InvalidRequestContentException")
    assert message.startswith("Could not parse request body into json: ")


def test_payloads_at_the_bound(door: Door) -> None:
    largest = b'"' + b"x" * (6_291_456 - 2) + b'"'
    assert door.client().invoke(FunctionName="f", Payload=largest)["Payload"].read() == largest
    assert refusal(door, Payload=largest + b" ") == (
        413,
        "RequestTooLargeException",
        "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
    )


@pytest.mark.parametrize(("size_bytes", "is_elsewhere"), [(262_144, False), (262_145, True)])
def test_large_payloads_are_checked_beside_the_loop(
    door: Door, monkeypatch: pytest.MonkeyPatch, size_bytes: int, is_elsewhere: bool
) -> None:
    threads: list[int] = []

    def check(payload: bytes) -> str | None:
        threads.append(threading.get_ident())
        return find_json_error(payload)

    monkeypatch.setattr("lambent.api.invoke.find_json_error", check)
    door.client().invoke(FunctionName="f", Payload=b'"' + b"x" * (size_bytes - 2) + b'"')
    loop_thread: list[int] = []
    is_known = threading.Event()

    def tell() -> None:
        loop_thread.append(threading.get_ident())
        is_known.set()

    door.call(tell)
    assert is_known.wait(10)
    assert (threads != loop_thread) is is_elsewhere


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(event=JSON)
def test_any_event_arrives_as_it_was(door: Door, event: object) -> None:
    text = json.dumps(event, ensure_ascii=False).encode()
    assert CLIENTS.of(door).invoke(FunctionName="f", Payload=text)["Payload"].read() == text


class Clients:
    """One client a door: making one takes longer than a hundred calls."""

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}

    def of(self, door: Door) -> Any:
        return self._clients.setdefault(door.url, door.client())


CLIENTS = Clients()
