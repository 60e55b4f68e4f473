"""What is no runtime and no architecture. Texts: recorded (test_layer_exceptions)."""

from __future__ import annotations

import pytest

from lambent.functions.layers.compatibility import check_compatibilities, check_filter
from lambent.model.errors import ValidationError

SUPPORTED = (
    "[nodejs20.x, python3.14, provided.al2023, python3.12, python3.13, nodejs24.x, nodejs22.x, java25, python3.10, "
    "python3.11, java21, ruby3.3, ruby3.4, ruby3.2, python3.8, python3.9, java17, nodejs16.x, dotnet10, dotnet8, "
    "java11, dotnet6, nodejs18.x, provided.al2, java8.al2]"
)


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(ValidationError) as refused:
        check_compatibilities(["none", "nodejs20.x"], ["sparc", "x86_64"])
    assert refused.value.message == (
        "2 validation errors detected: Value '[none, nodejs20.x]' at 'compatibleRuntimes' failed to satisfy "
        f"constraint: Member must satisfy enum value set: {SUPPORTED}; Value '[sparc, x86_64]' at "
        "'compatibleArchitectures' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy "
        "enum value set: [x86_64, arm64], Member must not be null]"
    )
    with pytest.raises(ValidationError, match=r"^1 validation error detected: Value '\[none\]' at"):
        check_compatibilities(["none"], None)
    check_compatibilities(["python3.7", "python3.12", "ruby4.0"], ["arm64"])
    check_compatibilities(None, [])


def test_listings_know_more_names() -> None:
    for runtime in ("nasa", "python3.12", "java8.al2023", None):
        check_filter(runtime)
    with pytest.raises(ValidationError, match=r"^1 validation error detected: Value 'none' at 'compatibleRuntime' "):
        check_filter("none")
