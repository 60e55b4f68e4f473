"""Builds the API door from plain values; app.py calls this once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct, field

from lambent.api.authentication import AuthenticationMode, AuthenticationOptions, Authenticator
from lambent.api.control import BodyOptions, ControlDoor
from lambent.api.door import ApiDoor, DoorParts
from lambent.api.elsewhere import ElsewhereDoor
from lambent.api.entrance import Entrance
from lambent.api.errors import ErrorAnswers
from lambent.api.invoke import InvokeDoor, nobody
from lambent.api.local_routes import LocalRoutes
from lambent.api.messages import HttpLimits
from lambent.api.quotas import QuotaDoor
from lambent.api.server import ApiServer
from lambent.api.streams.invoke_stream import InvokeStreamDoor
from lambent.wire.api_description import ApiDescription

if TYPE_CHECKING:
    import logging
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from lambent.api.authentication import FindCredentials
    from lambent.api.control import ControlPlane
    from lambent.api.door import FunctionUrls
    from lambent.api.elsewhere import Forwards
    from lambent.api.invoke import Allows, Invokes, TakesEvents
    from lambent.api.local_routes import LocalRoute
    from lambent.api.quotas import Quotas
    from lambent.api.served.door import ServedDoor
    from lambent.api.served.git import GitDoor
    from lambent.clock import Clock


class ApiOptions(NamedTuple):
    """Plain values: settings auth.*, account.*, api.*, and where large bodies wait (a directory that exists)."""

    auth_mode: str
    default_account_id: str
    default_region: str
    spool_directory: Path
    clock_skew_seconds: int = 300
    origins: Sequence[str] = ()
    hosts: Sequence[str] = ()
    body_memory_bytes_max: int = 262_144
    slow_client_seconds: float = 30.0
    idle_seconds: float = 300.0


class ApiParts(Struct, frozen=True):
    """The neighbours: see invoke.Invokes, operations.OPERATIONS, authentication.FindCredentials.

    `workers` decode large bodies (a process pool); `random_bytes` is os.urandom or a fake. `neighbours` take what is
    for other services; without them it is refused. `events` take Invoke of type Event. `planes`: room → object,
    beside the control plane.
    `services`: what returns the operations of other services that are served here, by those services' names.
    `repositories(request)` answers git; see served/git.py.
    `allows(principal_arn, account_id, action, arn)`: whether a resource policy lets another account's identity.
    """

    control_plane: ControlPlane
    invoker: Invokes
    find_credentials: FindCredentials
    workers: Executor
    clock: Clock
    random_bytes: Callable[[int], bytes]
    log: logging.Logger
    local_routes: Sequence[LocalRoute] = ()
    quotas: Quotas | None = None
    neighbours: Forwards | None = None
    planes: Mapping[str, object] = field(default_factory=dict)
    allows: Allows = nobody
    function_urls: FunctionUrls | None = None
    events: TakesEvents | None = None
    services: Mapping[str, Callable[[], object]] = field(default_factory=dict)
    repositories: Callable[[Any], Awaitable[Any]] | None = None


def build_server(options: ApiOptions, parts: ApiParts) -> ApiServer:
    """Return the server; nothing listens yet."""
    description = ApiDescription()
    authentication = AuthenticationOptions(
        AuthenticationMode(options.auth_mode),
        options.default_account_id,
        options.default_region,
        options.clock_skew_seconds,
    )
    quota_routes = QuotaDoor(parts.quotas).routes() if parts.quotas is not None else []
    bodies = BodyOptions(options.body_memory_bytes_max, options.spool_directory, parts.workers)
    door = ApiDoor(
        DoorParts(
            description=description,
            entrance=Entrance(options.hosts, options.origins),
            authenticator=Authenticator(authentication, parts.find_credentials, parts.clock),
            invoke=InvokeDoor(parts.invoker, description, parts.allows, events=parts.events),
            invoke_stream=InvokeStreamDoor(parts.invoker, description, parts.allows),
            control=ControlDoor(parts.control_plane, bodies, parts.planes),
            local=LocalRoutes([*parts.local_routes, *quota_routes]),
            errors=ErrorAnswers(description, parts.log),
            elsewhere=ElsewhereDoor(
                parts.neighbours,
                is_verifying=authentication.mode is AuthenticationMode.VERIFY,
                log=parts.log,
                services={name: _service_door(name, one) for name, one in parts.services.items()},
            ),
            function_urls=parts.function_urls,
            git=_git_door(options, parts),
        ),
        parts.clock,
        parts.random_bytes,
    )
    limits = HttpLimits(slow_client_seconds=options.slow_client_seconds, idle_seconds=options.idle_seconds)
    return ApiServer(door, parts.log, limits)


def _git_door(options: ApiOptions, parts: ApiParts) -> Callable[[], GitDoor] | None:
    serve = parts.repositories
    if serve is None:
        return None

    def made() -> GitDoor:
        from lambent.api.served.git import GitDoor, GitOptions

        return GitDoor(
            GitOptions(
                options.auth_mode == AuthenticationMode.VERIFY,
                options.default_account_id,
                options.default_region,
                options.clock_skew_seconds,
                options.spool_directory,
                parts.find_credentials,
            ),
            serve,
            parts.clock,
        )

    return made


def _service_door(name: str, operations: Callable[[], object]) -> ServedDoor:
    # Imported where it is used: every start counts.
    from importlib import import_module

    from lambent.api.served.door import ServedDoor
    from lambent.wire.others.description import ServedDescription

    return ServedDoor(lambda: ServedDescription(import_module(f"lambent.wire.generated.{name}_service")), operations)
