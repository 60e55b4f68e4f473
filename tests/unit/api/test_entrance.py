"""Hosts and origins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.api.entrance import Entrance
from lambent.api.messages import HttpRequest, Peer


def refusal(host: str | None, local_host: str = "127.0.0.1", *, is_http_10: bool = False, **headers: str) -> str | None:
    given_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if host is not None:
        given_headers["host"] = host
    request = HttpRequest("GET", "/", given_headers, Peer("http", local_host, 4566))
    request.is_http_10 = is_http_10
    entrance = Entrance(["lambda.example", ".sub.example"], ["https://console.example"])
    return entrance.refusal(request) or entrance.refusal(request)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:80", "a.localhost", "127.3.2.1:9", "[::1]:4566", "lambda.example", "x.sub.example:1"],
)
def test_ours(host: str) -> None:
    assert refusal(host) is None


@pytest.mark.parametrize(
    "host", ["", "example", "sub.example", "localhost.example", "192.0.2.1", "[::2]", "127.0.0.1.example"]
)
def test_not_ours(host: str) -> None:
    assert refusal(host) is not None


def test_the_address_that_was_reached_is_ours() -> None:
    assert refusal("192.0.2.1:4566", "192.0.2.1") is None
    assert refusal("192.0.2.1:4566", "192.0.2.2") is not None
    assert refusal("[2001:db8::1]", "2001:db8::1") is None


def test_http_10_may_say_no_host() -> None:
    assert refusal(None, is_http_10=True) is None
    assert refusal(None) is not None


def test_origins() -> None:
    assert refusal("localhost", origin="https://console.example") is None
    assert refusal("localhost", origin="HTTPS://Console.example", sec_fetch_site="cross-site") is None
    assert refusal("localhost", origin="https://console.example.evil.example") is not None
    assert refusal("localhost", sec_fetch_site="Cross-Site") is not None
    assert refusal("localhost", sec_fetch_site="none") is None


@given(st.text(max_size=30))
def test_any_host_is_judged(host: str) -> None:
    name = host.lower().rpartition(":")[0] or host.lower()
    if "localhost" not in name and "127." not in name and "example" not in name and "::1" not in name:
        assert refusal(host) is not None
