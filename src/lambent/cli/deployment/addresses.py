"""Where an API that a stack names by AWS's address answers here."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_API = re.compile(r"https://([0-9a-z]+)\.execute-api\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?(/\S*)?")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def address_here(value: str, endpoint_url: str) -> str | None:
    """Return the address on this machine of an API's address on AWS; None for any other text, or a server elsewhere.

    Inside functions AWS's address leads here as well; outside they have names below localhost, or below a name of
    `api.hosts` that DNS knows.
    """
    found = _API.fullmatch(value)
    server = urlsplit(endpoint_url)
    if found is None or server.hostname not in _LOOPBACK:
        return None
    port = "" if server.port is None else f":{server.port}"
    return f"{server.scheme}://{found[1]}.execute-api.localhost{port}{found[2] or '/'}"
