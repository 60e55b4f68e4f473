"""What an AppSpec says, in JSON and YAML, and what is none."""

from __future__ import annotations

import pytest

from lambent.triggers.deployments.revisions import AppSpec, RevisionError, parse, written

YAML = """
version: 0.0
Resources:
  - myFunction:
      Type: AWS::Lambda::Function
      Properties:
        Name: "f"
        Alias: "live"
        CurrentVersion: 1
        TargetVersion: "2"
Hooks:
  - BeforeAllowTraffic: "before"
  - AfterAllowTraffic: "arn:aws:lambda:us-east-1:000000000000:function:after"
"""
SPEC = AppSpec(
    "f",
    "live",
    "1",
    "2",
    {"BeforeAllowTraffic": "before", "AfterAllowTraffic": "arn:aws:lambda:us-east-1:000000000000:function:after"},
)


def test_yaml_and_json_say_the_same() -> None:
    assert parse(YAML) == SPEC
    assert parse(written(SPEC)) == SPEC


def test_small_letters_are_the_same_sections() -> None:
    assert parse(YAML.replace("Resources", "resources").replace("Hooks", "hooks")) == SPEC


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "neither JSON nor YAML"),
        ("a: [", "neither JSON nor YAML"),
        ("[1]", "neither JSON nor YAML"),
        ("!!python/object/apply:os.system ['true']", "neither JSON nor YAML"),
        ("a: &x 1\nb: *x", "aliases"),
        (YAML.replace("0.0", "1.0"), "version"),
        (YAML.replace("AWS::Lambda::Function", "AWS::ECS::Service"), "exactly one resource"),
        (YAML.replace('        Alias: "live"\n', ""), "Alias"),
        (YAML.replace("BeforeAllowTraffic", "BeforeInstall"), "BeforeInstall"),
        ('{"version": 0.0, "Resources": 5}', "resources"),
        ('{"version": 0.0, "Resources": [{"f": {"Type": "AWS::Lambda::Function"}}]}', "Properties"),
    ],
)
def test_what_is_no_appspec_is_refused_and_says_why(text: str, said: str) -> None:
    with pytest.raises(RevisionError, match=said):
        parse(text)
