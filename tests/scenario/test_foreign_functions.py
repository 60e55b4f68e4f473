"""A function of another account: nothing by itself, and what its resource policy says, at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.running import create_function, invoke

if TYPE_CHECKING:
    from tests.running import LambentServer

_OWNER, _OTHER = "111111111111", "222222222222"


@pytest.fixture
def owner(lambent_server: LambentServer) -> Any:
    return lambent_server.client(access_key=_OWNER, secret_key="x")


@pytest.fixture
def other(lambent_server: LambentServer) -> Any:
    return lambent_server.client(access_key=_OTHER, secret_key="x")


def _allow(owner: Any, action: str, principal: str = _OTHER) -> None:
    owner.add_permission(
        FunctionName="shared", StatementId=action.partition(":")[2], Principal=principal, Action=action
    )


@pytest.mark.slow
def test_a_policy_opens_a_function_to_another_account(owner: Any, other: Any) -> None:
    code = {"index.py": "def handler(event, context):\n    return context.invoked_function_arn\n"}
    arn = create_function(owner, "shared", code, Role=f"arn:aws:iam::{_OWNER}:role/r")["FunctionArn"]
    for call in (other.get_function, other.invoke, other.delete_function, other.list_aliases):
        with pytest.raises(ClientError, match="AccessDeniedException.*no resource-based policy allows"):
            call(FunctionName=arn)

    _allow(owner, "lambda:InvokeFunction")
    assert invoke(other, arn) == arn
    with pytest.raises(ClientError, match="AccessDeniedException"):
        other.get_function(FunctionName=arn)

    _allow(owner, "lambda:GetFunction", f"arn:aws:iam::{_OTHER}:root")
    assert other.get_function(FunctionName=arn)["Configuration"]["FunctionArn"] == arn
    with pytest.raises(ClientError, match="AccessDeniedException"):
        other.create_alias(FunctionName=arn, Name="a", FunctionVersion="$LATEST")

    _allow(owner, "lambda:CreateAlias")
    alias = other.create_alias(FunctionName=arn, Name="a", FunctionVersion="$LATEST")
    assert alias["AliasArn"] == f"{arn}:a"
    assert [each["Name"] for each in owner.list_aliases(FunctionName="shared")["Aliases"]] == ["a"]
    # The statement is about the function, not about its alias.
    with pytest.raises(ClientError, match="AccessDeniedException"):
        other.invoke(FunctionName=arn, Qualifier="a")

    owner.remove_permission(FunctionName="shared", StatementId="InvokeFunction")
    with pytest.raises(ClientError, match="AccessDeniedException"):
        other.invoke(FunctionName=arn)


def test_what_no_policy_can_open(owner: Any, other: Any) -> None:
    code = {"index.py": "def handler(event, context):\n    return 1\n"}
    arn = create_function(owner, "own", code, Role=f"arn:aws:iam::{_OWNER}:role/r")["FunctionArn"]
    owner.add_permission(FunctionName="own", StatementId="all", Principal=_OTHER, Action="lambda:*")
    with pytest.raises(ClientError, match="AccessDeniedException"):
        other.update_function_configuration(FunctionName=arn, Timeout=9)
    assert other.list_functions()["Functions"] == []
