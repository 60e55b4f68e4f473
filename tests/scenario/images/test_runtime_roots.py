"""Roots of managed runtimes from images: installed, upgraded, removed by the command; who moves, and no call fails."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.images import RealRegistry, echo_image, hex_of, make_tar, write_docker_archive, write_layout
from tests.images import busybox_layer as shell_layer
from tests.running import clean_environment, make_zip_bytes
from tests.scenario.images.conftest import ROLE, answer, settled

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import ServerFactory
    from tests.images import Image
    from tests.running import LambentServer

pytestmark = [pytest.mark.long, pytest.mark.slow]

# Says which build it is, whose code it has and what it was told; python3.6 has no other runtime here that could.
_BOOTSTRAP = """#!/bin/busybox sh
PATH=/bin
marker=$(/bin/busybox cat /var/task/marker)
WORD="build {build} $_HANDLER $marker $AWS_EXECUTION_ENV $FROM_IMAGE" exec /app/bootstrap "$@"
"""


def root_image(build: str) -> Image:
    """Return an image as AWS's base images are: /var/runtime/bootstrap runs what _HANDLER names."""
    over = make_tar([("var/runtime/bootstrap", _BOOTSTRAP.replace("{build}", build)), (f"build-{build}", "")])
    return echo_image(over, config={"Entrypoint": ["/lambda-entrypoint.sh"], "Env": ["PATH=/bin", "FROM_IMAGE=yes"]})


