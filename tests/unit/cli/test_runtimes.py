"""Which image a runtime's root is made from when nothing else is said."""

from __future__ import annotations

import pytest

from lambent.cli.failure import CommandError
from lambent.cli.runtimes import base_image


@pytest.mark.parametrize(
    ("runtime", "image"),
    [
        ("python3.12", "public.ecr.aws/lambda/python:3.12"),
        ("nodejs20.x", "public.ecr.aws/lambda/nodejs:20"),
        ("java21", "public.ecr.aws/lambda/java:21"),
        ("java8.al2", "public.ecr.aws/lambda/java:8.al2"),
        ("dotnet8", "public.ecr.aws/lambda/dotnet:8"),
        ("dotnetcore3.1", "public.ecr.aws/lambda/dotnet:core3.1"),
        ("ruby3.4", "public.ecr.aws/lambda/ruby:3.4"),
        ("provided.al2023", "public.ecr.aws/lambda/provided:al2023"),
    ],
)
def test_aws_s_base_images(runtime: str, image: str) -> None:
    assert base_image(runtime) == image


def test_a_runtime_without_one() -> None:
    with pytest.raises(CommandError, match="--image REFERENCE"):
        base_image("go1.x")
