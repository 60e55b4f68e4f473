"""Every form of a function's name, and the one form answered."""

from __future__ import annotations

import pytest

from lambent.model.arn import FunctionArn, parse_function_name
from lambent.model.errors import InvalidParameterValueError, ValidationError


def parse(reference: str, qualifier: str | None = None) -> FunctionArn:
    return parse_function_name(reference, account_id="000000000000", region="us-east-1", qualifier=qualifier)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("hello", "arn:aws:lambda:us-east-1:000000000000:function:hello"),
        ("hello:live", "arn:aws:lambda:us-east-1:000000000000:function:hello:live"),
        ("hello:$LATEST", "arn:aws:lambda:us-east-1:000000000000:function:hello:$LATEST"),
        ("123456789012:function:hello", "arn:aws:lambda:us-east-1:123456789012:function:hello"),
        ("123456789012:hello", "arn:aws:lambda:us-east-1:123456789012:function:hello"),
        ("function:hello:7", "arn:aws:lambda:us-east-1:000000000000:function:hello:7"),
        (
            "arn:aws:lambda:eu-central-1:123456789012:function:hello:7",
            "arn:aws:lambda:eu-central-1:123456789012:function:hello:7",
        ),
        (
            "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:hello",
            "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:hello",
        ),
    ],
)
def test_forms(reference: str, expected: str) -> None:
    assert str(parse(reference)) == expected


@pytest.mark.parametrize("reference", ["", "a b", "arn:aws:s3:::bucket", "a/b", "x" * 300])
def test_what_is_no_name(reference: str) -> None:
    with pytest.raises(ValidationError, match="failed to satisfy constraint"):
        parse(reference)


def test_two_different_qualifiers() -> None:
    assert parse("hello:live", "live").qualifier == "live"
    with pytest.raises(InvalidParameterValueError, match="derived qualifier"):
        parse("hello:live", "7")
