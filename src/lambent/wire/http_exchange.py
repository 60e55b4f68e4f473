"""One HTTP request and its answer as values, for doors that stand behind the API door's connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping


class BrokenStreamError(Exception):
    """A stream being sent ends here, unfinished, and whose fault that is has been said: the connection ends with it."""


class HttpCaller(NamedTuple):
    """Whose signature a request carries."""

    account_id: str
    principal_arn: str
    access_key_id: str


class HttpCall(NamedTuple):
    """A request. `target` as received (percent-encoded); header names lower case, repeated ones joined by commas.

    `source_ip` and `port` are those of the connection: the client's address, and our port that it reached.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    request_id: str
    scheme: str
    source_ip: str
    port: int
    protocol: str = "HTTP/1.1"


class HttpAnswer(NamedTuple):
    """An answer. A body that is an iterator is sent as it yields, and closed (`aclose`) when the client goes away."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | AsyncIterator[bytes] = b""
