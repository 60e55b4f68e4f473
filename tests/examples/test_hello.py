"""examples/hello, examples/hello-node and examples/hello-ruby."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.examples.deployment import EXAMPLES, deploy, invoke

pytestmark = pytest.mark.slow


def test_hello_in_python(lambda_client: Any) -> None:
    """An answer, a line in the log between START and END."""
    deploy(lambda_client, "example-hello", EXAMPLES / "hello", Handler="hello.handler")
    answer = invoke(lambda_client, "example-hello", {"name": "Ada"})
    assert answer.error is None
    assert answer.payload["message"] == "Hello, Ada!"
    assert answer.payload["function"] == "example-hello"
    assert 0 < answer.payload["remaining_ms"] <= 30_000
    lines = answer.log.splitlines()
    assert lines[-3] == "greeting Ada"
    assert [line.split(" ", 1)[0] for line in (lines[-4], lines[-2], lines[-1])] == ["START", "END", "REPORT"]


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on this machine")
def test_hello_in_node(lambda_client: Any) -> None:
    """The same as an ES module."""
    deploy(lambda_client, "example-hello-node", EXAMPLES / "hello-node", Runtime="nodejs20.x", Handler="index.handler")
    answer = invoke(lambda_client, "example-hello-node", {"name": "Ada"})
    assert answer.error is None
    assert answer.payload["message"] == "Hello, Ada!"
    assert answer.payload["function"] == "example-hello-node"
    assert "\tINFO\tgreeting Ada\n" in answer.log


@pytest.mark.skipif(shutil.which("ruby") is None, reason="no ruby on this machine")
def test_hello_in_ruby(lambda_client: Any) -> None:
    """The same in Ruby; a logger's line carries the request's id."""
    deploy(lambda_client, "example-hello-ruby", EXAMPLES / "hello-ruby", Runtime="ruby3.4", Handler="hello.handler")
    answer = invoke(lambda_client, "example-hello-ruby", {"name": "Ada"})
    assert answer.error is None
    assert answer.payload["message"] == "Hello, Ada!"
    assert answer.payload["function"] == "example-hello-ruby"
    assert 0 < answer.payload["remaining_ms"] <= 30_000
    assert " -- : greeting Ada\n" in answer.log
