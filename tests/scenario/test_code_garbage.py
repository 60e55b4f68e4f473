"""Packages that nobody uses go, and only those: after deletions, and after kill -9 in the middle of changes."""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.running import make_zip_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

_ROLE = "arn:aws:iam::000000000000:role/test"
_SWEEP_SECONDS = 20.0


def package(text: str) -> bytes:
    return make_zip_bytes({"index.py": f"# {text}\ndef handler(event, context):\n    return 1\n"})


def hex_of(code_sha256: str) -> str:
    return base64.b64decode(code_sha256).hex()


def referred(client: Any) -> set[str]:
    """Return the hashes of everything that functions and layers refer to."""
    found = set()
    for page in client.get_paginator("list_functions").paginate(FunctionVersion="ALL"):
        found |= {hex_of(function["CodeSha256"]) for function in page["Functions"]}
    for layer in client.list_layers()["Layers"]:
        for version in client.list_layer_versions(LayerName=layer["LayerName"])["LayerVersions"]:
            arn = version["LayerVersionArn"]
            found.add(hex_of(client.get_layer_version_by_arn(Arn=arn)["Content"]["CodeSha256"]))
    return found


def kept(directory: Path) -> set[str]:
    return {path.name.removesuffix(".zip") for path in directory.iterdir()}


def wait_swept(server: LambentServer, client: Any, merged: int) -> None:
    """Return when the directories hold what is referred to and nothing else, with `merged` trees of several layers."""
    deadline = time.monotonic() + _SWEEP_SECONDS
    while True:
        expected = referred(client)
        found = [kept(server.data_dir / name) for name in ("zips", "code")]
        trees = kept(server.data_dir / "layers")
        if found == [expected, expected] and len(trees) == merged:
            return
        assert time.monotonic() < deadline, (expected, found, trees)
        time.sleep(0.05)


def change(server: LambentServer, number: int, stopped: threading.Event) -> None:
    """Publish, create, update and delete until the server is gone."""
    client = server.client()
    with contextlib.suppress(BotoCoreError):
        for turn in range(1_000):
            if stopped.is_set():
                return
            text = f"{number}-{turn}"
            with contextlib.suppress(ClientError):
                arns = [
                    client.publish_layer_version(
                        LayerName=f"l{number}-{n}", Content={"ZipFile": package(f"{text}-{n}")}
                    )
                    for n in range(2)
                ]
                client.create_function(
                    FunctionName=f"f{text}", Runtime="python3.11", Handler="index.handler", Role=_ROLE,
                    Code={"ZipFile": package(text)}, Layers=[answer["LayerVersionArn"] for answer in arns],
                )  # fmt: skip
                for answer in arns:
                    layer = answer["LayerArn"].rpartition(":")[2]
                    client.delete_layer_version(LayerName=layer, VersionNumber=answer["Version"])
                client.delete_function(FunctionName=f"f{text}")


@pytest.mark.long
def test_nothing_is_left_and_nothing_is_lost(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({"isolation.level": "L0"})
    for round_number in range(3):
        stopped = threading.Event()
        threads = [
            threading.Thread(target=change, args=(server, round_number * 10 + number, stopped)) for number in range(3)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.7 + 0.3 * round_number)
        server.kill()
        stopped.set()
        for thread in threads:
            thread.join()
        server.start()
        client = server.client()
        for page in client.get_paginator("list_functions").paginate():
            for function in page["Functions"]:
                waiter = client.get_waiter("function_active_v2")
                waiter.wait(FunctionName=function["FunctionName"], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
                answer = client.invoke(FunctionName=function["FunctionName"])
                assert "FunctionError" not in answer, "its code and its layers, deleted or not, are there"
                client.delete_function(FunctionName=function["FunctionName"])
        wait_swept(server, client, 0)


def test_a_merged_tree_that_was_lost_is_made_again(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({"isolation.level": "L0"})
    client = server.client()
    layers = [
        client.publish_layer_version(LayerName=name, Content={"ZipFile": package(name)})["LayerVersionArn"]
        for name in ("a", "b")
    ]
    for name in ("one", "two"):
        client.create_function(
            FunctionName=name, Runtime="python3.11", Handler="index.handler", Role=_ROLE,
            Code={"ZipFile": package(name)}, Layers=layers,
        )  # fmt: skip
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    wait_swept(server, client, 1)
    [merged] = (server.data_dir / "layers").iterdir()
    server.stop()
    merged.rename(merged.with_name(".half"))
    server.start()
    assert "FunctionError" not in server.client().invoke(FunctionName="one")
    wait_swept(server, server.client(), 1)
