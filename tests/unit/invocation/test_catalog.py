"""Name and qualifier to version, in memory."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from lambent.invocation import Catalog
from lambent.model.arn import FunctionArn
from lambent.model.errors import ResourceNotFoundError
from lambent.model.function import Alias, CodeReference, FunctionVersion, RoutingConfig

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


ALIAS = Alias("000000000000", "us-east-1", "f", "live", "1", "r")


def test_an_alias_means_its_version_and_moves() -> None:
    catalog = Catalog()
    one, two = replace(VERSION, version="1"), replace(VERSION, version="2")
    for version in (VERSION, one, two):
        catalog.put(version)
    live = VERSION.arn.qualified("live")
    with pytest.raises(ResourceNotFoundError):
        catalog.resolve(live)
    catalog.put_alias(ALIAS)
    assert (catalog.resolve(live), catalog.alias(live)) == (one, ALIAS)
    catalog.put_alias(replace(ALIAS, function_version="2"))
    assert catalog.resolve(live) is two
    catalog.put_alias(replace(ALIAS, function_version="$LATEST"))
    assert catalog.resolve(live) is VERSION
    catalog.remove_alias(VERSION.arn, "live")
    catalog.remove_alias(VERSION.arn, "live")
    with pytest.raises(ResourceNotFoundError) as missing:
        catalog.resolve(live)
    assert missing.value.message == "Function not found: arn:aws:lambda:us-east-1:000000000000:function:f:live"


@pytest.mark.parametrize(
    ("weight", "fraction", "number"),
    [(0.2, 0.0, "2"), (0.2, 0.19, "2"), (0.2, 0.2, "1"), (0.2, 0.99, "1"), (0.0, 0.0, "1"), (1.0, 0.99, "2")],
)
def test_weights_route(weight: float, fraction: float, number: str) -> None:
    catalog = Catalog(lambda: fraction)
    for version in ("1", "2"):
        catalog.put(replace(VERSION, version=version))
    catalog.put_alias(replace(ALIAS, routing_config=RoutingConfig({"2": weight})))
    assert catalog.resolve(VERSION.arn.qualified("live")).version == number
