"""Operations of our own, below /_lambent/: a table given by constructor."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from lambent.api.messages import HttpResponse
    from lambent.model.caller import Caller

PREFIX = "/_lambent/"


class LocalRequest(NamedTuple):
    """A request to one of our own operations. `caller` is None on a public route. Header names are lower case."""

    method: str
    path: str
    parameters: Mapping[str, str]
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    caller: Caller | None


class LocalRoute(NamedTuple):
    """One operation. `path` is a pattern: `{name}` stands for one segment, a last `{name+}` for all that follow.

    A public route is answered without authentication. `respond` may raise LambdaError.
    """

    method: str
    path: str
    respond: Callable[[LocalRequest], Awaitable[HttpResponse]]
    is_public: bool = False


class LocalRoutes:
    """Finds routes. Scope: process; immutable."""

    def __init__(self, routes: Iterable[LocalRoute]) -> None:
        self._routes = [(_segments(route.path), route) for route in routes]
        assert all(route.path.startswith(PREFIX) for _, route in self._routes)

    def match(self, method: str, path: str) -> tuple[LocalRoute, dict[str, str]] | None:
        """Return the route and its path parameters, decoded, or None. HEAD is answered by GET's route."""
        wanted = "GET" if method == "HEAD" else method
        segments = _segments(path)
        for pattern, route in self._routes:
            if route.method == wanted:
                parameters = _match(pattern, segments)
                if parameters is not None:
                    return route, parameters
        return None


def _segments(path: str) -> list[str]:
    return path.strip("/").split("/")


def _match(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    parameters: dict[str, str] = {}
    for index, expected in enumerate(pattern):
        if expected.endswith("+}"):
            rest = "/".join(segments[index:])
            if not rest:
                return None
            return {**parameters, expected[1:-2]: unquote(rest)}
        if index >= len(segments):
            return None
        if expected.startswith("{"):
            if not segments[index]:
                return None
            parameters[expected[1:-1]] = unquote(segments[index])
        elif expected != segments[index]:
            return None
    return parameters if len(pattern) == len(segments) else None
