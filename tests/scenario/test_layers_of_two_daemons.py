"""Layers, their permissions and their garbage where two daemons share a PostgreSQL, with packages encrypted at rest."""

from __future__ import annotations

import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import create_function, invoke, make_zip_bytes

if TYPE_CHECKING:
    from tests.running import LambentServer
    from tests.scenario.conftest import PairFactory

pytestmark = pytest.mark.slow

LAYER = {"LayerName": "a", "VersionNumber": 1}


@pytest.fixture(scope="module")
def pair(start_pair: PairFactory) -> tuple[LambentServer, LambentServer]:
    return start_pair("layers", {"encryption.at_rest": "true", "isolation.level": "L0"})


def publish(client: Any, name: str) -> str:
    content = {"ZipFile": make_zip_bytes({f"python/{name}.py": f"NAME = '{name}'\n"})}
    return str(client.publish_layer_version(LayerName=name, Content=content)["LayerVersionArn"])


def test_layers_are_one_installation_s(pair: tuple[LambentServer, LambentServer]) -> None:
    one, other = (server.client() for server in pair)
    layers = [publish(one, "a"), publish(other, "b")]
    permission = {"StatementId": "s", "Action": "lambda:GetLayerVersion", "Principal": "*"}
    one.add_layer_version_permission(**LAYER, **permission)
    assert "Policy" in other.get_layer_version_policy(**LAYER)
    assert publish(other, "a").endswith(":2"), "one row of numbers"

    code = {"index.py": "import a, b\ndef handler(event, context):\n    return a.NAME + b.NAME\n"}
    create_function(one, "layered", code, Layers=layers)
    other.delete_layer_version(**LAYER)
    for server in pair:
        assert invoke(server.client(), "layered") == "ab", "each has code and layers, the deleted one too"
        zips = list((server.data_dir / "zips").glob("*.zip"))
        assert {path.read_bytes()[:8] for path in zips} == {b"LBTSEAL1"}
        assert len(list((server.data_dir / "layers").iterdir())) == 1
    location = other.get_layer_version(LayerName="a", VersionNumber=2)["Content"]["Location"]
    with urllib.request.urlopen(location, timeout=30) as answer:
        assert answer.read() == make_zip_bytes({"python/a.py": "NAME = 'a'\n"})

    other.update_function_configuration(FunctionName="layered", Layers=[])
    deadline = time.monotonic() + 20
    # The daemon that made the change sweeps; the other one at its next deletion or start.
    while list((pair[1].data_dir / "layers").iterdir()):
        assert time.monotonic() < deadline, "the merged tree has no user any more"
        time.sleep(0.05)
