"""Name and qualifier to version, in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lambent.invocation import Catalog
from lambent.model.arn import FunctionArn
from lambent.model.errors import ResourceNotFoundError
from lambent.model.function import CodeReference, FunctionVersion

VERSION = FunctionVersion(
    account_id="000000000000",
    region="us-east-1",
    name="f",
    role="r",
    code=CodeReference("0" * 64, 1, 1),
    configuration_id="c",
    revision_id="r",
    last_modified_ms=0,
)


def test_put_resolve_remove() -> None:
    catalog = Catalog()
    catalog.put(VERSION)
    newer = replace(VERSION, configuration_id="d")
    catalog.put(newer)
    assert catalog.resolve(VERSION.arn) is newer
    assert catalog.resolve(VERSION.arn.qualified("$LATEST")) is newer
    assert catalog.function_count() == 1
    catalog.remove(VERSION.arn, "$LATEST")
    catalog.remove(VERSION.arn, "$LATEST")
    with pytest.raises(ResourceNotFoundError) as missing:
        catalog.resolve(VERSION.arn)
    assert missing.value.message == "Function not found: arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST"


@pytest.mark.parametrize(
    "other",
    [
        FunctionArn("111111111111", "us-east-1", "f"),
        FunctionArn("000000000000", "eu-west-1", "f"),
        FunctionArn("000000000000", "us-east-1", "g"),
        FunctionArn("000000000000", "us-east-1", "f", "live"),
    ],
)
def test_nothing_leaks_between_accounts_regions_names_and_qualifiers(other: FunctionArn) -> None:
    catalog = Catalog()
    catalog.put(VERSION)
    with pytest.raises(ResourceNotFoundError):
        catalog.resolve(other)
