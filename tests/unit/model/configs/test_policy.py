"""Whether a request is allowed: examples of each rule, and properties over random policies."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.model.configs.policy import Principal, is_allowed, statements_of
from lambent.model.errors import InvalidParameterValueError

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
S3 = Principal(service="s3.amazonaws.com")
ROLE = Principal(arn="arn:aws:iam::111122223333:role/r", account_id="111122223333")
NOBODY = Principal()
INVOKE = "lambda:InvokeFunction"


def statement(**members: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": "*", "Action": INVOKE, "Resource": ARN, **members}


def allowed(
    principal: Principal,
    *statements: dict[str, Any],
    action: str = INVOKE,
    resource: str = ARN,
    context: dict[str, str] | None = None,
) -> bool:
    policies = [statements_of({"Version": "2012-10-17", "Statement": list(statements)})] if statements else []
    return is_allowed(principal, action, resource, policies, context)


def test_nothing_is_allowed_by_nothing() -> None:
    assert not allowed(S3)


@pytest.mark.parametrize(
    ("principal", "named", "expected"),
    [
        (S3, "*", True),
        (NOBODY, "*", True),
        (S3, {"Service": "s3.amazonaws.com"}, True),
        (S3, {"Service": "sns.amazonaws.com"}, False),
        (S3, {"AWS": "*"}, False),
        (ROLE, {"AWS": "*"}, True),
        (ROLE, {"AWS": "arn:aws:iam::111122223333:root"}, True),
        (ROLE, {"AWS": "111122223333"}, True),
        (ROLE, {"AWS": ["arn:aws:iam::111122223333:role/other", "arn:aws:iam::111122223333:role/r"]}, True),
        (ROLE, {"AWS": "arn:aws:iam::111122223333:role/*"}, False),
        (ROLE, {"Service": "s3.amazonaws.com"}, False),
        (NOBODY, {"AWS": "111122223333"}, False),
    ],
)
def test_principals(principal: Principal, named: Any, expected: bool) -> None:
    assert allowed(principal, statement(Principal=named)) is expected


def test_a_session_is_its_role() -> None:
    session = Principal(arn="arn:aws:sts::111122223333:assumed-role/r/s", account_id="111122223333")
    assert allowed(session, statement(Principal={"AWS": "arn:aws:iam::111122223333:role/r"}))
    assert allowed(session, statement(Principal={"AWS": "arn:aws:iam::111122223333:role/a/path/r"}))
    for other in ("111122223333:role/q", "111122223333:role/r/q", "111122223333:user/r", "999922223333:role/r"):
        assert not allowed(session, statement(Principal={"AWS": f"arn:aws:iam::{other}"}))


def test_actions_and_resources() -> None:
    assert allowed(S3, statement(Action=["lambda:Get*", "lambda:invokefunction"]))
    assert not allowed(S3, statement(Action="lambda:Get*"))
    assert not allowed(S3, statement(), resource=f"{ARN}:live")
    assert allowed(S3, statement(Resource=f"{ARN}*"), resource=f"{ARN}:live")
    everything_else = {"Effect": "Allow", "Principal": "*", "NotAction": "lambda:Delete*", "NotResource": f"{ARN}:1"}
    assert allowed(S3, everything_else)
    assert not allowed(S3, everything_else, action="lambda:DeleteFunction")
    assert not allowed(S3, everything_else, resource=f"{ARN}:1")


def test_denial_wins_and_not_principal_spares() -> None:
    deny = {"Effect": "Deny", "NotPrincipal": {"Service": "s3.amazonaws.com"}, "Action": "*", "Resource": "*"}
    assert allowed(S3, statement(), deny)
    assert not allowed(ROLE, statement(), deny)
    with pytest.raises(InvalidParameterValueError):
        statements_of({"Statement": {**deny, "Effect": "Allow"}})


@given(
    st.lists(
        st.builds(
            statement,
            Effect=st.sampled_from(["Allow", "Deny"]),
            Principal=st.sampled_from(["*", {"Service": "s3.amazonaws.com"}, {"AWS": "111122223333"}]),
            Action=st.sampled_from(["*", "lambda:*", INVOKE, "lambda:GetFunction"]),
            Resource=st.sampled_from([ARN, "*", f"{ARN}:live"]),
            Condition=st.sampled_from([{}, {"StringEquals": {"aws:SourceAccount": "1"}}]),
        ),
        max_size=6,
    ),
    st.sampled_from([S3, ROLE, NOBODY]),
    st.sampled_from([{}, {"AWS:SourceAccount": "1"}, {"aws:sourceaccount": "2"}]),
)
def test_more_denials_never_allow_more(
    statements: list[dict[str, Any]], principal: Principal, context: dict[str, str]
) -> None:
    before = allowed(principal, *statements, context=context)
    assert not allowed(principal, *statements, statement(Effect="Deny"), context=context)
    if before:
        assert allowed(principal, *statements, statement(), context=context)
        assert allowed(principal, *reversed(statements), context=context)
    else:
        denies = any(one["Effect"] == "Deny" for one in statements)
        assert allowed(principal, *statements, statement(), context=context) or denies


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: (
    st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["Version", "Statement", "Effect", "Principal", "Action", "Resource", "Condition", "AWS", "StringLike"]
        ),
        inner,
        max_size=5,
    )
), max_leaves=12))  # fmt: skip
def test_any_json_is_a_policy_or_refused(document: object) -> None:
    with contextlib.suppress(InvalidParameterValueError):
        statements_of(document)
