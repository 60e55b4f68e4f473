"""What a user is told who names no runtime there is, or ships no program where one must be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.running import create_function

pytestmark = pytest.mark.slow


def test_an_identifier_that_is_none(lambda_client: Any) -> None:
    with pytest.raises(ClientError) as refused:
        create_function(lambda_client, "no-such-runtime", {"index.py": ""}, Runtime="python9.9")
    error = refused.value.response
    assert error["Error"]["Code"] == "InvalidParameterValueException"
    assert error["Error"]["Message"].startswith(
        "Value python9.9 at 'runtime' failed to satisfy constraint: Member must"
    )
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize(
    ("name", "files", "text"),
    [
        (
            "no-bootstrap",
            {"other": "x"},
            "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]",
        ),
        # Files of a test's package have mode 0644.
        ("closed-bootstrap", {"bootstrap": "#!/bin/sh\n"}, "fork/exec /var/task/bootstrap: permission denied"),
    ],
)
def test_no_program_to_start(lambda_client: Any, name: str, files: dict[str, str], text: str) -> None:
    create_function(lambda_client, name, files, Runtime="provided.al2023", Handler="unused")
    answer = lambda_client.invoke(FunctionName=name, Payload=b"{}")
    assert answer["FunctionError"] == "Unhandled"
    payload = json.loads(answer["Payload"].read())
    assert payload["errorType"] == "Runtime.InvalidEntrypoint"
    assert payload["errorMessage"].endswith(f"Error: {text}")
