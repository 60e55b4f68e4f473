"""Every operation through the real botocore client: AWS's own parser judges the answers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from botocore.loaders import Loader

from lambent.api.operations import OPERATIONS
from lambent.wire.api_description import ApiDescription
from tests.contract.door import KNOWN, lambda_error

if TYPE_CHECKING:
    from tests.contract.door import Door

ROLE = "arn:aws:iam::111122223333:role/r"
ARN = "arn:aws:lambda:eu-west-1:111122223333:function:f"
SERVICE: dict[str, Any] = Loader().load_service_model("lambda", "service-2")
EXCEPTIONS = sorted(name for name, shape in SERVICE["shapes"].items() if shape.get("exception"))


def test_the_index_has_every_operation() -> None:
    assert set(OPERATIONS) == set(SERVICE["operations"])
    assert all(row.method == ApiDescription().operation(name).module for name, row in OPERATIONS.items())


def test_create_function(door: Door) -> None:
    answer = door.client().create_function(
        FunctionName="f", Role=ROLE, Runtime="python3.12", Handler="a.b", Code={"ZipFile": b"zip"}, Tags={"a": "b"},
        Environment={"Variables": {"KEY": "välue"}}, MemorySize=10_240, Architectures=["arm64"],
    )  # fmt: skip
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert answer["FunctionArn"] == ARN
    caller, request = door.control_plane.calls[-1]
    assert (caller.account_id, caller.region) == (KNOWN.account_id, "eu-west-1")
    assert caller.principal_arn == "arn:aws:iam::111122223333:root"
    assert caller.request_id == answer["ResponseMetadata"]["RequestId"]
    assert caller.base_url == door.url
    assert caller.blobs == {}
    assert request.code.zip_file == b"zip"
    assert request.environment.variables == {"KEY": "välue"}
    assert (request.memory_size, request.architectures, request.timeout) == (10_240, ["arm64"], None)


@pytest.mark.slow
@pytest.mark.parametrize("size_bytes", [300_000, 52_000_000])
def test_a_large_package_goes_through_a_file(door: Door, size_bytes: int) -> None:
    content = bytes(range(256)) * (size_bytes // 256)
    door.client().update_function_code(FunctionName="f", ZipFile=content)
    caller, request = door.control_plane.calls[-1]
    assert request.zip_file is None
    assert door.control_plane.blobs == {"ZipFile": content}
    assert caller.blobs["ZipFile"].size_bytes == len(content)
    door.client().create_function(FunctionName="f", Role=ROLE, Code={"ZipFile": content})
    assert door.control_plane.blobs == {"Code.ZipFile": content}


@pytest.mark.slow
def test_a_large_body_that_is_not_json_or_not_base64(door: Door) -> None:
    for spoilt in (b'{"ZipFile": "' + b"!" * 400_000 + b'"}', b"[" * 400_000, b'{"ZipFile": ' + b"1" * 400_000):
        client = door.client()
        client.meta.events.register("before-sign.lambda.UpdateFunctionCode", partial(put_body, spoilt))
        with pytest.raises(ClientError) as refused:
            client.update_function_code(FunctionName="f", ZipFile=b"")
        assert refused.value.response["Error"]["Code"] == "SerializationException"
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.slow
def test_a_body_over_aws_s_bound(door: Door) -> None:
    with pytest.raises(ClientError) as refused:
        door.client().create_function(FunctionName="f", Role=ROLE, Code={"ZipFile": bytes(53_000_000)})
    error = refused.value.response
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 413
    # Recorded: test_oversized_request_create_lambda.
    assert error["Error"]["Code"] == "RequestEntityTooLargeException"
    assert error["Error"]["Message"] == "Request must be smaller than 70167211 bytes for the CreateFunction operation"


def test_the_other_operations_of_the_control_plane(door: Door) -> None:
    client = door.client()
    assert client.get_function(FunctionName="f")["Configuration"]["FunctionName"] == "f"
    assert client.get_function_configuration(FunctionName="f", Qualifier="$LATEST")["State"] == "Active"
    assert door.control_plane.calls[-1][1].qualifier == "$LATEST"
    assert client.update_function_configuration(FunctionName="f", Timeout=900)["FunctionName"] == "f"
    assert door.control_plane.calls[-1][1].timeout == 900
    assert client.list_functions(MaxItems=7, FunctionVersion="ALL")["Functions"] == []
    assert (door.control_plane.calls[-1][1].max_items, door.control_plane.calls[-1][1].marker) == (7, None)
    assert client.get_account_settings()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert client.list_tags(Resource=ARN)["Tags"] == {"a": "b"}
    assert door.control_plane.calls[-1][1].resource == ARN
    assert client.tag_resource(Resource=ARN, Tags={"k": "v"})["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert client.untag_resource(Resource=ARN, TagKeys=["k", "l m"])["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert door.control_plane.calls[-1][1].tag_keys == ["k", "l m"]
    assert client.delete_function(FunctionName=ARN)["ResponseMetadata"]["HTTPStatusCode"] in (200, 204)
    assert door.control_plane.calls[-1][1].function_name == ARN


def put_body(body: bytes, request: Any, **_: Any) -> None:
    request.data = body


@pytest.mark.parametrize("code", EXCEPTIONS)
def test_every_error_has_the_form_of_its_shape(door: Door, code: str) -> None:
    shape = SERVICE["shapes"][code]
    text_member = next(member for member in shape["members"] if member.lower() == "message")
    door.control_plane.error = lambda_error(code, "told")
    client = door.client()
    with pytest.raises(ClientError) as refused:
        client.get_function(FunctionName="f")
    error = refused.value.response
    assert error["ResponseMetadata"]["HTTPStatusCode"] == shape["error"]["httpStatusCode"]
    assert error["Error"] == {"Code": code, "Message": "told"}
    assert error[text_member] == "told"
    assert error.get("Type") == (
        ("User" if shape["error"].get("senderFault") else "Service") if "Type" in shape["members"] else None
    )
    assert error["ResponseMetadata"]["HTTPHeaders"]["x-amzn-errortype"] == code
    assert error["ResponseMetadata"]["RequestId"] == door.control_plane.calls[-1][0].request_id


def test_members_of_an_error(door: Door) -> None:
    door.invoker.error = lambda_error(
        "TooManyRequestsException", "Rate Exceeded.", Reason="ConcurrentInvocationLimitExceeded", retryAfterSeconds="1"
    )
    with pytest.raises(ClientError) as refused:
        door.client().invoke(FunctionName="f")
    error = refused.value.response
    assert (error["Reason"], error["Type"], error["message"]) == (
        "ConcurrentInvocationLimitExceeded",
        "User",
        "Rate Exceeded.",
    )
    assert error["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 429


def test_our_own_fault_is_told_without_its_text(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    door.control_plane.error = RuntimeError("secret detail")
    with pytest.raises(ClientError) as refused:
        door.client().get_function(FunctionName="f")
    error = refused.value.response
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("ServiceException", 500)
    assert (error["Type"], error["Message"]) == ("Service", "An error occurred and the request cannot be processed.")
    records = [record for record in caplog.records if record.name == "lambent.tests.door"]
    assert [record.getMessage() for record in records] == [f"request {error['ResponseMetadata']['RequestId']} failed"]
    assert "secret detail" in (records[0].exc_text or "")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"FunctionName": "*"},
            "Value '*' at 'functionName' failed to satisfy constraint: Member must satisfy regular",
        ),
        (
            {"FunctionName": "f", "Qualifier": "invalid!"},
            "Value 'invalid!' at 'qualifier' failed to satisfy constraint",
        ),
    ],
)
def test_constraints(door: Door, arguments: dict[str, str], text: str) -> None:
    for operation in (door.client().get_function, door.client().invoke):
        with pytest.raises(ClientError) as refused:
            operation(**arguments)
        error = refused.value.response
        assert error["Error"]["Code"] == "ValidationException"
        assert error["Error"]["Message"].startswith(f"1 validation error detected: {text}")
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert set(error) == {"Error", "ResponseMetadata"}  # As recorded: nothing beside the message.


@pytest.mark.parametrize(
    "body", [b"nope", b"[]", b'"text"', b'{"Code":1}', b'{"Timeout":"3"}', b'{"Code":{"ZipFile":"%"}}', b"[" * 100_000]
)
def test_bodies_that_cannot_be_read(door: Door, body: bytes) -> None:
    client = door.client()
    client.meta.events.register("before-sign.lambda.CreateFunction", partial(put_body, body))
    with pytest.raises(ClientError) as refused:
        client.create_function(FunctionName="f", Role=ROLE, Code={})
    assert refused.value.response["Error"]["Code"] == "SerializationException"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_the_control_plane_judges_runtimes(door: Door) -> None:
    # Recorded: the answer is InvalidParameterValueException with a text of its own, not ValidationException.
    door.client().create_function(FunctionName="f", Role=ROLE, Code={"ZipFile": b""}, Runtime="PYTHON3.9")
    assert door.control_plane.calls[-1][1].runtime == "PYTHON3.9"


def test_an_unknown_operation(door: Door) -> None:
    client = door.client()

    def elsewhere(request: Any, **_: Any) -> None:
        request.url = f"{door.url}/2015-03-31/nothing"

    client.meta.events.register("before-sign.lambda.GetFunction", elsewhere)
    with pytest.raises(ClientError) as refused:
        client.get_function(FunctionName="f")
    assert refused.value.response["Error"]["Code"] == "UnknownOperationException"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
