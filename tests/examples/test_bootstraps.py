"""examples/bootstrap-bash and examples/bootstrap-go: custom runtimes."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.examples.deployment import EXAMPLES, deploy, invoke

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.mark.skipif(not os.path.exists("/bin/bash"), reason="no bash on this machine")
def test_bash(lambda_client: Any) -> None:
    """A shell script answers event after event in one environment."""
    directory = EXAMPLES / "bootstrap-bash"
    deploy(lambda_client, "example-bash", directory, Runtime="provided.al2023", Handler="any.thing")
    for event in ({"a": [1, None]}, "text with Grüße", 3):
        answer = invoke(lambda_client, "example-bash", event)
        assert answer.error is None, answer
        assert answer.payload["event"] == event
        assert answer.payload["from"].startswith("bash ")
    assert "event " in answer.log


@pytest.fixture(scope="module")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the Go example."""
    directory = tmp_path_factory.mktemp("go")
    source = directory / "source"
    shutil.copytree(EXAMPLES / "bootstrap-go", source)
    (directory / "package").mkdir()
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"}
    command = ["go", "build", "-tags", "lambda.norpc", "-o", str(directory / "package" / "bootstrap"), "."]
    ran = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return directory / "package"


@pytest.mark.skipif(shutil.which("go") is None, reason="no go on this machine")
@pytest.mark.parametrize("runtime", ["provided.al2023", "go1.x"])
def test_go(lambda_client: Any, go_program: Path, runtime: str) -> None:
    """AWS's own Go library under a custom runtime; under go1.x the handler names the executable."""
    name = f"example-{runtime.replace('.', '-')}"
    deploy(lambda_client, name, go_program, Runtime=runtime, Handler="bootstrap")
    answer = invoke(lambda_client, name, {"name": "Ada"})
    assert answer.error is None, answer
    assert answer.payload["message"] == "Hello, Ada!"
    assert answer.payload["request_id"] in answer.log
    assert answer.payload["handler"] == "bootstrap"
    assert "greeting Ada\n" in answer.log
    failed = invoke(lambda_client, name, {})
    assert failed.error == "Unhandled"
    assert failed.payload == {"errorMessage": "nobody to greet", "errorType": "errorString"}
