"""Where a registry may send us."""

from __future__ import annotations

import pytest

from lambent.images.registry import moved
from lambent.wire.http_client import ConnectionFailedError, Origin

TLS = Origin("https", "registry.example", 443)
PLAIN = Origin("http", "127.0.0.1", 5000)


@pytest.mark.parametrize(
    ("origin", "location", "there"),
    [
        (TLS, "/v2/x?a=b", (TLS, "/v2/x?a=b")),
        (TLS, "https://storage.example/blob?sig=%2F+x", (Origin("https", "storage.example", 443), "/blob?sig=%2F+x")),
        (PLAIN, "http://127.0.0.1:5001/x", (Origin("http", "127.0.0.1", 5001), "/x")),
        (PLAIN, "http://registry.internal/x y", (Origin("http", "registry.internal", 80), "/x%20y")),
    ],
)
def test_where_it_leads(origin: Origin, location: str, there: tuple[Origin, str]) -> None:
    assert moved(origin, "/v2/", location) == there


@pytest.mark.parametrize(
    ("origin", "location"),
    [
        (TLS, "http://registry.example/x"),
        (TLS, "http://127.0.0.1:4566/x"),
        (TLS, "http://localhost/x"),
        (TLS, "file:///etc/passwd"),
        (TLS, "https://:443/x"),
        (PLAIN, "ftp://127.0.0.1/x"),
    ],
)
def test_where_nobody_follows(origin: Origin, location: str) -> None:
    with pytest.raises(ConnectionFailedError):
        moved(origin, "/v2/", location)
