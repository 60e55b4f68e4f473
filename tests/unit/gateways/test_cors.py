"""What browsers are told about a function URL."""

from __future__ import annotations

import pytest

from lambent.gateways.cors import preflight, with_cors
from lambent.model.configs.function_url import Cors
from lambent.wire.http_exchange import HttpCall

PAGE = "https://app.example"


def call(method: str = "OPTIONS", **headers: str) -> HttpCall:
    return HttpCall(
        method, "/", {name.replace("_", "-"): value for name, value in headers.items()}, b"", "id", "http", "", 80
    )


def asking(**headers: str) -> HttpCall:
    return call(**{"origin": PAGE, "access_control_request_method": "PUT", **headers})


def test_other_requests_are_the_functions() -> None:
    cors = Cors(allow_origins=("*",))
    assert preflight(None, asking()) is None
    assert preflight(cors, call()) is None
    assert preflight(cors, call(origin=PAGE)) is None
    assert preflight(cors, call("GET", origin=PAGE, access_control_request_method="PUT")) is None


def test_an_allowed_page() -> None:
    cors = Cors(True, ("x-a", "x-b"), ("PUT", "GET"), (PAGE,), ("x-c",), 60)
    answer = preflight(cors, asking(access_control_request_headers="x-a"))
    assert answer is not None
    assert (answer.status, answer.body) == (200, b"")
    assert dict(answer.headers) == {
        "Access-Control-Allow-Origin": PAGE,
        "Access-Control-Allow-Credentials": "true",
        "Vary": "Origin",
        "Access-Control-Allow-Methods": "PUT, GET",
        "Access-Control-Allow-Headers": "x-a, x-b",
        "Access-Control-Max-Age": "60",
    }
    assert dict(with_cors(cors, call("GET", origin=PAGE), ())) == {
        "Access-Control-Allow-Origin": PAGE,
        "Access-Control-Allow-Credentials": "true",
        "Vary": "Origin",
        "Access-Control-Expose-Headers": "x-c",
    }


@pytest.mark.parametrize("origins", [None, (), ("https://other.example",), ("http://app.example",)])
def test_another_page_is_told_nothing(origins: tuple[str, ...] | None) -> None:
    cors = Cors(allow_origins=origins, allow_methods=("*",))
    answer = preflight(cors, asking())
    assert answer is not None
    assert (answer.status, answer.headers) == (200, ())
    own = (("Access-Control-Allow-Origin", "*"), ("X", "y"))
    assert with_cors(cors, call("GET", origin=PAGE), own) == (("X", "y"),)


def test_everybody() -> None:
    cors = Cors(allow_headers=("*",), allow_methods=("*",), allow_origins=("*",))
    answer = preflight(cors, asking(access_control_request_headers="x-a"))
    assert answer is not None
    assert dict(answer.headers) == {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "*",
        "Access-Control-Allow-Headers": "*",
    }
    with_credentials = Cors(True, ("*",), ("*",), ("*",))
    answer = preflight(with_credentials, asking(access_control_request_headers="x-a"))
    assert answer is not None
    assert dict(answer.headers) == {
        "Access-Control-Allow-Origin": PAGE,
        "Access-Control-Allow-Credentials": "true",
        "Vary": "Origin",
        "Access-Control-Allow-Methods": "PUT",
        "Access-Control-Allow-Headers": "x-a",
    }


def test_pages_below_a_name() -> None:
    cors = Cors(allow_origins=("https://*.example",))
    assert dict(with_cors(cors, call("GET", origin=PAGE), ())) == {
        "Access-Control-Allow-Origin": PAGE,
        "Vary": "Origin",
    }


def test_without_configuration_the_function_says_it() -> None:
    own = (("Access-Control-Allow-Origin", "*"),)
    assert with_cors(None, call("GET", origin=PAGE), own) == own
    assert with_cors(Cors(allow_origins=("*",)), call("GET"), own) == own
