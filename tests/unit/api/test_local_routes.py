"""Patterns of our own operations."""

from __future__ import annotations

import pytest

from lambent.api import HttpResponse, LocalRequest, LocalRoute
from lambent.api.local_routes import LocalRoutes


async def respond(request: LocalRequest) -> HttpResponse:
    raise AssertionError


ROUTES = LocalRoutes(
    [
        LocalRoute("GET", "/_lambent/health", respond),
        LocalRoute("GET", "/_lambent/v1/{kind}/{name}", respond),
        LocalRoute("POST", "/_lambent/v1/files/{path+}", respond),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "parameters"),
    [
        ("GET", "/_lambent/health", {}),
        ("HEAD", "/_lambent/health", {}),
        ("GET", "/_lambent/v1/logs/a%2Fb", {"kind": "logs", "name": "a/b"}),
        ("POST", "/_lambent/v1/files/a/b%20c", {"path": "a/b c"}),
    ],
)
def test_found(method: str, path: str, parameters: dict[str, str]) -> None:
    matched = ROUTES.match(method, path)
    assert matched is not None
    assert matched[1] == parameters


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/_lambent/health"),
        ("GET", "/_lambent/health/more"),
        ("GET", "/_lambent"),
        ("GET", "/_lambent/v1/logs"),
        ("GET", "/_lambent/v1//x"),
        ("POST", "/_lambent/v1/files"),
    ],
)
def test_not_found(method: str, path: str) -> None:
    assert ROUTES.match(method, path) is None
