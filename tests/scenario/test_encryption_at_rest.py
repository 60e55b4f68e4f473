"""encryption.at_rest: packages lie sealed, and everything that needs them still gets them, also after a restart."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.running import create_function, invoke, make_zip_bytes

if TYPE_CHECKING:
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.slow

CODE = {"index.py": "import shared\ndef handler(event, context):\n    return shared.WORD\n"}
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
