"""Runtimes as a user meets them: created and invoked through the public API on this machine's own sandbox."""

from __future__ import annotations

import json
import shutil
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awslambdaric
import pytest

from lambent.environments.runtimes.sdk import SdkDirectories
from lambent.startup import sdk_root
from tests.running import make_zip_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import ServerFactory

pytestmark = pytest.mark.slow
_WAIT = {"Delay": 1, "MaxAttempts": 60}


@pytest.fixture(scope="module")
def exact_client(lambent_server_factory: ServerFactory) -> Any:
    """A client of a server on which no version stands in for another."""
    return lambent_server_factory({"runtimes.nearest": "false"}).client()


def _call(
    client: Any, files: Mapping[str, str | bytes | tuple[str | bytes, int]], event: object = None, **configuration: Any
) -> Any:
    """Create a function, invoke it once and return the decoded payload."""
    name = f"runtimes-{uuid.uuid4().hex[:12]}"
    client.create_function(
        FunctionName=name,
        Role="arn:aws:iam::000000000000:role/test",
        Code={"ZipFile": make_zip_bytes(files)},
        **{"Runtime": "python3.11", "Handler": "index.handler", "Timeout": 20, "MemorySize": 256, **configuration},
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig=_WAIT)
    return json.loads(client.invoke(FunctionName=name, Payload=json.dumps(event))["Payload"].read())


_BOTO3 = (
    "import boto3, sys\n"
    "def handler(event, context):\n"
    "    client = boto3.client('lambda')\n"
    "    names = [each['FunctionName'] for each in client.list_functions()['Functions']]\n"
    "    return [context.function_name in names, boto3.__file__.split('/')[2], sys.version_info[:2]]\n"
)


@pytest.mark.parametrize("runtime", ["python3.8", "python3.9", "python3.11", "python3.13"])
def test_boto3_is_importable_and_speaks_to_this_server(lambda_client: Any, runtime: str) -> None:
    """Without being shipped, with the execution role's credentials, at AWS_ENDPOINT_URL."""
    if not SdkDirectories.below(sdk_root()).python:
        pytest.skip("the AWS SDKs are not installed")
    said = _call(lambda_client, {"index.py": _BOTO3}, Runtime=runtime)
    assert said[:2] == [True, "sdk"], said


def test_a_boto3_in_the_package_wins(lambda_client: Any) -> None:
    """Also where one is loaded before."""
    files = {
        "index.py": "import boto3\ndef handler(e, c): return boto3.v\n",
        "boto3/__init__.py": "v = 'mine'\n",
        "botocore.py": "",
    }
    assert _call(lambda_client, files) == "mine"


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on this machine")
@pytest.mark.parametrize(
    ("runtime", "file", "code"),
    [
        ("nodejs20.x", "index.js", "const {S3Client} = require('@aws-sdk/client-s3'); exports.handler = async () => "
         "new S3Client({}).constructor.name"),
        ("nodejs20.x", "index.mjs", "import {S3Client} from '@aws-sdk/client-s3'; export const handler = async () => "
         "new S3Client({}).constructor.name"),
        ("nodejs14.x", "index.js", "const AWS = require('aws-sdk'); exports.handler = async () => "
         "[AWS.VERSION.startsWith('2.')] + 'S3Client'"),
    ],
    ids=["v3-require", "v3-import", "v2"],
)  # fmt: skip
def test_the_javascript_sdk_is_importable(lambda_client: Any, runtime: str, file: str, code: str) -> None:
    """v3 by require and import, v2 under old identifiers."""
    if not SdkDirectories.below(sdk_root()).nodejs:
        pytest.skip("the AWS SDKs are not installed")
    said = _call(lambda_client, {file: code}, Runtime=runtime)
    assert isinstance(said, str), said
    assert said.endswith("S3Client")


