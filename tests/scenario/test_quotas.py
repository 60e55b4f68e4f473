"""`lambent quotas` against a real server: what is set holds for the next invocation and after a crash."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.running import LambentServer, clean_environment, create_function, invoke
from tests.scenario.holding import HELD, Hold, throttle

if TYPE_CHECKING:
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.slow

_LAMBENT = Path(sys.executable).parent / "lambent"


def quotas(server: LambentServer, *words: str) -> subprocess.CompletedProcess[str]:
    variables = {**clean_environment(), "AWS_ENDPOINT_URL": server.url}
    return subprocess.run([_LAMBENT, "quotas", *words], env=variables, capture_output=True, text=True, timeout=60)


def in_force(server: LambentServer, name: str, *words: str) -> int:
    listed = json.loads(quotas(server, "list", "--json", *words).stdout)
    return int(next(one["Value"] for one in listed if one["Name"] == name))


def test_what_is_set_holds(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory()
    client = server.client()
    create_function(client, "held", {"index.py": HELD}, Timeout=60, MemorySize=256)
    create_function(client, "other", {"index.py": "def handler(event, context):\n    return 1\n"})
    table = quotas(server, "list")
    assert table.stdout.splitlines()[1].split() == ["concurrent_executions", "1,000", "1,000", "soft"]

    said = quotas(server, "set", "concurrent_executions", "1")
    assert (said.returncode, json.loads(said.stdout)["Value"]) == (0, 1)
    assert client.get_account_settings()["AccountLimit"]["ConcurrentExecutions"] == 1
    with ThreadPoolExecutor(1) as threads:
        held = Hold(client, threads, "held", "h")
        assert throttle(client, "other")["Reason"] == "ConcurrentInvocationLimitExceeded"
        assert quotas(server, "set", "concurrent_executions", "2").returncode == 0
        assert invoke(client, "other") == 1
        held.end()

    server.kill()
    server.start()
    assert in_force(server, "concurrent_executions") == 2
    assert in_force(server, "concurrent_executions", "--region", "eu-west-1") == 1_000
    assert quotas(server, "set", "concurrent_executions", "default").returncode == 0
    assert in_force(server, "concurrent_executions") == 1_000


def test_what_cannot_be_set(lambent_server: LambentServer) -> None:
    for words, sentence in (
        (("timeout_seconds_max", "901"), "hard quota"),
        (("nothing", "1"), "There is no quota named nothing"),
        (("concurrent_executions", "0"), "must be from 1"),
        (("concurrent_executions", "many"), "VALUE is a whole number"),
    ):
        said = quotas(lambent_server, "set", *words)
        assert said.returncode == 1
        assert sentence in said.stderr
