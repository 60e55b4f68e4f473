"""Cross-origin resource sharing of a function URL: which pages' requests a browser may make and read.

Source: developer guide, "Configuring CORS"; Fetch standard, "CORS protocol". What the configuration says goes before
what the function says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.model.configs.policy_conditions import is_like
from lambent.wire.http_exchange import HttpAnswer

if TYPE_CHECKING:
    from lambent.model.configs.function_url import Cors
    from lambent.wire.http_exchange import HttpCall

Headers = tuple[tuple[str, str], ...]
_PREFIX = "access-control-"


def preflight(cors: Cors | None, call: HttpCall) -> HttpAnswer | None:
    """Return the answer to a browser's question what it may send, None for another request or without configuration."""
    headers = call.headers
    if cors is None or call.method != "OPTIONS" or "origin" not in headers:
        return None
    wanted = headers.get("access-control-request-method")
    if wanted is None:
        return None
    allowed = _origin(cors, headers["origin"])
    if not allowed:
        return HttpAnswer(200)
    lines = [*allowed, ("Access-Control-Allow-Methods", _listed(cors.allow_methods, wanted, cors))]
    asked = headers.get("access-control-request-headers")
    if asked is not None and cors.allow_headers:
        lines.append(("Access-Control-Allow-Headers", _listed(cors.allow_headers, asked, cors)))
    if cors.max_age_seconds is not None:
        lines.append(("Access-Control-Max-Age", str(cors.max_age_seconds)))
    return HttpAnswer(200, tuple(line for line in lines if line[1]))


def with_cors(cors: Cors | None, call: HttpCall, headers: Headers) -> Headers:
    """Return an answer's headers with those that let the asking page read it, if the configuration does."""
    if cors is None or "origin" not in call.headers:
        return headers
    own = tuple(line for line in headers if not line[0].lower().startswith(_PREFIX))
    allowed = _origin(cors, call.headers["origin"])
    if allowed and cors.expose_headers:
        allowed = (*allowed, ("Access-Control-Expose-Headers", ", ".join(cors.expose_headers)))
    return (*own, *allowed)


def _origin(cors: Cors, origin: str) -> Headers:
    patterns = cors.allow_origins or ()
    if not any(is_like(pattern.lower(), origin.lower()) for pattern in patterns):
        return ()
    if cors.allow_credentials:
        lines: Headers = (("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Credentials", "true"))
    else:
        lines = (("Access-Control-Allow-Origin", "*" if "*" in patterns else origin),)
    return lines if lines[0][1] == "*" else (*lines, ("Vary", "Origin"))


def _listed(allowed: tuple[str, ...] | None, asked: str, cors: Cors) -> str:
    # With credentials a browser takes the star for a name.
    if allowed and "*" in allowed:
        return asked if cors.allow_credentials else "*"
    return ", ".join(allowed or ())
