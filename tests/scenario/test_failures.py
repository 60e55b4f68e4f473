"""The function's own failures, as AWS tells them: HTTP 200, a function error, a payload, a log."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.running import create_function, invoke

pytestmark = pytest.mark.slow


def failing(client: Any, name: str, code: str, event: object = None, **members: Any) -> tuple[dict[str, Any], str]:
    create_function(client, name, {"index.py": code}, **members)
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event), LogType="Tail")
    assert answer["StatusCode"] == 200
    assert answer["FunctionError"] == "Unhandled"
    return json.loads(answer["Payload"].read()), base64.b64decode(answer["LogResult"]).decode()


def test_an_exception(lambda_client: Any) -> None:
    code = "def handler(event, context):\n    raise ValueError('no')\n"
    payload, log = failing(lambda_client, "raises", code)
    assert payload["errorType"] == "ValueError"
    assert payload["errorMessage"] == "no"
    assert payload["stackTrace"] == ["  File \"/var/task/index.py\", line 2, in handler\n    raise ValueError('no')\n"]
    assert payload["requestId"]
    assert "[ERROR] ValueError: no" in log


def test_a_time_out_then_a_fresh_start_with_tmp_kept(lambda_client: Any) -> None:
    code = (
        "import time, os\nstarted = []\n"
        "def handler(event, context):\n"
        "    started.append(1)\n"
        "    if event.get('hang'):\n"
        "        open('/tmp/kept', 'w').write('x')\n"
        "        time.sleep(60)\n"
        "    return [len(started), os.path.exists('/tmp/kept')]\n"
    )
    payload, log = failing(lambda_client, "hangs", code, {"hang": True}, Timeout=1)
    assert payload["errorType"] == "Sandbox.Timedout"
    assert payload["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert "Task timed out after 1.00 seconds" in log
    assert "Status: timeout" in log
    assert invoke(lambda_client, "hangs", {}) == [1, True]


@pytest.mark.parametrize(
    ("name", "body", "text"),
    [
        ("exits-zero", "import sys\n    sys.exit(0)", "Runtime exited without providing a reason"),
        ("exits-three", "import os\n    os._exit(3)", "Runtime exited with error: exit status 3"),
        ("kills-itself", "import os\n    os.kill(os.getpid(), 9)", "Runtime exited with error: signal: killed"),
        ("aborts", "import os\n    os.abort()", "Runtime exited with error: signal: aborted"),
    ],
)
def test_exits(lambda_client: Any, name: str, body: str, text: str) -> None:
    payload, log = failing(lambda_client, name, f"def handler(event, context):\n    {body}\n")
    assert payload["errorType"] == "Runtime.ExitError"
    assert payload["errorMessage"].endswith(f"Error: {text}")
    assert "Runtime.ExitError" in log


def test_out_of_memory(lambda_client: Any) -> None:
    code = "def handler(event, context):\n    return len(bytearray(400 * 1024 * 1024))\n"
    payload, log = failing(lambda_client, "hungry", code, MemorySize=128, Timeout=20)
    assert payload["errorType"] == "Runtime.OutOfMemory"
    assert payload["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")
    assert "Runtime.OutOfMemory" in log


@pytest.mark.parametrize(
    ("name", "handler", "files", "error_type", "text"),
    [
        ("no-module", "nowhere.handler", {}, "Runtime.ImportModuleError", "Unable to import module 'nowhere'"),
        ("no-handler", "index.nothing", {}, "Runtime.HandlerNotFound", "Handler 'nothing' missing on module 'index'"),
        ("no-dot", "index", {}, "Runtime.MalformedHandlerName", "Bad handler 'index'"),
        (
            "no-syntax",
            "bad.handler",
            {"bad.py": "def ("},
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module 'bad'",
        ),
    ],
)
def test_init_errors(
    lambda_client: Any, name: str, handler: str, files: dict[str, str], error_type: str, text: str
) -> None:
    create_function(lambda_client, name, {"index.py": "", **files}, Handler=handler)
    for _ in range(2):
        answer = lambda_client.invoke(FunctionName=name)
        payload = json.loads(answer["Payload"].read())
        assert answer["FunctionError"] == "Unhandled"
        assert payload["errorType"] == error_type
        assert payload["errorMessage"].startswith(text)


def test_a_result_that_is_not_json(lambda_client: Any) -> None:
    payload, _ = failing(lambda_client, "sets", "def handler(event, context):\n    return {1, 2}\n")
    assert payload["errorType"] == "Runtime.MarshalError"
    assert payload["errorMessage"] == "Unable to marshal response: Object of type set is not JSON serializable"


def test_a_response_over_six_megabytes(lambda_client: Any) -> None:
    code = "def handler(event, context):\n    return 'x' * event\n"
    payload, _ = failing(lambda_client, "verbose", code, 6_291_555)
    assert payload == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    }
    assert len(invoke(lambda_client, "verbose", 6_291_554)) == 6_291_554


def test_a_flood_of_output_is_cut_and_the_log_says_so(lambda_client: Any) -> None:
    code = (
        "import sys\ndef handler(event, context):\n"
        "    for _ in range(1024):\n        sys.stdout.write('y' * 1048575 + '\\n')\n    return 'done'\n"
    )
    create_function(lambda_client, "floods", {"index.py": code}, Timeout=120, MemorySize=1769)
    answer = lambda_client.invoke(FunctionName="floods", LogType="Tail")
    assert json.loads(answer["Payload"].read()) == "done"
    assert "LOGS_DROPPED " in base64.b64decode(answer["LogResult"]).decode()
