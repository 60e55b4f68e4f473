"""Where each service answers: the endpoint that a setting names, or the embedded child."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from lambent.wire.addressing import NEIGHBOURS
from lambent.wire.client import Place
from lambent.wire.error_forms import NeighbourError
from lambent.wire.http_client import Origin
from lambent.wire.sigv4 import SigningCredentials

if TYPE_CHECKING:
    from lambent.settings import NeighbourSettings, NeighboursSettings

_KNOWN = frozenset(NEIGHBOURS)
# Who is not set by itself answers where another does, as the real ones do.
_TOGETHER = {"dynamodbstreams": "dynamodb"}


class Child(Protocol):
    """What answers every service that has no endpoint of its own. `password` proves to it who asks."""

    password: str

    @property
    def is_installed(self) -> bool:
        """Whether there is anything to start."""

    async def wait_ready(self) -> Origin:
        """Return where it answers, started if it does not run. Raises NeighbourError when it cannot."""


class Endpoints:
    """Finds places. Scope: process; immutable. `child` None: nothing is embedded."""

    def __init__(self, settings: NeighboursSettings, child: Child | None) -> None:
        self._child = child
        self._places = {name: _place(name, one) for name, one in settings.services.items() if one.endpoint}

    async def place(self, asked: str) -> Place:
        """Return where a service answers; starts the child when that is the answer.

        Raises:
            NeighbourError: nobody answers this service here; the text names the setting (501). Or the child cannot
                be started (503).
        """
        place = self._places.get(asked) or self._places.get(_TOGETHER.get(asked, ""))
        if place is not None:
            return place
        setting = f"neighbours.{asked[:64]}.endpoint"
        if asked not in _KNOWN:
            raise _absent(
                f"The service '{asked[:64]}' is not among the embedded ones: set {setting} to where it answers."
            )
        if self._child is None:
            raise _absent(
                f"The service '{asked}' is not available: the embedded services are switched off "
                f"(neighbours.enabled=false) and {setting} is not set."
            )
        origin = await self._child.wait_ready()
        host = f"{origin.host}:{origin.port}"
        return Place(origin, host, setting, is_embedded=True, password=self._child.password)

    def is_configured(self, asked: str) -> bool:
        """Whether a setting names where a service answers."""
        return asked in self._places

    def has(self, asked: str) -> bool:
        """Whether somebody would answer a service."""
        return asked in self._places or (self._child is not None and self._child.is_installed and asked in _KNOWN)


def unknown_names(settings: NeighboursSettings) -> tuple[str, ...]:
    """Return a sentence for each configured name that no service we know has; it may still be one."""
    said = []
    for name in sorted(set(settings.services) - _KNOWN):
        near = difflib.get_close_matches(name, NEIGHBOURS, n=1, cutoff=0.6)
        guess = f"; did you mean neighbours.{near[0]}?" if near else ""
        said.append(f"neighbours.{name}.endpoint: no service of this name is known here{guess}")
    return tuple(said)


def _place(name: str, settings: NeighbourSettings) -> Place:
    url = urlsplit(settings.endpoint)
    assert url.hostname is not None
    credentials = None
    if settings.access_key_id:
        credentials = SigningCredentials(settings.access_key_id, settings.secret_access_key)
    origin = Origin(url.scheme, url.hostname, url.port or (443 if url.scheme == "https" else 80))
    setting = f"neighbours.{name}.endpoint"
    return Place(origin, url.netloc, setting, url.path.rstrip("/"), credentials, settings.region)


def _absent(text: str) -> NeighbourError:
    return NeighbourError("NotImplementedException", text, 501)
