"""Function URLs: how a function is reached over plain HTTP."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cors:
    """`Cors` of a function URL; members that were not given are None. `max_age_seconds` 0 to 86,400."""

    allow_credentials: bool | None = None
    allow_headers: tuple[str, ...] | None = None
    allow_methods: tuple[str, ...] | None = None
    allow_origins: tuple[str, ...] | None = None
    expose_headers: tuple[str, ...] | None = None
    max_age_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class FunctionUrlConfig:
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
