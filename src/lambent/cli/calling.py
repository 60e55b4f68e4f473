"""A signed call of one of the server's own operations, from a command."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import ssl
import urllib.parse
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from lambent.cli.failure import CommandError
from lambent.clock import SystemClock
from lambent.settings import read_client_environment
from lambent.wire.sigv4 import SignedRequest, SigningCredentials, sign

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

_CONNECT_SECONDS = 10


class Extras(NamedTuple):
    """More about a call: headers in lower case, which are signed, when its answer has to begin, whose it is."""

    headers: Mapping[str, str] = MappingProxyType({})
    answer_seconds: float = _CONNECT_SECONDS
    service: str = "lambda"


_NO_EXTRAS = Extras()


@contextlib.contextmanager
def called(
    parsed: argparse.Namespace,
    path: str,
    *,
    parameters: Mapping[str, str] | None = None,
    method: str = "GET",
    body: bytes = b"",
    extras: Extras = _NO_EXTRAS,
) -> Iterator[http.client.HTTPResponse]:
    """Call the server that `--endpoint-url` and `--region` or the environment name; yield its answer, a success.

    Its body may come for as long as it likes.

    Raises:
        CommandError: the server cannot be reached or refuses.
    """
    query = urllib.parse.urlencode(sorted((parameters or {}).items()), quote_via=urllib.parse.quote)
    around = read_client_environment()
    url = urllib.parse.urlsplit(parsed.endpoint_url or around.endpoint_url)
    credentials = SigningCredentials(around.access_key_id, around.secret_access_key, around.session_token)
    unsigned = SignedRequest(method, path, query, {"host": url.netloc, **extras.headers})
    scope = (parsed.region or around.region, extras.service)
    headers = sign(unsigned, hashlib.sha256(body).hexdigest(), credentials, scope, SystemClock().time_ms())
    connection = _connect(url)
    try:
        connection.connect()
        connection.sock.settimeout(extras.answer_seconds)
        target = f"{path}?{query}" if query else path
        connection.request(method, target, body=body or None, headers={**extras.headers, **headers})
        answer = connection.getresponse()
        if not 200 <= answer.status < 300:
            raise CommandError(_refusal(answer.status, answer.read()))
        if connection.sock is not None:
            connection.sock.settimeout(None)
        yield answer
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise CommandError(f"no answer from {url.geturl()}: {error}.") from error
    finally:
        connection.close()


def _connect(url: urllib.parse.SplitResult) -> http.client.HTTPConnection:
    if url.scheme not in ("http", "https") or not url.hostname:
        raise CommandError(f"{url.geturl()!r} is no http or https URL.")
    if url.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(url.hostname, url.port or 443, timeout=_CONNECT_SECONDS, context=context)
    return http.client.HTTPConnection(url.hostname, url.port or 80, timeout=_CONNECT_SECONDS)


def _refusal(status: int, body: bytes) -> str:
    try:
        members = json.loads(body)
        text = members.get("Message") or members.get("message") or body.decode(errors="replace")
    except (ValueError, AttributeError):
        text = body.decode(errors="replace")
    return f"the server answered {status}: {text}"
