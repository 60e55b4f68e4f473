"""`lambent logs NAME [--follow] [--since]`: reads GET /_lambent/v1/logs, signed like any call."""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
import urllib.parse
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lambent.cli.failure import CommandError
from lambent.clock import SystemClock
from lambent.settings import read_client_environment
from lambent.wire.sigv4 import SignedRequest, SigningCredentials, sign

if TYPE_CHECKING:
    import argparse

_PATH = "/_lambent/v1/logs"
_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_CONNECT_SECONDS = 10


def print_logs(parsed: argparse.Namespace) -> int:
    """Print the function's lines, oldest first, each with its time; return 0.

    Raises:
        CommandError: the server cannot be reached or refuses.
    """
    parameters = {"function": parsed.name}
    if parsed.since:
        parameters["since"] = parsed.since
    if parsed.follow:
        parameters["follow"] = "true"
    query = urllib.parse.urlencode(sorted(parameters.items()), quote_via=urllib.parse.quote)
    around = read_client_environment()
    url = urllib.parse.urlsplit(parsed.endpoint_url or around.endpoint_url)
    credentials = SigningCredentials(around.access_key_id, around.secret_access_key, around.session_token)
    unsigned = SignedRequest("GET", _PATH, query, {"host": url.netloc})
    scope = (parsed.region or around.region, "lambda")
    headers = sign(unsigned, _EMPTY_SHA256, credentials, scope, SystemClock().time_ms())
    connection = _connect(url)
    try:
        connection.request("GET", f"{_PATH}?{query}", headers=headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise CommandError(_refusal(answer.status, answer.read()))
        if connection.sock is not None:
            # A log may be silent for as long as it likes.
            connection.sock.settimeout(None)
        while line := answer.readline():
            _print_line(line)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise CommandError(f"no answer from {url.geturl()}: {error}.") from error
    finally:
        connection.close()
    return 0


def _connect(url: urllib.parse.SplitResult) -> http.client.HTTPConnection:
    if url.scheme not in ("http", "https") or not url.hostname:
        raise CommandError(f"{url.geturl()!r} is no http or https URL.")
    if url.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(url.hostname, url.port or 443, timeout=_CONNECT_SECONDS, context=context)
    return http.client.HTTPConnection(url.hostname, url.port or 80, timeout=_CONNECT_SECONDS)


def _print_line(line: bytes) -> None:
    entry = json.loads(line)
    moment = datetime.fromtimestamp(entry["time"] / 1000, UTC)
    print(f"{moment.isoformat(timespec='milliseconds').replace('+00:00', 'Z')} {entry['message']}", flush=True)


def _refusal(status: int, body: bytes) -> str:
    try:
        members = json.loads(body)
        text = members.get("Message") or members.get("message") or body.decode(errors="replace")
    except (ValueError, AttributeError):
        text = body.decode(errors="replace")
    return f"the server answered {status}: {text}"
