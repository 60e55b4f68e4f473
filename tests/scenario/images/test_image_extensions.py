"""Extensions that an image carries in its own /opt/extensions, in whichever of its layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.images import Entry, RealRegistry, echo_image, make_tar
from tests.scenario.extending import said
from tests.scenario.images.conftest import answer, create

if TYPE_CHECKING:
    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = [pytest.mark.long, pytest.mark.slow]

BESIDE = """#!/bin/busybox sh
wget() { /bin/busybox wget -q "$@"; }
api=http://$AWS_LAMBDA_RUNTIME_API/2020-01-01/extension
wget -S -O /dev/null --header 'Lambda-Extension-Name: beside' --post-data '{"events":["INVOKE"]}' $api/register \\
    2>/tmp/answer
id=$(/bin/busybox sed -n 's/\\r//;s/^ *Lambda-Extension-Identifier: //p' /tmp/answer)
while :; do
    wget -O - --header "Lambda-Extension-Identifier: $id" $api/event/next
    echo
done
"""


@pytest.fixture(scope="module")
def server(lambent_server_factory: ServerFactory, registry: RealRegistry) -> LambentServer:
    """A server that may ask the registry."""
    return lambent_server_factory({"images.registries": registry.host})


def test_an_extension_of_an_image(server: LambentServer, registry: RealRegistry) -> None:
    client = server.client()
    lower = make_tar([("opt/extensions/beside", Entry(BESIDE.encode(), 0o755))])
    create(client, "image-beside", registry.push(echo_image(lower), "beside"))
    assert answer(client, "image-beside", {"a": 1})["event"] == {"a": 1}
    log = said(server, "image-beside", "\nREPORT")
    assert "EXTENSION\tName: beside\tState: Ready\tEvents: [INVOKE]" in log
    assert '"eventType":"INVOKE"' in log


def test_one_that_cannot_be_started(server: LambentServer, registry: RealRegistry) -> None:
    client = server.client()
    lower = make_tar([("opt/extensions/plain", Entry(b"#!/bin/sh\n", 0o644))])
    create(client, "image-plain", registry.push(echo_image(lower), "plain"))
    told: Any = answer(client, "image-plain")
    assert told["errorType"] == "Extension.LaunchError"
    assert told["errorMessage"].endswith("fork/exec /opt/extensions/plain: permission denied")


def test_a_higher_layer_hides_one(server: LambentServer, registry: RealRegistry) -> None:
    client = server.client()
    lower = make_tar([("opt/extensions/plain", Entry(b"#!/bin/sh\n", 0o644))])
    higher = make_tar([("opt/extensions/.wh.plain", b"")])
    create(client, "image-hidden", registry.push(echo_image(lower, higher), "hidden"))
    assert answer(client, "image-hidden", {"a": 1})["event"] == {"a": 1}
