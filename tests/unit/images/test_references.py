"""References to images."""

from __future__ import annotations

import pytest

from lambent.images.references import parse_reference

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("python:3.12", "docker.io/library/python:3.12"),
        ("team/app", "docker.io/team/app:latest"),
        ("index.docker.io/team/app", "docker.io/team/app:latest"),
        ("localhost:5000/app:1", "localhost:5000/app:1"),
        ("localhost/app", "localhost/app:latest"),
        (
            "000000000000.dkr.ecr.eu-west-1.amazonaws.com/a/b:v1.2",
            "000000000000.dkr.ecr.eu-west-1.amazonaws.com/a/b:v1.2",
        ),
        (f"public.ecr.aws/lambda/python@sha256:{DIGEST}", f"public.ecr.aws/lambda/python@sha256:{DIGEST}"),
        (f"public.ecr.aws/lambda/python:3.12@sha256:{DIGEST}", f"public.ecr.aws/lambda/python@sha256:{DIGEST}"),
    ],
)
def test_a_reference_is_complete(text: str, full: str) -> None:
    assert str(parse_reference(text)) == full


@pytest.mark.parametrize(
    "text",
    [
        "",
        "UPPER/case",
        "a b",
        "app:",
        "app:tag:tag",
        "app@sha256:1",
        f"app@sha512:{DIGEST}",
        "a//b",
        "x" * 1025,
        "../etc",
    ],
)
def test_what_is_none(text: str) -> None:
    assert parse_reference(text) is None
