"""A function's value never shows its secrets."""

from __future__ import annotations

from lambent.model.function import CodeReference, FunctionVersion


def test_variables_are_not_in_its_repr() -> None:
    function = FunctionVersion(
        account_id="0" * 12,
        region="us-east-1",
        name="f",
        role="r",
        code=CodeReference("0" * 64, 1, 1),
        configuration_id="c",
        revision_id="r",
        last_modified_ms=0,
        environment={"TOKEN": "planted-secret"},
        environment_cipher="planted-cipher",
    )
    shown = f"{function!r} {function}"
    assert "planted" not in shown
    assert "us-east-1" in shown
    assert "'c'" in shown