def test_variables_that_act_at_process_start(lambda_client: Any) -> None:
    """PYTHON* acts, and so does a wrapper."""
    code = "import os, extra\ndef handler(e, c): return [extra.v, __debug__, os.environ.get('WRAPPED')]\n"
    files: dict[str, str | tuple[str | bytes, int]] = {
        "index.py": code,
        "lib/extra.py": "v = 'found'\n",
        "wrap": ('#!/bin/sh\nexport WRAPPED="$#"\nexec "$@"\n', 0o755),
    }
    variables = {"PYTHONPATH": "/var/task/lib", "PYTHONOPTIMIZE": "1"}
    said = _call(lambda_client, files, Environment={"Variables": variables})
    assert said == ["found", False, None]
    said = _call(
        lambda_client, files, Environment={"Variables": {**variables, "AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrap"}}
    )
    assert said == ["found", False, "2"]


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on this machine")
def test_node_options_act(lambda_client: Any) -> None:
    """A process of its own with the options."""
    said = _call(
        lambda_client,
        {
            "pre.js": "globalThis.early = 'yes'",
            "index.js": "exports.handler = async () => [globalThis.early, process.execArgv.length > 0, 1]",
        },
        Runtime="nodejs20.x",
        Environment={"Variables": {"NODE_OPTIONS": "--require /var/task/pre.js"}},
    )
    assert said == ["yes", True, 1]


_OFFICIAL = (
    "import decimal\n"
    "def handler(event, context):\n"
    "    if event == 'raise':\n        raise ValueError('told')\n"
    "    return [event, context.function_name, context.get_remaining_time_in_millis() > 0, decimal.Decimal('1.5')]\n"
)


def test_the_official_python_client_runs_unchanged(lambda_client: Any) -> None:
    """AWS's own awslambdaric in the package, started by its own bootstrap."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if not Path(f"/usr/bin/python{version}").exists():
        pytest.skip(f"no Python {version} in /usr/bin")
    site = Path(awslambdaric.__file__).parents[1]
    files: dict[str, str | bytes | tuple[str | bytes, int]] = {
        str(path.relative_to(site)): path.read_bytes()
        for pattern in ("awslambdaric/**/*.py", "simplejson/**/*", "snapshot_restore_py.py", "runtime_client*.so")
        for path in site.glob(pattern)
        if path.is_file()
    }
    files["index.py"] = _OFFICIAL
    files["bootstrap"] = (f'#!/bin/sh\nexec /usr/bin/python{version} -m awslambdaric "$_HANDLER"\n', 0o755)
    name = f"runtimes-{uuid.uuid4().hex[:12]}"
    lambda_client.create_function(
        FunctionName=name,
        Role="arn:aws:iam::000000000000:role/test",
        Code={"ZipFile": make_zip_bytes(files)},
        Runtime="provided.al2023",
        Handler="index.handler",
        Timeout=30,
        MemorySize=256,
    )
    lambda_client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig=_WAIT)
    for event in ({"a": "ü"}, 2):
        answer = lambda_client.invoke(FunctionName=name, Payload=json.dumps(event))
        assert json.loads(answer["Payload"].read()) == [event, name, True, 1.5]
    failed = lambda_client.invoke(FunctionName=name, Payload='"raise"')
    assert failed["FunctionError"] == "Unhandled"
    payload = json.loads(failed["Payload"].read())
    assert (payload["errorType"], payload["errorMessage"]) == ("ValueError", "told")


def test_a_package_without_bootstrap(lambda_client: Any) -> None:
    """The error says what was looked for."""
    said = _call(lambda_client, {"other": "x"}, Runtime="provided.al2023", Handler="x")
    assert said["errorType"] in ("Runtime.InvalidEntrypoint", "Runtime.ExitError"), said


@pytest.mark.parametrize(
    ("runtime", "text"),
    [
        ("nodejs8.10", "install Node.js 8.10 (nvm"),
        ("python3.6", "install Python 3.6 (`pyenv install 3.6`"),
        ("ruby2.5", "install Ruby 2.5 (rbenv"),
        ("dotnetcore1.0", "install the .NET runtime (DOTNET_ROOT"),
    ],
)
def test_what_cannot_run_fails_with_a_reason(exact_client: Any, runtime: str, text: str) -> None:
    """CreateFunction succeeds where the version is not here; the state says what to install."""
    name = f"runtimes-{uuid.uuid4().hex[:12]}"
    exact_client.create_function(
        FunctionName=name,
        Role="arn:aws:iam::000000000000:role/test",
        Code={"ZipFile": make_zip_bytes({"index.py": ""})},
        Runtime=runtime,
        Handler="Assembly::Type::Method",
    )
    configuration = {"State": "Pending"}
    for _ in range(200):
        configuration = exact_client.get_function_configuration(FunctionName=name)
        if configuration["State"] != "Pending":
            break
    assert configuration["State"] == "Failed"
    assert text in configuration["StateReason"]
    assert f"`lambent runtimes install {runtime}`" in configuration["StateReason"]
