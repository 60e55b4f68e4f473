"""Our own operations below /_lambent/: from the planes' plain answers to the door's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from lambent.api import FileBody, HttpResponse, LocalRequest, LocalRoute
from lambent.events import EventCall

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from lambent.events import AsyncPlane
    from lambent.functions import ControlPlane
    from lambent.images import ImageAnswer, ImageRequest
    from lambent.model.caller import Caller
    from lambent.observability import Answer

    Respond = Callable[[LocalRequest], Coroutine[None, None, HttpResponse]]

_JSON = (("Content-Type", "application/json"),)


def health_route(
    is_ready: Callable[[], bool], version: Callable[[], str], neighbours: Callable[[], Mapping[str, object]]
) -> LocalRoute:
    """Return the route of health: 200 when ready, 503 before."""

    async def respond(_request: LocalRequest) -> HttpResponse:
        body = {
            "status": "ready" if is_ready() else "starting",
            "version": version(),
            "neighbours": neighbours(),
        }
        return HttpResponse(200 if is_ready() else 503, _JSON, json.dumps(body).encode())

    return LocalRoute("GET", "/_lambent/health", respond, is_public=True)


def status_route(status: Callable[[], Mapping[str, object]]) -> LocalRoute:
    """Return the route of what the machine gives and what runs on it."""

    async def respond(_request: LocalRequest) -> HttpResponse:
        return HttpResponse(200, _JSON, json.dumps(status()).encode())

    return LocalRoute("GET", "/_lambent/v1/status", respond)


def refusals_route(refusals: Callable[[str], list[dict[str, object]]]) -> LocalRoute:
    """Return the route of calls by other services that no permission allows; `refusals` gives those of an account."""

    async def respond(request: LocalRequest) -> HttpResponse:
        assert request.caller is not None
        return HttpResponse(200, _JSON, json.dumps({"refusals": refusals(request.caller.account_id)}).encode())

    return LocalRoute("GET", "/_lambent/v1/triggers/refusals", respond)


def response_route(deliver: Callable[[str, bytes], Awaitable[int]]) -> LocalRoute:
    """Return the route by which functions answer for custom resources; who knows the token may."""

    async def respond(request: LocalRequest) -> HttpResponse:
        return HttpResponse(await deliver(request.parameters["token"], request.body))

    return LocalRoute("PUT", "/_lambent/v1/stacks/responses/{token}", respond, is_public=True)


def code_route(control_plane: ControlPlane) -> LocalRoute:
    """Return the route that downloads packages by signed URLs."""

    async def respond(request: LocalRequest) -> HttpResponse:
        download = await control_plane.open_code(request.parameters["sha256"], _first_values(request))
        headers = (
            ("Content-Type", "application/zip"),
            ("Content-Disposition", f'attachment; filename="{download.file_name}"'),
        )
        return HttpResponse(200, headers, download.blocks or FileBody(Path(download.path), download.size_bytes))

    return LocalRoute("GET", "/_lambent/v1/code/{sha256}", respond, is_public=True)


def image_route(operation: Callable[[ImageRequest], Awaitable[ImageAnswer]]) -> Respond:
    """Return what answers with an operation on images and roots."""

    async def respond(request: LocalRequest) -> HttpResponse:
        from lambent.images import ImageRequest

        answer = await operation(ImageRequest({**_first_values(request), **request.parameters}, request.body))
        return HttpResponse(200, tuple(answer.headers.items()), answer.body)

    return respond


def answer_route(operation: Callable[[Caller, Mapping[str, str]], Awaitable[Answer]]) -> Respond:
    """Return what answers with an operation that makes its own answers."""

    async def respond(request: LocalRequest) -> HttpResponse:
        assert request.caller is not None
        answer = await operation(request.caller, _first_values(request))
        return HttpResponse(answer.status, tuple(answer.headers.items()), answer.body)

    return respond


def event_routes(plane: AsyncPlane) -> list[LocalRoute]:
    """Return the routes of the queue of events: its operations, and its figures."""
    return [
        *(LocalRoute(method, path, _event_route(work)) for method, path, work in plane.routes()),
        LocalRoute("GET", "/_lambent/metrics", _exposition_route(plane.exposition.text), is_public=True),
    ]


def _event_route(operation: Callable[[EventCall], Awaitable[object]]) -> Respond:
    """Return what answers with an operation on events: its value as JSON."""

    async def respond(request: LocalRequest) -> HttpResponse:
        assert request.caller is not None
        call = EventCall(request.caller, request.parameters, _first_values(request), request.body)
        answer = await operation(call)
        return HttpResponse(200, _JSON, json.dumps(answer).encode())

    return respond


def _exposition_route(text: Callable[[], Awaitable[str]]) -> Respond:
    """Return what Prometheus reads. It can sign nothing, and hears of nobody's functions."""

    async def respond(_request: LocalRequest) -> HttpResponse:
        headers = (("Content-Type", "text/plain; version=0.0.4; charset=utf-8"),)
        return HttpResponse(200, headers, (await text()).encode())

    return respond


def url_hosts(base_url: str) -> tuple[str, ...]:
    """Return the host of function URLs and all below it, as api.hosts has them."""
    host = base_url.partition("//")[2].partition("/")[0].partition(":")[0]
    return (f".{host}",) if host else ()


def _first_values(request: LocalRequest) -> dict[str, str]:
    return {name: values[0] for name, values in request.query.items()}
