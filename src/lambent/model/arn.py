"""Names of functions: parse every form the API accepts, print the one form AWS answers."""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from lambent.model.errors import InvalidParameterValueError, ValidationError

LATEST = "$LATEST"

# Source: service description, shape NamespacedFunctionName (the widest form any operation takes).
_REFERENCE = re.compile(
    r"(?:(?:arn:(?P<partition>aws[a-zA-Z-]*):lambda:)?(?P<region>(?:eusc-)?[a-z]{2}(?:-gov)?(?:-iso[a-z]?)?-[a-z]+-\d):)?"
    r"(?:(?P<account>\d{12}):)?(?:function:)?(?P<name>[a-zA-Z0-9-_.]+)(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)


class FunctionArn(Struct, frozen=True):
    """A function, or one version or alias of it: account (12 digits), region, name, qualifier or None."""

    account_id: str
    region: str
    name: str
    qualifier: str | None = None
    partition: str = "aws"

    def __str__(self) -> str:
        text = f"arn:{self.partition}:lambda:{self.region}:{self.account_id}:function:{self.name}"
        return text if self.qualifier is None else f"{text}:{self.qualifier}"

    def qualified(self, qualifier: str | None) -> FunctionArn:
        """Return this function with another qualifier."""
        return replace(self, qualifier=qualifier)

    @property
    def unqualified(self) -> FunctionArn:
        """This function without a qualifier."""
        return self if self.qualifier is None else replace(self, qualifier=None)


def parse_function_name(reference: str, *, account_id: str, region: str, qualifier: str | None = None) -> FunctionArn:
    """Return the function that `reference` (name, partial ARN or ARN, each with or without qualifier) means.

    `account_id` and `region` are the caller's and stand in where the reference has none.

    Raises:
        ValidationError: the text is no function name.
        InvalidParameterValueError: the reference's qualifier and `qualifier` differ.
    Source: API reference, parameter FunctionName; recorded answers.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None or len(reference) > 256:
        raise ValidationError(
            f"1 validation error detected: Value '{reference}' at 'functionName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: "
            "(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?"
            "(function:)?([a-zA-Z0-9-_\\.]+)(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
        )
    embedded = match["qualifier"]
    if embedded is not None and qualifier is not None and embedded != qualifier:
        raise InvalidParameterValueError(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    return FunctionArn(
        account_id=match["account"] or account_id,
        region=match["region"] or region,
        name=match["name"],
        qualifier=qualifier if qualifier is not None else embedded,
        partition=match["partition"] or "aws",
    )
