"""A copy with other members is what `dataclasses.replace` makes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lambent.model.function import CodeReference, FunctionState, FunctionVersion, altered

FUNCTION = FunctionVersion(
    account_id="0" * 12,
    region="us-east-1",
    name="f",
    role="r",
    code=CodeReference("0" * 64, 1, 1),
    configuration_id="c",
    revision_id="r",
    last_modified_ms=0,
    environment={"A": "b"},
)


def test_it_is_what_replace_makes() -> None:
    others = {"state": FunctionState.PENDING, "revision_id": "s", "layers": ()}
    assert altered(FUNCTION, **others) == replace(FUNCTION, state=FunctionState.PENDING, revision_id="s", layers=())
    assert altered(FUNCTION) == FUNCTION
    assert altered(FUNCTION) is not FUNCTION


def test_a_member_that_is_not_there_is_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        altered(FUNCTION, colour="red")
