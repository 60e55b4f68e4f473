"""examples/http-api: one command deploys it, and it answers."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.examples.deployment import EXAMPLES
from tests.running import clean_environment

if TYPE_CHECKING:
    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.slow


def test_an_api_is_deployed_by_one_command(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({"neighbours.enabled": "true"})
    done = subprocess.run(
        [Path(sys.executable).parent / "lambent", "deploy", "--parameter-overrides", "Greeting=Hi"],
        cwd=EXAMPLES / "http-api", env={**clean_environment(), "AWS_ENDPOINT_URL": server.url},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    printed = dict(line.split(" = ") for line in done.stdout.splitlines())
    assert _answer(server, printed["Api"], "/hello/Ada") == {"message": "Hi, Ada!"}
    assert _answer(server, printed["Api"], "/notes/1", b"buy milk") == {"id": "1"}
    assert _answer(server, printed["Api"], "/notes/1") == {"id": "1", "text": "buy milk"}


def _answer(server: LambentServer, api: str, path: str, body: bytes | None = None) -> Any:
    request = urllib.request.Request(server.url + path, data=body, method="GET" if body is None else "PUT")
    request.add_header("Host", f"{api}.execute-api.localhost:{server.port}")
    request.add_header("Content-Type", "text/plain")
    with urllib.request.urlopen(request, timeout=60) as answered:
        return json.loads(answered.read())
