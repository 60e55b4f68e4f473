"""Templates as they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lambent.cli.deployment.templates import declares, find_template, read_template, stack_name_of
from lambent.cli.failure import CommandError

if TYPE_CHECKING:
    from pathlib import Path


def _read(folder: Path, value: str) -> Any:
    path = folder / "template.yaml"
    path.write_text(f"Resources:\n  A:\n    Type: X\n    Properties:\n      P: {value}\n")
    return read_template(path)["Resources"]["A"]["Properties"]["P"]


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("!Ref B", {"Ref": "B"}),
        ("!Condition C", {"Condition": "C"}),
        ("!GetAtt B.Outputs.C", {"Fn::GetAtt": ["B", "Outputs.C"]}),
        ("!GetAtt [B, C]", {"Fn::GetAtt": ["B", "C"]}),
        ("!Sub '${B}'", {"Fn::Sub": "${B}"}),
        ("!Join ['-', [!Ref B, c]]", {"Fn::Join": ["-", [{"Ref": "B"}, "c"]]}),
        ("!If [C, 1, !Ref AWS::NoValue]", {"Fn::If": ["C", 1, {"Ref": "AWS::NoValue"}]}),
        ("!Transform {Name: M, Parameters: {P: 1}}", {"Fn::Transform": {"Name": "M", "Parameters": {"P": 1}}}),
        ("2012-10-17", "2012-10-17"),
        ("'012'", "012"),
    ],
)  # fmt: skip
def test_short_functions_are_written_out(tmp_path: Path, short: str, long: object) -> None:
    assert _read(tmp_path, short) == long


def test_merged_mappings_are_no_double_keys(tmp_path: Path) -> None:
    assert _read(tmp_path, "{<<: {B: 1, C: 2}, B: 3}") == {"B": 3, "C": 2}


def test_the_line_of_what_is_wrong_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"template\.yaml, line 5: no YAML: "):
        _read(tmp_path, "[1, }")


def test_a_folder_has_its_template(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="there is no template in the folder "):
        find_template(str(tmp_path))
    (tmp_path / "template.json").write_text("{}")
    assert find_template(str(tmp_path)).name == "template.json"


@pytest.mark.parametrize(
    ("folder", "name"), [("my_app", "my-app"), ("7up", "app-7up"), ("..a..", "a"), ("x" * 200, "x" * 128)]
)
def test_stacks_are_named_after_folders(tmp_path: Path, folder: str, name: str) -> None:
    assert stack_name_of(tmp_path / folder / "template.yaml") == name


def test_transforms_are_declared_in_three_forms() -> None:
    for declared in ("A", ["B", "A"], {"Name": "A"}, ["B", {"Name": "A"}]):
        assert declares({"Transform": declared}, "A")
    assert not declares({"Transform": "B"}, "A")
    assert not declares({}, "A")