def run(server: LambentServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command against a server."""
    environment = {**clean_environment(), "AWS_ENDPOINT_URL": server.url}
    command = [str(server.executable), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)


def done(server: LambentServer, *arguments: str) -> str:
    """Run the command and return what it printed."""
    ran = run(server, *arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def create(client: Any, name: str, runtime: str = "python3.6") -> None:
    """Create a zip function whose package says its name."""
    client.create_function(
        FunctionName=name, Runtime=runtime, Handler="app.handler", Role=ROLE, Timeout=20,
        Code={"ZipFile": make_zip_bytes({"marker": name})},
    )  # fmt: skip
    assert settled(client, name)["State"] == "Active"


def version_arn(client: Any, name: str) -> str:
    """Return what GetFunctionConfiguration says about the function's build."""
    return str(client.get_function_configuration(FunctionName=name)["RuntimeVersionConfig"]["RuntimeVersionArn"])


@pytest.fixture
def server(lambent_server_factory: ServerFactory, registry: RealRegistry) -> LambentServer:
    """A server that may ask the registry, also for AWS's base images."""
    url = f"http://127.0.0.1:{registry.port}"
    return lambent_server_factory({"images.registries": f"{registry.host},public.ecr.aws={url}"})


def test_install_upgrade_and_remove(server: LambentServer, registry: RealRegistry) -> None:
    client = server.client()
    registry.push(root_image("1"), "lambda/python", "3.6")
    told = done(server, "runtimes", "install", "python3.6")
    assert "public.ecr.aws/lambda/python:3.6" in told, "AWS's base image, unless something else is said"
    create(client, "rooted")
    assert answer(client, "rooted")["word"] == "build 1 app.handler rooted AWS_Lambda_python3.6 yes"
    first = version_arn(client, "rooted")
    registry.push(root_image("2"), "lambda/python", "3.6")
    assert "1 function versions moved" in done(server, "runtimes", "upgrade", "python3.6")
    assert answer(client, "rooted")["word"].startswith("build 2 ")
    assert version_arn(client, "rooted") != first
    listed = json.loads(done(server, "runtimes", "list", "--json"))
    builds = [each for each in listed if each["Runtime"] == "python3.6" and each.get("Digest")]
    assert [each["IsPresent"] for each in builds] == [True, False]
    assert "public.ecr.aws/lambda/python:3.6" in done(server, "runtimes", "list")
    done(server, "runtimes", "remove", "python3.6")
    assert not [each for each in json.loads(done(server, "runtimes", "list", "--json")) if each.get("Digest")]
    gone = run(server, "runtimes", "remove", "python3.6")
    assert (gone.returncode, "No root of python3.6 is installed" in gone.stderr) == (1, True)


def test_management_modes_decide_who_moves(server: LambentServer, registry: RealRegistry) -> None:
    client = server.client()
    reference = registry.push(root_image("1"), "modes", "live")
    done(server, "runtimes", "install", "python3.6", "--image", reference)
    for name in ("auto", "update", "manual"):
        create(client, name)
    client.put_runtime_management_config(FunctionName="update", UpdateRuntimeOn="FunctionUpdate")
    first = version_arn(client, "manual")
    client.put_runtime_management_config(FunctionName="manual", UpdateRuntimeOn="Manual", RuntimeVersionArn=first)
    registry.push(root_image("2"), "modes", "live")
    done(server, "runtimes", "upgrade", "python3.6")

    def builds() -> list[str]:
        return [answer(client, name)["word"].split()[1] for name in ("auto", "update", "manual")]

    assert builds() == ["2", "1", "1"]
    client.update_function_configuration(FunctionName="update", Description="changed")
    client.update_function_configuration(FunctionName="manual", Description="changed")
    for name in ("update", "manual"):
        settled(client, name)
    assert builds() == ["2", "2", "1"]
    second = version_arn(client, "auto")
    client.put_runtime_management_config(FunctionName="auto", UpdateRuntimeOn="Manual", RuntimeVersionArn=first)
    assert builds() == ["1", "2", "1"], "rolled back"
    client.put_runtime_management_config(FunctionName="manual", UpdateRuntimeOn="Manual", RuntimeVersionArn=second)
    assert builds() == ["1", "2", "2"]
    client.put_runtime_management_config(FunctionName="auto", UpdateRuntimeOn="Auto")
    assert builds() == ["2", "2", "2"]
    unknown = first[:-4] + "0000"
    with pytest.raises(ClientError, match="is not available for python3.6"):
        client.put_runtime_management_config(FunctionName="auto", UpdateRuntimeOn="Manual", RuntimeVersionArn=unknown)


def test_no_call_fails_while_functions_move(server: LambentServer, registry: RealRegistry) -> None:
    client = server.client()
    reference = registry.push(root_image("1"), "moves", "live")
    done(server, "runtimes", "install", "python3.6", "--image", reference)
    create(client, "busy")
    words: list[str] = []
    failures: list[BaseException] = []
    is_over = threading.Event()

    def call() -> None:
        caller = server.client()
        try:
            while not is_over.is_set():
                words.append(answer(caller, "busy")["word"].split()[1])
        except (ClientError, KeyError) as error:
            failures.append(error)

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    for build in ("2", "3"):
        registry.push(root_image(build), "moves", "live")
        done(server, "runtimes", "upgrade", "python3.6")
    assert answer(client, "busy")["word"].startswith("build 3 ")
    is_over.set()
    for caller in callers:
        caller.join()
    assert failures == []
    assert set(words) >= {"1", "3"}


def test_from_an_archive_and_from_a_layout(server: LambentServer, tmp_path: Path) -> None:
    client = server.client()
    over = make_tar([("var/runtime/bootstrap", _BOOTSTRAP.replace("{build}", "saved"))])
    image = echo_image(over)
    archive = write_docker_archive(image, [shell_layer(), over], tmp_path / "saved.tar", "base:1")
    done(server, "runtimes", "install", "python3.6", "--archive", str(archive))
    create(client, "archived")
    assert answer(client, "archived")["word"].startswith("build saved ")
    layout = write_layout(root_image("laid-out"), tmp_path / "layout")
    done(server, "runtimes", "upgrade", "python3.6", "--layout", str(layout))
    assert answer(client, "archived")["word"].startswith("build laid-out ")


def test_what_the_host_has(server: LambentServer, registry: RealRegistry) -> None:
    client = server.client()
    reference = registry.push(root_image("1"), "over-the-host")
    done(server, "runtimes", "install", "python3.11", "--image", reference)
    create(client, "either", "python3.11")
    assert answer(client, "either")["word"].startswith("build 1 ")
    client.update_function_code(
        FunctionName="either", ZipFile=make_zip_bytes({"app.py": "def handler(event, context):\n    return 'host'\n"})
    )
    settled(client, "either")
    assert "python" in done(server, "runtimes", "install", "python3.11", "--host")
    assert answer(client, "either") == "host"
    refused = run(server, "runtimes", "install", "nodejs4.3", "--host")
    assert refused.returncode == 1
    assert "does not have nodejs4.3" in refused.stderr
    unknown = run(server, "runtimes", "install", "cobol85", "--image", reference)
    assert "not a runtime identifier" in unknown.stderr


def test_layers_and_custom_runtimes_in_a_root(server: LambentServer, registry: RealRegistry) -> None:
    client = server.client()
    reference = registry.push(root_image("1"), "layered")
    for runtime in ("python3.6", "provided.al2"):
        done(server, "runtimes", "install", runtime, "--image", reference)
    layer = client.publish_layer_version(
        LayerName="beside", Content={"ZipFile": make_zip_bytes({"marker": "from a layer"})}
    )["LayerVersionArn"]
    own = "#!/bin/sh\nWORD=own COMMAND='/bin/busybox cat /opt/marker' exec /app/bootstrap\n"
    for name, runtime, files in (
        ("layered", "python3.6", {"marker": "x"}),
        ("custom", "provided.al2", {"bootstrap": (own, 0o755)}),
    ):
        client.create_function(
            FunctionName=name, Runtime=runtime, Handler="a.b", Role=ROLE, Timeout=20, Layers=[layer],
            Code={"ZipFile": make_zip_bytes(files)},
            Environment={"Variables": {"COMMAND": "/bin/busybox cat /opt/marker"}},
        )  # fmt: skip
        assert settled(client, name)["State"] == "Active"
        assert answer(client, name)["said"] == "from a layer"


def test_an_image_that_can_start_nothing(server: LambentServer, registry: RealRegistry) -> None:
    reference = registry.push(echo_image(config={"Entrypoint": []}), "no-start")
    refused = run(server, "runtimes", "install", "python3.6", "--image", reference)
    assert refused.returncode == 1
    assert "nothing in it can run python3.6" in refused.stderr


def test_roots_outlive_a_crash(lambent_server_factory: ServerFactory, registry: RealRegistry) -> None:
    server = lambent_server_factory({"images.registries": registry.host})
    reference = registry.push(root_image("kept"), "crash")
    done(server, "runtimes", "install", "python3.6", "--image", reference)
    create(server.client(), "after")
    server.kill()
    server.start()
    assert answer(server.client(), "after")["word"].startswith("build kept ")


def test_images_are_imported_listed_and_removed(lambent_server_factory: ServerFactory, tmp_path: Path) -> None:
    server = lambent_server_factory({})
    client = server.client()
    layers = [shell_layer()]
    image = echo_image()
    archive = write_docker_archive(image, layers, tmp_path / "image.tar", "public.ecr.aws/team/app:1")
    assert done(server, "images", "import", str(archive)) == "public.ecr.aws/team/app:1\n"
    name = "000000000000.dkr.ecr.us-east-1.amazonaws.com/app:2"
    layout = write_layout(echo_image(make_tar([("x", "y")])), tmp_path / "layout", "ignored")
    done(server, "images", "import", str(layout), "--name", name)
    for function, reference in (("imported", "public.ecr.aws/team/app:1"), ("laid-out", name)):
        client.create_function(
            FunctionName=function, PackageType="Image", Code={"ImageUri": reference}, Role=ROLE, Timeout=20
        )
        assert settled(client, function)["State"] == "Active", "no registry is configured at all"
        assert answer(client, function)["word"] == "hello"
    listed = json.loads(done(server, "images", "list", "--json"))
    assert sorted(each["Names"] for each in listed) == [[name], ["public.ecr.aws/team/app:1"]]
    assert "public.ecr.aws/team/app:1" in done(server, "images", "list")
    done(server, "images", "remove", name)
    assert answer(client, "laid-out")["word"] == "hello", "a function keeps its image"
    client.create_function(FunctionName="late", PackageType="Image", Code={"ImageUri": name}, Role=ROLE)
    assert settled(client, "late")["StateReasonCode"] == "ImageAccessDenied", "nobody answers for the name any more"
    gone = run(server, "images", "remove", name)
    assert (gone.returncode, "No image was imported" in gone.stderr) == (1, True)


def test_an_import_that_was_interrupted_goes_on(lambent_server_factory: ServerFactory, tmp_path: Path) -> None:
    server = lambent_server_factory({})
    image = echo_image(make_tar([("noise", os.urandom(2_000_000))]))
    layout = write_layout(image, tmp_path / "layout", "team/resumed:1")
    largest = max(image.blobs.values(), key=len)
    part = server.data_dir / "images" / "blobs" / f"{hex_of(largest)}.part"
    part.write_bytes(largest[:1_000_000])
    os.chown(part, part.parent.stat().st_uid, part.parent.stat().st_gid)
    done(server, "images", "import", str(layout))
    assert not part.exists(), "unpacked, checked against its digest, and gone"
    part.write_bytes(b"x" * 1_000_000)
    os.chown(part, part.parent.stat().st_uid, part.parent.stat().st_gid)
    done(server, "images", "remove", "team/resumed:1")
    spoilt = write_layout(image, tmp_path / "again", "team/spoilt:1")
    refused = run(server, "images", "import", str(spoilt))
    if refused.returncode:
        # What was here was not what its name says: it is thrown away, and the next attempt begins anew.
        assert "not those of" in refused.stderr or "damaged" in refused.stderr
        done(server, "images", "import", str(spoilt))


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8bdamaged"])
def test_files_that_hold_no_image(lambent_server: LambentServer, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    refused = run(lambent_server, "images", "import", str(path), "--name", "a/b:1")
    assert refused.returncode == 1
    assert os.path.basename(path) in refused.stderr
