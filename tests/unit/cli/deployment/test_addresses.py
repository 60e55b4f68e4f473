"""An API's address in a stack's outputs, and where it answers."""

from __future__ import annotations

import pytest

from lambent.cli.deployment.addresses import address_here

_API = "https://0a1b2c3d.execute-api.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("value", "endpoint", "here"),
    [
        (f"{_API}/prod/a", "http://127.0.0.1:4566", "http://0a1b2c3d.execute-api.localhost:4566/prod/a"),
        (_API, "https://localhost", "https://0a1b2c3d.execute-api.localhost/"),
        (_API, "https://lambda.example.org", None),
        ("https://example.org/a", "http://127.0.0.1:4566", None),
        (f"see {_API}", "http://127.0.0.1:4566", None),
    ],
)
def test_where_it_answers(value: str, endpoint: str, here: str | None) -> None:
    assert address_here(value, endpoint) == here
