"""Init and Shutdown in full: limits, the retry inside the first invocation, resets that keep /tmp, times at the end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import create_function, invoke
from tests.scenario.extending import call, extended_function, retire, said, wait_for

if TYPE_CHECKING:
    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.slow


def test_an_init_over_its_limit_is_repeated_inside_the_invocation(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({"environments.init_seconds": "1"})
    client = server.client()
    code = (
        "import os, time\n"
        "if not os.path.exists('/tmp/tried'):\n"
        "    open('/tmp/tried', 'w').close()\n"
        "    time.sleep(60)\n"
        "def handler(event, context):\n    return os.path.exists('/tmp/tried')\n"
    )
    create_function(client, "slow-init", {"index.py": code}, Timeout=10)
    assert invoke(client, "slow-init", {}) is True
    log = said(server, "slow-init", "\nREPORT")
    first, rest = log.split("Phase: init\tStatus: timeout")
    assert "INIT_REPORT Init Duration: 10" in first
    # As on AWS, START follows the Init that had to be repeated, and REPORT has no Init Duration.
    assert "START RequestId" in rest
    assert "Init Duration" not in rest


def test_an_init_that_always_fails_is_tried_twice(lambda_client: Any, lambent_server: LambentServer) -> None:
    code = "print('trying')\nraise RuntimeError('no')\n"
    create_function(lambda_client, "never-inits", {"index.py": code})
    payload, error = call(lambda_client, "never-inits")
    assert (payload["errorType"], error) == ("RuntimeError", "Unhandled")
    log = said(lambent_server, "never-inits", "\nREPORT")
    assert log.count("trying") == 2
    assert "Phase: init\tStatus: error\tError Type: " in log
    assert "Phase: invoke\tStatus: error\tError Type: " in log
    assert log.index("Phase: invoke") < log.index("START RequestId")


def test_a_reset_keeps_tmp_and_the_address_and_has_fresh_credentials(lambda_client: Any) -> None:
    code = (
        "import os\n"
        "def handler(event, context):\n"
        "    with open('/tmp/seen', 'a') as file:\n"
        "        file.write(os.environ['AWS_LAMBDA_RUNTIME_API'] + ' ' + os.environ['AWS_SESSION_TOKEN'] + chr(10))\n"
        "    if event.get('exit'):\n"
        "        os._exit(1)\n"
        "    return open('/tmp/seen').read().split(chr(10))\n"
    )
    create_function(lambda_client, "resets", {"index.py": code})
    assert call(lambda_client, "resets", {"exit": True})[1] == "Unhandled"
    before, after, _ = invoke(lambda_client, "resets", {})
    assert before.split()[0] == after.split()[0]
    assert before.split()[1] != after.split()[1]


def test_sigterm_without_extensions(lambda_client: Any, lambent_server: LambentServer) -> None:
    code = (
        "import signal, sys\n"
        "def end(number, frame):\n    print('ending', flush=True)\n    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "def handler(event, context):\n    return 1\n"
    )
    create_function(lambda_client, "sigterm", {"index.py": code})
    invoke(lambda_client, "sigterm", {})
    retire(lambda_client, "sigterm")
    said(lambent_server, "sigterm", "ending")


def test_the_runtime_ends_before_extensions_are_told(lambda_client: Any, lambent_server: LambentServer) -> None:
    code = (
        "import signal, sys, time\n"
        "def end(number, frame):\n    print('runtime ends', time.time(), flush=True)\n    time.sleep(60)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "def handler(event, context):\n    return 1\n"
    )
    body = (
        "register('SHUTDOWN')\nevent = next_event()\n"
        "left = event['deadlineMs'] / 1000 - time.time()\n"
        "say('extension told', time.time(), 1.0 < left < 1.75)\n"
    )
    extended_function(lambda_client, "ordered-end", body, code)
    assert call(lambda_client, "ordered-end") == (1, None)
    retire(lambda_client, "ordered-end")
    log = said(lambent_server, "ordered-end", "extension told")
    ended_at = next(line.split()[2] for line in log.splitlines() if line.startswith("runtime ends"))
    told_at, is_left = next(line.split()[2:] for line in log.splitlines() if line.startswith("extension told"))
    # The runtime ignored SIGTERM: it had 300 ms of the two seconds and was killed.
    assert is_left == "True"
    assert float(told_at) - float(ended_at) > 0.2


def test_provisioned_concurrency_has_the_function_s_time_for_init(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({"environments.init_seconds": "1"})
    client = server.client()
    code = "import time\ntime.sleep(2)\ndef handler(event, context):\n    return 1\n"
    create_function(client, "long-init", {"index.py": code}, Timeout=5)
    version = client.publish_version(FunctionName="long-init")["Version"]
    client.put_provisioned_concurrency_config(
        FunctionName="long-init", Qualifier=version, ProvisionedConcurrentExecutions=1
    )

    def is_ready() -> bool:
        found = client.get_provisioned_concurrency_config(FunctionName="long-init", Qualifier=version)
        assert found["Status"] != "FAILED", found
        return bool(found["Status"] == "READY")

    wait_for(is_ready, "provisioned environment")
    answer = client.invoke(FunctionName="long-init", Qualifier=version, Payload=b"{}")
    assert json.loads(answer["Payload"].read()) == 1
    assert "Status: timeout" not in said(server, "long-init", "\nREPORT")


def test_provisioned_concurrency_with_an_extension(lambda_client: Any) -> None:
    body = "register('INVOKE')\nnote('notes', os.environ['AWS_LAMBDA_INITIALIZATION_TYPE'])\nrun()\n"
    extended_function(lambda_client, "provided-beside", body)
    version = lambda_client.publish_version(FunctionName="provided-beside")["Version"]
    lambda_client.put_provisioned_concurrency_config(
        FunctionName="provided-beside", Qualifier=version, ProvisionedConcurrentExecutions=1
    )

    def is_ready() -> bool:
        found = lambda_client.get_provisioned_concurrency_config(FunctionName="provided-beside", Qualifier=version)
        assert found["Status"] != "FAILED", found
        return bool(found["Status"] == "READY")

    wait_for(is_ready, "provisioned environment")
    answer = lambda_client.invoke(FunctionName="provided-beside", Qualifier=version, Payload=b"{}")
    assert json.loads(answer["Payload"].read()) == ["provisioned-concurrency"]
