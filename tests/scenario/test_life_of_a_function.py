"""A function's life through the public API: create, invoke, reuse, update, delete; what its environment tells it."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import create_function, invoke, make_zip_bytes

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

COUNTER = "calls = 0\ndef handler(event, context):\n    global calls\n    calls += 1\n    return calls\n"
SHOW = """
import os, boto3
def handler(event, context):
    s3 = boto3.client("lambda")
    return {"env": dict(os.environ), "cwd": os.getcwd(), "uid": os.getuid(), "endpoint": s3.meta.endpoint_url,
            "task": sorted(os.listdir("/var/task")) if os.path.isdir("/var/task") else None}
"""


def test_create_invoke_reuse_update_delete(lambda_client: Any) -> None:
    created = create_function(lambda_client, "life", {"index.py": COUNTER})
    assert created["State"] == "Pending"
    assert [invoke(lambda_client, "life") for _ in range(3)] == [1, 2, 3]

    lambda_client.update_function_configuration(FunctionName="life", Description="newer")
    lambda_client.get_waiter("function_updated_v2").wait(FunctionName="life")
    assert invoke(lambda_client, "life") == 1, "a changed configuration never meets an old environment"

    code = make_zip_bytes({"index.py": "def handler(event, context):\n    return 'second'\n"})
    updated = lambda_client.update_function_code(FunctionName="life", ZipFile=code)
    assert updated["CodeSha256"] != created["CodeSha256"]
    lambda_client.get_waiter("function_updated_v2").wait(FunctionName="life")
    assert invoke(lambda_client, "life") == "second"

    lambda_client.delete_function(FunctionName="life")
    with pytest.raises(lambda_client.exceptions.ResourceNotFoundException) as missing:
        lambda_client.invoke(FunctionName="life")
    assert missing.value.response["Error"]["Message"] == (
        "Function not found: arn:aws:lambda:us-east-1:000000000000:function:life:$LATEST"
    )


def test_what_the_environment_says(lambda_client: Any) -> None:
    create_function(lambda_client, "show", {"index.py": SHOW}, Environment={"Variables": {"MINE": "yes"}})
    shown = invoke(lambda_client, "show")
    variables = shown["env"]
    assert variables["MINE"] == "yes"
    assert variables["AWS_LAMBDA_FUNCTION_NAME"] == "show"
    assert variables["AWS_LAMBDA_FUNCTION_VERSION"] == "$LATEST"
    assert variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "128"
    assert variables["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand"
    assert variables["AWS_REGION"] == "us-east-1"
    assert variables["_HANDLER"] == "index.handler"
    assert variables["_X_AMZN_TRACE_ID"].startswith("Root=1-")
    assert variables["AWS_XRAY_CONTEXT_MISSING"] == "LOG_ERROR"
    assert variables["AWS_XRAY_DAEMON_ADDRESS"]
    assert variables["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.11"
    assert shown["endpoint"] == variables["AWS_ENDPOINT_URL"]
    assert shown["cwd"] == variables["LAMBDA_TASK_ROOT"]


def test_a_function_calls_another_through_its_endpoint(lambda_client: Any) -> None:
    create_function(lambda_client, "callee", {"index.py": "def handler(event, context):\n    return event['n'] + 1\n"})
    caller = (
        "import boto3, json\nclient = boto3.client('lambda')\n"
        "def handler(event, context):\n"
        "    answer = client.invoke(FunctionName='callee', Payload=json.dumps({'n': event['n']}))\n"
        "    return json.loads(answer['Payload'].read())\n"
    )
    create_function(lambda_client, "caller", {"index.py": caller}, MemorySize=512, Timeout=20)
    assert invoke(lambda_client, "caller", {"n": 41}) == 42


def test_log_tail_and_dry_run(lambda_client: Any) -> None:
    create_function(lambda_client, "talks", {"index.py": "def handler(event, context):\n    print('said')\n"})
    answer = lambda_client.invoke(FunctionName="talks", LogType="Tail")
    lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
    assert lines[0].startswith("START RequestId: ")
    assert lines[1] == "said"
    assert lines[2].startswith("END RequestId: ")
    assert lines[3].startswith("REPORT RequestId: ")
    used = re.search(r"Max Memory Used: (\d+) MB", lines[3])
    assert used is not None
    assert 2 <= int(used[1]) <= 128, "an interpreter takes some MiB, also in its first milliseconds"
    assert answer["ExecutedVersion"] == "$LATEST"
    assert lambda_client.invoke(FunctionName="talks", InvocationType="DryRun")["StatusCode"] == 204


def test_client_context_and_function_arn(lambda_client: Any) -> None:
    code = (
        "def handler(event, context):\n"
        "    return [context.client_context.custom, context.invoked_function_arn, context.aws_request_id]\n"
    )
    create_function(lambda_client, "contextual", {"index.py": code})
    text = base64.b64encode(json.dumps({"custom": {"a": "b"}}).encode()).decode()
    answer = lambda_client.invoke(FunctionName="contextual", ClientContext=text)
    custom, arn, request_id = json.loads(answer["Payload"].read())
    assert custom == {"a": "b"}
    assert arn == "arn:aws:lambda:us-east-1:000000000000:function:contextual"
    assert request_id == answer["ResponseMetadata"]["RequestId"]


def test_many_at_once_each_get_an_environment(lambent_server: LambentServer, lambda_client: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    code = "import time, uuid\nme = str(uuid.uuid4())\ndef handler(event, context):\n    time.sleep(2)\n    return me\n"
    create_function(lambda_client, "many", {"index.py": code}, Timeout=30)
    clients = [lambent_server.client() for _ in range(10)]
    with ThreadPoolExecutor(10) as threads:
        environments = set(threads.map(lambda client: invoke(client, "many"), clients))
    assert len(environments) == 10
