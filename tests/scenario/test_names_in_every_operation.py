"""Every operation that takes a function's name reads it alike: forms, qualifiers, other regions, other accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.loaders import Loader

from lambent.api.operations import OPERATIONS
from tests.running import create_function

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

SERVICE: dict[str, Any] = Loader().load_service_model("lambda", "service-2")
SHAPES: dict[str, Any] = SERVICE["shapes"]
CODE = {"index.py": "def handler(event, context):\n    return 1\n"}
# What a request must have beside the name, where the smallest value is refused before the name is read.
MEMBERS: dict[str, dict[str, Any]] = {
    "AddPermission": {"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"},
    "CreateAlias": {"Name": "alias", "FunctionVersion": "1"},
    "GetFunctionScalingConfig": {"Qualifier": "1"},
    "PutFunctionEventInvokeConfig": {"MaximumRetryAttempts": 1},
    "PutFunctionScalingConfig": {"Qualifier": "1"},
    "UpdateFunctionEventInvokeConfig": {"MaximumRetryAttempts": 1},
    "CreateFunction": {"Role": "arn:aws:iam::000000000000:role/r", "Runtime": "python3.12", "Handler": "a.b"},
    "PutFunctionCodeSigningConfig": {
        "CodeSigningConfigArn": "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-0123456789abcdefg"
    },
    "PutFunctionConcurrency": {"ReservedConcurrentExecutions": 1},
    "PutProvisionedConcurrencyConfig": {"Qualifier": "1", "ProvisionedConcurrentExecutions": 1},
    "UpdateFunctionCode": {"ZipFile": b"zip"},
}


def names_a_function(name: str) -> bool:
    members = SHAPES[SERVICE["operations"][name]["input"]["shape"]]["members"] if has_input(name) else {}
    return "FunctionName" in members and OPERATIONS[name].method is not None


def has_input(name: str) -> bool:
    return "input" in SERVICE["operations"][name]


# Event source mappings look at the source first, and a list of them only filters by the function's name. Executions of
# durable functions cannot exist yet.
APART = frozenset(
    (
        "CreateEventSourceMapping",
        "ListDurableExecutionsByFunction",
        "ListEventSourceMappings",
        "UpdateEventSourceMapping",
    )
)
NAMING = sorted(name for name in SERVICE["operations"] if names_a_function(name) and name not in APART)
QUALIFIED = sorted(
    name for name in NAMING if "Qualifier" in SHAPES[SERVICE["operations"][name]["input"]["shape"]]["members"]
)


def smallest(shape_name: str) -> Any:
    """Return the smallest value of a shape."""
    shape = SHAPES[shape_name]
    kind = shape["type"]
    if kind == "structure":
        return {member: smallest(shape["members"][member]["shape"]) for member in shape.get("required", ())}
    if kind == "string":
        return shape["enum"][0] if "enum" in shape else "a" * max(1, shape.get("min", 0))
    empty: dict[str, Any] = {"list": [], "map": {}, "blob": b"{}", "boolean": True}
    return empty.get(kind, max(1, shape.get("min", 0)))


def refused(client: Any, operation: str, **members: Any) -> tuple[str, str]:
    """Call an operation with the least it needs and return code and text of its refusal."""
    arguments = smallest(SERVICE["operations"][operation]["input"]["shape"]) | MEMBERS.get(operation, {}) | members
    with pytest.raises(ClientError) as refusal:
        getattr(client, xform_name(operation))(**arguments)
    error = refusal.value.response["Error"]
    return error["Code"], error["Message"] or ""


@pytest.mark.parametrize("operation", NAMING)
def test_another_region(lambda_client: Any, operation: str) -> None:
    # Source: lambda/test_lambda_api.json, test_function_arns.
    arn = "arn:aws:lambda:eu-central-1:000000000000:function:f"
    assert refused(lambda_client, operation, FunctionName=arn) == (
        "ResourceNotFoundException",
        "Functions from 'eu-central-1' are not reachable in this region ('us-east-1')",
    )


@pytest.mark.parametrize("operation", NAMING)
def test_another_account(lambda_client: Any, operation: str) -> None:
    arn = "arn:aws:lambda:us-east-1:111122223333:function:f"
    code, text = refused(lambda_client, operation, FunctionName=arn)
    assert code == "AccessDeniedException"
    # Source: recorded (test_function_arns, function_arn_other_account_exc); observed for the others.
    assert text == "" if operation == "CreateFunction" else "is not authorized to perform: lambda:" in text


@pytest.mark.parametrize("operation", NAMING)
@pytest.mark.parametrize(
    "name", ["*", "arn:aws:lambda:us-east-1:000000000000:function:f:1:2", "arn:aws:s3:::b", "f!", "a:b:c:d"]
)
def test_what_is_no_name(lambda_client: Any, operation: str, name: str) -> None:
    code, text = refused(lambda_client, operation, FunctionName=name)
    assert code == "ValidationException"
    assert f"Value '{name}' at 'functionName' failed to satisfy constraint" in text


@pytest.mark.parametrize("operation", QUALIFIED)
def test_two_qualifiers_that_differ(lambda_client: Any, operation: str) -> None:
    # Source: recorded (test_function_name_and_qualifier_validation).
    if operation.endswith("ScalingConfig"):
        # A name with a qualifier is none there.
        assert refused(lambda_client, operation, FunctionName="f:1")[0] == "ValidationException"
        return
    assert refused(lambda_client, operation, FunctionName="f:one", Qualifier="two") == (
        "InvalidParameterValueException",
        "The derived qualifier from the function name does not match the specified qualifier.",
    )


@pytest.mark.parametrize(
    "operation", [name for name in NAMING if name not in ("CreateFunction", "GetFunctionConfiguration")]
)
def test_a_function_that_is_not_there(lambda_client: Any, operation: str) -> None:
    code, _ = refused(lambda_client, operation, FunctionName="nobody-made-this")
    # PutFunctionCodeSigningConfig looks for the configuration first.
    assert code in ("ResourceNotFoundException", "CodeSigningConfigNotFoundException")


def test_every_form_reads_the_same(lambent_server: LambentServer, lambda_client: Any) -> None:
    create_function(lambda_client, "forms", CODE, Publish=True)
    lambda_client.create_alias(FunctionName="forms", Name="live", FunctionVersion="1")
    prefix = "arn:aws:lambda:us-east-1:000000000000:function:"
    for form in ("forms", "function:forms", "000000000000:forms", "000000000000:function:forms", prefix + "forms"):
        assert lambda_client.get_function_configuration(FunctionName=form)["FunctionArn"] == prefix + "forms"
        for qualifier, version in (("$LATEST", "$LATEST"), ("1", "1"), ("live", "1")):
            by_member = lambda_client.get_function_configuration(FunctionName=form, Qualifier=qualifier)
            by_name = lambda_client.get_function_configuration(FunctionName=f"{form}:{qualifier}")
            for answer in (by_member, by_name):
                assert (answer["FunctionArn"], answer["Version"]) == (f"{prefix}forms:{qualifier}", version)
            executed = lambda_client.invoke(FunctionName=f"{form}:{qualifier}")["ExecutedVersion"]
            assert executed == version
