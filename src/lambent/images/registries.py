"""Which registry answers for a name, and with which credentials. Nothing is asked that no setting names."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from lambent.wire.http_client import Origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lambent.images.references import ImageReference

_log = logging.getLogger(__name__)

_CREDENTIALS_BYTES_MAX = 1 << 20
# What Docker's own tools call the registry of images without one.
_DOCKER_HUB = ("docker.io", "index.docker.io", "https://index.docker.io/v1/", "registry-1.docker.io")
_DOCKER_HUB_HOST = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class Login:
    """User and password of a registry, or a token that stands for both."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of a basic Authorization header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


class Place(Struct, frozen=True):
    """Where a reference is asked for. `prefix` stands before the repository there ("" or "mirror/")."""

    origin: Origin
    prefix: str = ""
    login: Login | None = None


class RegistryTable(Struct, frozen=True):
    """The settings images.registries and images.credentials.

    An entry is NAME=URL: references of that registry (`*` stands for any text) are asked for at that URL, whose path
    stands before the repository and whose user and password are its credentials; or a NAME alone, which answers for
    itself over TLS, over plain HTTP if it is this machine's loopback. The first entry that fits counts.
    """

    entries: tuple[str, ...] = ()
    credentials_file: Path | None = None

    def place_of(self, reference: ImageReference) -> Place | None:
        """Return where to ask for a reference; None: nowhere. Reads the credentials' file. Blocks shortly."""
        for entry in self.entries:
            name, equals, url = entry.partition("=")
            if not _fits(name, reference.registry):
                continue
            place = _placed(url) if equals else _itself(reference.registry)
            if place is None or place.login is not None:
                return place
            logins = self._logins()
            asked = _host_text(place.origin)
            login = logins.get(reference.registry) or logins.get(asked)
            return Place(place.origin, place.prefix, login)
        return None

    def _logins(self) -> Mapping[str, Login]:
        if self.credentials_file is None:
            return {}
        try:
            with self.credentials_file.open("rb") as file:
                return read_logins(file.read(_CREDENTIALS_BYTES_MAX))
        except OSError as error:
            _log.warning("images.credentials: %s cannot be read: %s", self.credentials_file, error.strerror)
        except ValueError as error:
            _log.warning("images.credentials: %s is not usable: %s", self.credentials_file, error)
        return {}


def check_registry(text: str) -> None:
    """Check one entry of images.registries. Raises ValueError."""
    name, equals, url = text.partition("=")
    if not re.fullmatch(r"[A-Za-z0-9.*:\[\]-]+", name) or (equals and _placed(url) is None):
        raise ValueError(text)


def read_logins(content: bytes) -> dict[str, Login]:
    """Return registry → login of a file as Docker's tools write it (`auths`). Raises ValueError.

    Programs that keep credentials (credHelpers, credsStore) are not run.
    """
    document = json.loads(content)
    auths = document.get("auths") if isinstance(document, dict) else None
    if not isinstance(auths, dict):
        raise ValueError("there is no object auths")
    logins: dict[str, Login] = {}
    for name, entry in auths.items():
        if isinstance(entry, dict):
            for each in _DOCKER_HUB if name in _DOCKER_HUB else (_bare(name),):
                logins[each] = _login(entry)
    return logins


def _login(entry: Mapping[str, object]) -> Login:
    user, password = entry.get("username"), entry.get("password")
    encoded, token = entry.get("auth"), entry.get("identitytoken")
    if isinstance(encoded, str) and encoded:
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ValueError("an entry's auth is not base64") from error
    return Login(
        user if isinstance(user, str) else "",
        password.rstrip("\0") if isinstance(password, str) else "",
        token if isinstance(token, str) else "",
    )


def _fits(pattern: str, registry: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.lower().split("*"))), registry) is not None


def _itself(registry: str) -> Place | None:
    host = _DOCKER_HUB_HOST if registry == "docker.io" else registry
    return _placed(f"{'http' if is_loopback(urlsplit('//' + host).hostname or '') else 'https'}://{host}")


def _placed(url: str) -> Place | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        return None
    origin = Origin(parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80))
    prefix = parts.path.strip("/")
    login = Login(unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    return Place(origin, f"{prefix}/" if prefix else "", login)


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's loopback."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host_text(origin: Origin) -> str:
    is_default = origin.port == (443 if origin.scheme == "https" else 80)
    return origin.host if is_default else f"{origin.host}:{origin.port}"


def _bare(name: str) -> str:
    return name.removeprefix("https://").removeprefix("http://").partition("/")[0].lower()


def fitting(entries: Iterable[str], registry: str) -> bool:
    """Whether some entry is for a registry."""
    return any(_fits(entry.partition("=")[0], registry) for entry in entries)
