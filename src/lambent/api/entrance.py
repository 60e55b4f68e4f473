"""Who may knock at all: a web page must not reach this installation, by its own name or by another one's."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from lambent.api.messages import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lambent.api.messages import HttpRequest

_KNOWN_HOSTS_MAX = 1_024
_PREFLIGHT_SECONDS = "600"
# AWS's own names lead here from inside functions; nobody but AWS can let them lead a browser here.
_OWN_SUFFIXES = (".localhost", ".amazonaws.com", ".amazonaws.com.cn")


class Entrance:
    """Checks Host, Origin and Sec-Fetch-Site. Scope: process; immutable but for a bounded memory of good hosts.

    `hosts` and `origins` are the settings api.hosts (names without port, `.name` for all names below it) and
    api.origins (`https://name[:port]`).
    """

    def __init__(self, hosts: Iterable[str], origins: Iterable[str]) -> None:
        names = [name.lower() for name in hosts]
        self._hosts = frozenset(name for name in names if not name.startswith("."))
        self._suffixes = tuple(name for name in names if name.startswith("."))
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)
        self._good: set[tuple[str, str]] = set()

    def refusal(self, request: HttpRequest) -> str | None:
        """Return why a request is not let in (403), or None."""
        return self.host_refusal(request) or self._page_refusal(request)

    def host_refusal(self, request: HttpRequest) -> str | None:
        """Return why a request is not let in by its host (403), or None: all that is asked of function URLs."""
        host = request.headers.get("host", "")
        if (host, request.peer.local_host) not in self._good and not self._is_host_ours(host, request):
            return f"Host '{host[:200]}' is not this installation's; list it in api.hosts"
        return None

    def _page_refusal(self, request: HttpRequest) -> str | None:
        headers = request.headers
        origin = headers.get("origin")
        if origin is not None:
            if origin.lower() not in self._origins:
                return f"Origin '{origin[:200]}' may not call this installation; list it in api.origins"
        elif headers.get("sec-fetch-site", "").lower() == "cross-site":
            return "Requests from other sites' pages are refused"
        return None

    def preflight(self, request: HttpRequest) -> HttpResponse | None:
        """Return the answer to a listed origin's question what it may send, or None if it is another request."""
        headers = request.headers
        if request.method != "OPTIONS" or "origin" not in headers or "access-control-request-method" not in headers:
            return None
        return HttpResponse(
            204,
            (
                ("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE"),
                ("Access-Control-Allow-Headers", headers.get("access-control-request-headers", "*")),
                ("Access-Control-Max-Age", _PREFLIGHT_SECONDS),
                *self.permission(request),
            ),
        )

    def permission(self, request: HttpRequest) -> tuple[tuple[str, str], ...]:
        """Return the headers that let a listed origin's page read an answer."""
        origin = request.headers.get("origin")
        if origin is None or origin.lower() not in self._origins:
            return ()
        return (
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Expose-Headers", "*"),
            ("Vary", "Origin"),
        )

    def _is_host_ours(self, host: str, request: HttpRequest) -> bool:
        if not host and request.is_http_10:
            return True
        name = _without_port(host.lower())
        is_ours = name in self._hosts or name == "localhost" or name.endswith((*_OWN_SUFFIXES, *self._suffixes))
        is_ours = is_ours or _is_own_address(name, request.peer.local_host)
        if is_ours and len(self._good) < _KNOWN_HOSTS_MAX:
            self._good.add((host, request.peer.local_host))
        return is_ours


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    if host.startswith("["):
        return host[1 : host.find("]")] if "]" in host else ""
    return name if colon and port.isascii() and port.isdigit() else host


def _is_own_address(name: str, local_host: str) -> bool:
    # A number cannot be rebound to another address as a name can: the address the client really reached is ours.
    try:
        address = ipaddress.ip_address(name)
        return address.is_loopback or address == ipaddress.ip_address(local_host)
    except ValueError:
        return False
