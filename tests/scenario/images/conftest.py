"""A real registry for the tests of a module, and what they all do with functions of images."""

from __future__ import annotations

import json
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.images import RealRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator

ROLE = "arn:aws:iam::000000000000:role/test"
SETTLED_SECONDS = 60.0


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    """Debian's docker-registry."""
    if shutil.which("docker-registry") is None:
        pytest.skip("no docker-registry on this machine")
    running = RealRegistry(tmp_path_factory.mktemp("registry"))
    yield running.start()
    running.stop()


def settled(client: Any, name: str, qualifier: str | None = None) -> dict[str, Any]:
    """Return a function's configuration when it is neither Pending nor InProgress."""
    asked = {"FunctionName": name} | ({"Qualifier": qualifier} if qualifier else {})
    deadline = time.monotonic() + SETTLED_SECONDS
    while True:
        found = dict(client.get_function_configuration(**asked))
        if found["State"] != "Pending" and found.get("LastUpdateStatus") != "InProgress":
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def create(client: Any, name: str, image: str, **members: Any) -> dict[str, Any]:
    """Create a function of an image and return its configuration when it is settled."""
    request = {"Role": ROLE, "Timeout": 20, "MemorySize": 256, **members}
    client.create_function(FunctionName=name, PackageType="Image", Code={"ImageUri": image}, **request)
    return settled(client, name)


def update(client: Any, name: str, **members: Any) -> dict[str, Any]:
    """Change a function's configuration and return it when it is settled."""
    client.update_function_configuration(FunctionName=name, **members)
    return settled(client, name)


def answer(client: Any, name: str, event: object = None) -> Any:
    """Invoke and return the decoded payload, a function error's too."""
    return json.loads(client.invoke(FunctionName=name, Payload=json.dumps(event))["Payload"].read())
