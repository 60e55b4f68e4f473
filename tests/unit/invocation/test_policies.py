"""Resource policies in memory: of a function, of a qualifier, replaced and forgotten."""

from __future__ import annotations

import json

from lambent.invocation.policies import ResourcePolicies
from lambent.model.arn import FunctionArn
from lambent.model.configs.policy import FunctionPolicy

ARN = FunctionArn("111111111111", "us-east-1", "f")
OTHER = "222222222222"


def policy(qualifier: str, action: str) -> FunctionPolicy:
    resource = str(ARN.qualified(qualifier or None))
    statement = {"Sid": "s", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{OTHER}:root"}, "Action": action,
                 "Resource": resource}  # fmt: skip
    document = json.dumps({"Version": "2012-10-17", "Id": "default", "Statement": [statement]})
    return FunctionPolicy(ARN.account_id, ARN.region, ARN.name, qualifier, document, "r1")


def test_a_policy_speaks_for_its_function_or_its_qualifier_only() -> None:
    policies = ResourcePolicies()
    user = f"arn:aws:iam::{OTHER}:user/u"

    def allows(action: str, qualifier: str | None = None) -> bool:
        return policies.allows_identity(user, OTHER, action, ARN.qualified(qualifier))

    assert not allows("lambda:InvokeFunction")
    policies.put(policy("", "lambda:InvokeFunction"))
    policies.put(policy("live", "lambda:GetFunction"))
    assert allows("lambda:InvokeFunction")
    assert not allows("lambda:InvokeFunction", "live")
    assert allows("lambda:GetFunction", "live")
    assert not allows("lambda:GetFunction")
    assert not policies.allows_identity("arn:aws:iam::333333333333:root", "333333333333", "lambda:InvokeFunction", ARN)
    policies.put(policy("", "lambda:GetFunction"))
    assert not allows("lambda:InvokeFunction")
    policies.remove(ARN)
    policies.remove(ARN.qualified("live"))
    policies.remove(ARN.qualified("never"))
    assert not allows("lambda:GetFunction")
    assert not allows("lambda:GetFunction", "live")
