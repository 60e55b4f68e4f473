"""examples/bootstrap-bash, examples/bootstrap-go and examples/bootstrap-rust: custom runtimes."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.examples.deployment import EXAMPLES, deploy, invoke
from tests.runtimes.native_programs import build_go, build_rust

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
    (directory / "package").mkdir()
    built = build_go(EXAMPLES / "bootstrap-go", directory / "bootstrap", "-tags", "lambda.norpc")
    shutil.move(built, directory / "package" / "bootstrap")
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


@pytest.mark.long
@pytest.mark.skipif(shutil.which("cargo") is None, reason="no cargo on this machine")
@pytest.mark.parametrize("runtime", ["provided.al2", "provided.al2023"])
def test_rust(lambda_client: Any, tmp_path: Path, runtime: str) -> None:
    """AWS's own crate: an answer, an error in its form, a line in the log."""
    (tmp_path / "package").mkdir()
    build_rust(EXAMPLES / "bootstrap-rust", tmp_path / "package" / "bootstrap")
    name = f"example-rust-{runtime.replace('.', '-')}"
    deploy(lambda_client, name, tmp_path / "package", Runtime=runtime, Handler="any.thing")
    answer = invoke(lambda_client, name, {"name": "Ada"})
    assert answer.error is None, answer
    assert (answer.payload["message"], answer.payload["function"]) == ("Hello, Ada!", name)
    assert f"START RequestId: {answer.payload['request_id']} " in answer.log
    assert "greeting Ada\n" in answer.log
    failed = invoke(lambda_client, name, {})
    assert failed.error == "Unhandled"
    assert failed.payload["errorMessage"] == "nobody to greet"
    assert invoke(lambda_client, name, {"name": "Grace"}).payload["message"] == "Hello, Grace!"
