"""Function URLs: how a function is reached over plain HTTP."""

from __future__ import annotations

import contextlib
import ipaddress

from msgspec import Struct


class Cors(Struct, frozen=True):
    """`Cors` of a function URL; members that were not given are None. `max_age_seconds` 0 to 86,400."""

    allow_credentials: bool | None = None
    allow_headers: tuple[str, ...] | None = None
    allow_methods: tuple[str, ...] | None = None
    allow_origins: tuple[str, ...] | None = None
    expose_headers: tuple[str, ...] | None = None
    max_age_seconds: int | None = None


class FunctionUrlConfig(Struct, frozen=True):
    """The URL of a function (`qualifier` "") or alias. `url_id`: its host's first label, 32 letters and digits.

    `invoke_mode` None: nobody said; BUFFERED applies. Times in ms since the Unix epoch.
    """

    account_id: str
    region: str
    name: str
    qualifier: str
    revision_id: str
    url_id: str
    auth_type: str
    created_ms: int
    last_modified_ms: int
    cors: Cors | None = None
    invoke_mode: str | None = None


def host_of(url_id: str, region: str, endpoint: str) -> str:
    """Return the host (and port) of a URL at an endpoint, given by its `HOST` or `HOST:PORT`.

    Names under localhost lead to this machine everywhere; an address cannot have names below it.
    """
    name, _, port = endpoint.partition("]")[2].partition(":") if endpoint.startswith("[") else endpoint.partition(":")
    name = endpoint[1 : endpoint.find("]")] if endpoint.startswith("[") else name
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(name)
        name = "localhost"
    return f"{url_id}.lambda-url.{region}.{name or 'localhost'}{':' if port else ''}{port}"
