"""encryption.at_rest: packages and waiting events lie sealed, and who needs them gets them, also after a restart."""

from __future__ import annotations

import json
import os
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.running import create_function, invoke, make_zip_bytes
from tests.scenario.holding import wait_until

if TYPE_CHECKING:
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.slow

CODE = {"index.py": "import shared\ndef handler(event, context):\n    return shared.WORD\n"}
# It fails until its function is tagged; then it says by another tag what it was given.
TELLING = """
import boto3
client = boto3.client("lambda")
def handler(event, context):
    arn = ":".join(context.invoked_function_arn.split(":")[:7])
    if "open" not in client.list_tags(Resource=arn)["Tags"]:
        raise ValueError("not yet")
    client.tag_resource(Resource=arn, Tags={"given": event["word"]})
"""
LAYER = {"python/shared.py": "WORD = 'from the layer'\n"}


def test_packages_lie_sealed(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory()
    client = server.client()
    layer = client.publish_layer_version(LayerName="sealed", Content={"ZipFile": make_zip_bytes(LAYER)})
    zips = server.data_dir / "zips"
    assert [path.read_bytes()[:2] for path in zips.iterdir()] == [b"PK"], "not asked for yet"

    server.stop()
    server.settings["encryption.at_rest"] = "true"
    server.start()
    client = server.client()
    create_function(client, "sealed", CODE, Layers=[layer["LayerVersionArn"]])
    assert invoke(client, "sealed") == "from the layer"
    assert {path.read_bytes()[:8] for path in zips.iterdir()} == {b"LBTSEAL1"}
    assert len(list(zips.iterdir())) == 2
    location = client.get_function(FunctionName="sealed")["Code"]["Location"]
    with urllib.request.urlopen(location, timeout=30) as answer:
        assert answer.read() == make_zip_bytes(CODE)
    location = client.get_layer_version(LayerName="sealed", VersionNumber=1)["Content"]["Location"]
    with urllib.request.urlopen(location, timeout=30) as answer:
        assert answer.read() == make_zip_bytes(LAYER)

    server.kill()
    server.start()
    assert invoke(server.client(), "sealed") == "from the layer"


@pytest.mark.parametrize("is_sealing", [False, True])
def test_events_wait_sealed(lambent_server_factory: ServerFactory, is_sealing: bool) -> None:
    server = lambent_server_factory(
        {"encryption.at_rest": str(is_sealing).lower(), "isolation.level": "L0", "async.retry_base_seconds": "3"}
    )
    client = server.client()
    word = "planted-" + os.urandom(12).hex()
    arn = create_function(client, "telling", {"index.py": TELLING}, MemorySize=512)["FunctionArn"]
    client.invoke(FunctionName="telling", InvocationType="Event", Payload=json.dumps({"word": word}))
    server.kill()
    found = [path for path in server.data_dir.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]
    assert bool(found) is not is_sealing
    # What waits is opened whatever the setting is by then.
    server.settings["encryption.at_rest"] = str(not is_sealing).lower()
    server.start()
    server.client().tag_resource(Resource=arn, Tags={"open": "yes"})
    wait_until(lambda: server.client().list_tags(Resource=arn)["Tags"].get("given") == word)
