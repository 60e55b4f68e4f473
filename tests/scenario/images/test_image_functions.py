"""Functions made from container images: pulled from a real registry by digest, run as the image and ImageConfig say."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import tarfile
import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.images import (
    PASSWORD,
    USER,
    Entry,
    RealRegistry,
    busybox_layer,
    echo_image,
    make_index,
    make_tar,
    python_image,
)
from tests.scenario.images.conftest import answer, create, settled, update

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = [pytest.mark.long, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(lambent_server_factory: ServerFactory, registry: RealRegistry) -> LambentServer:
    """A server that may ask the registry under its own name, and under AWS's and Docker's."""
    url = f"http://127.0.0.1:{registry.port}"
    names = (registry.host, f"*.dkr.ecr.*.amazonaws.com={url}", f"public.ecr.aws={url}/mirror", f"docker.io={url}")
    return lambent_server_factory({"images.registries": ",".join(names)})


@pytest.fixture(scope="module")
def client(server: LambentServer) -> Any:
    """A client of that server."""
    return server.client()


def test_an_image_is_pulled_by_digest_and_runs(client: Any, registry: RealRegistry) -> None:
    image = echo_image()
    reference = registry.push(image, "echo", "1")
    created = client.create_function(
        FunctionName="echo", PackageType="Image", Code={"ImageUri": reference}, Timeout=20,
        Role="arn:aws:iam::000000000000:role/test",
    )  # fmt: skip
    assert (created["State"], created["StateReasonCode"]) == ("Pending", "Creating")
    assert created["CodeSha256"] == image.digest
    assert settled(client, "echo")["State"] == "Active"
    code = client.get_function(FunctionName="echo")["Code"]
    assert code == {
        "RepositoryType": "ECR",
        "ImageUri": reference,
        "ResolvedImageUri": f"{registry.host}/echo@sha256:{image.digest}",
    }
    assert answer(client, "echo", {"a": 1}) == {
        "event": {"a": 1}, "word": "hello", "args": "one", "cwd": "/app", "said": "",
    }  # fmt: skip


def test_a_tag_means_what_it_meant_when_the_function_was_updated(client: Any, registry: RealRegistry) -> None:
    first = echo_image(config={"Env": ["WORD=first", "PATH=/bin"]})
    reference = registry.push(first, "moving", "live")
    create(client, "moving", reference)
    second = echo_image(config={"Env": ["WORD=second", "PATH=/bin"]})
    registry.push(second, "moving", "live")
    assert answer(client, "moving")["word"] == "first"
    client.publish_version(FunctionName="moving")
    client.update_function_code(FunctionName="moving", ImageUri=reference)
    assert settled(client, "moving")["CodeSha256"] == second.digest
    assert answer(client, "moving")["word"] == "second"
    assert answer(client, "moving:1")["word"] == "first"


def test_what_image_config_overrides(client: Any, registry: RealRegistry) -> None:
    reference = registry.push(echo_image(), "config")
    create(client, "config", reference, ImageConfig={"Command": ["two", "three"], "WorkingDirectory": "/bin"})
    told = answer(client, "config")
    assert (told["args"], told["cwd"]) == ("two three", "/bin")
    update(
        client, "config", ImageConfig={"EntryPoint": ["bootstrap"]}, Environment={"Variables": {"PATH": "/bin:/app"}}
    )
    assert answer(client, "config")["args"] == "one", "looked for as the function's PATH says"
    update(client, "config", ImageConfig={}, Environment={"Variables": {"WORD": "mine"}})
    assert answer(client, "config")["word"] == "mine", "the function's variables win over the image's"


@pytest.mark.parametrize(
    ("config", "error_type", "message"),
    [
        ({"EntryPoint": ["/nowhere"]}, "Runtime.InvalidEntrypoint", "fork/exec /nowhere: no such file or directory"),
        (
            {"EntryPoint": ["nowhere"]},
            "Runtime.InvalidEntrypoint",
            'exec: "nowhere": executable file not found in $PATH',
        ),
        ({"EntryPoint": ["/app"]}, "Runtime.InvalidEntrypoint", "fork/exec /app: permission denied"),
        ({"WorkingDirectory": "/nowhere"}, "Runtime.InvalidWorkingDir", "chdir /nowhere: no such file or directory"),
        (
            {"EntryPoint": ["/bin/busybox", "sh", "-c", "exit 3"]},
            "Runtime.ExitError",
            "Runtime exited with error: exit status 3",
        ),
        (
            {"EntryPoint": ["/bin/busybox", "true"]},
            "Runtime.ExitError",
            "Runtime exited without providing a reason",
        ),
    ],
)
def test_programs_that_cannot_be_started(
    client: Any, registry: RealRegistry, config: dict[str, list[str] | str], error_type: str, message: str
) -> None:
    name = "wrong-" + str(abs(hash(json.dumps(config))))
    create(client, name, registry.push(echo_image(), "wrong"), ImageConfig=config)
    told = answer(client, name)
    assert told["errorType"] == error_type
    assert told["errorMessage"].endswith(f" Error: {message}")


def test_what_the_function_sees(client: Any, registry: RealRegistry) -> None:
    over = make_tar([("etc/passwd", "root:x:0:0::/:/bin/sh\n"), ("srv/secret", Entry(b"hidden", 0o600))])
    reference = registry.push(echo_image(over), "view")
    create(client, "view", reference)

    def said(command: str) -> str:
        update(client, "view", Environment={"Variables": {"COMMAND": command, "PATH": "/bin"}})
        return str(answer(client, "view")["said"])

    busybox = "/bin/busybox"
    assert said(f"{busybox} id -u") == "993|"
    assert said(f"{busybox} stat -c %u:%g /app/bootstrap") == "0:0|", "what is the image's is root's"
    assert "Read-only file system" in said(f"{busybox} touch /app/new")
    assert said(f"{busybox} touch /tmp/new && {busybox} ls /tmp/new") == "/tmp/new|"
    assert "Permission denied" in said(f"{busybox} cat /srv/secret")
    assert said(f"{busybox} head -n 1 /etc/hosts").startswith("127.0.0.1")
    assert "null" in said(f"{busybox} ls /dev")
    assert said(f"{busybox} grep -c . /proc/1/status").isdigit() is False, "pid 1 is not to be read"
    seen = said(f"{busybox} ls /")
    assert "root" not in seen.split("|")
    assert "home" not in seen.split("|")


def test_later_layers_hide_and_replace(client: Any, registry: RealRegistry) -> None:
    lower = make_tar(
        [
            ("data/kept", "1"),
            ("data/gone", "2"),
            ("data/changed", "old"),
            ("whole/a", "a"),
            ("whole/b", "b"),
            ("f", "x"),
        ]
    )
    upper = make_tar(
        [
            ("data/.wh.gone", ""),
            ("data/changed", "new"),
            ("whole/.wh..wh..opq", ""),
            ("whole/c", "c"),
            (".wh.f", ""),
            ("f/inside", "a directory now"),
            ("data/hard", Entry(kind=tarfile.LNKTYPE, link="data/changed")),
        ]
    )
    create(client, "layers", registry.push(echo_image(lower, upper), "layers"))
    command = (
        "cd /; /bin/busybox find data whole f -type f | /bin/busybox sort; /bin/busybox cat data/changed data/hard"
    )
    update(client, "layers", Environment={"Variables": {"COMMAND": command, "PATH": "/bin"}})
    assert answer(client, "layers")["said"] == "data/changed|data/hard|data/kept|f/inside|whole/c|newnew"


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_every_compression(client: Any, registry: RealRegistry, compression: str) -> None:
    reference = registry.push(echo_image(compression=compression), f"packed-{compression}")
    assert create(client, f"packed-{compression}", reference)["State"] == "Active"
    assert answer(client, f"packed-{compression}")["word"] == "hello"


@pytest.mark.parametrize(
    ("asked", "pushed"),
    [
        ("000000000000.dkr.ecr.us-east-1.amazonaws.com/team/app:1", "team/app"),
        ("public.ecr.aws/lambda/thing:1", "mirror/lambda/thing"),
        ("thing:1", "library/thing"),
    ],
)
def test_names_that_are_mapped_to_a_registry(client: Any, registry: RealRegistry, asked: str, pushed: str) -> None:
    registry.push(echo_image(), pushed, "1")
    name = f"mapped-{len(asked)}"
    assert create(client, name, asked)["State"] == "Active"
    assert answer(client, name)["word"] == "hello"


def test_an_index_gives_the_image_of_the_architecture(client: Any, registry: RealRegistry) -> None:
    mine, foreign = ("amd64", "arm64") if os.uname().machine == "x86_64" else ("arm64", "amd64")
    index = make_index({foreign: echo_image(architecture=foreign), mine: echo_image(architecture=mine)})
    create(client, "index", registry.push(index, "index"))
    assert answer(client, "index")["word"] == "hello"
    only = make_index({foreign: echo_image(architecture=foreign)})
    failed = create(client, "foreign-index", registry.push(only, "foreign-index"))
    assert (failed["State"], failed["StateReasonCode"]) == ("Failed", "InvalidImage")
    name = {"amd64": "x86_64"}.get(foreign, foreign)
    assert f"it is built for linux/{name}" in failed["StateReason"]
    single = create(client, "foreign", registry.push(echo_image(architecture=foreign), "foreign"))
    assert (single["State"], single["StateReasonCode"]) == ("Failed", "InvalidImage")
    assert f"it is built for {name}" in single["StateReason"]


def test_refusals_in_aws_s_words(client: Any, registry: RealRegistry) -> None:
    registry.push(echo_image(), "there", "1")
    for reference in (
        f"{registry.host}/there:2",
        f"{registry.host}/nowhere:1",
        f"{registry.host}/there@sha256:{'0' * 64}",
    ):
        with pytest.raises(ClientError) as refused:
            create(client, "refused", reference)
        assert refused.value.response["Error"]["Code"] == "InvalidParameterValueException"
        message = f"Source image {reference} does not exist. Provide a valid source image."
        assert refused.value.response["Error"]["Message"] == message
    failed = create(client, "unmapped", "quay.example/some/thing:1")
    assert (failed["State"], failed["StateReasonCode"]) == ("Failed", "ImageAccessDenied")
    assert "images.registries" in failed["StateReason"]
    with pytest.raises(ClientError, match="currently in the following state: Failed"):
        client.invoke(FunctionName="unmapped")
    client.update_function_code(FunctionName="unmapped", ImageUri=f"{registry.host}/there:1")
    assert settled(client, "unmapped")["State"] == "Active"
    assert answer(client, "unmapped")["word"] == "hello"


def test_aws_s_own_client_runs_unchanged_in_an_image(client: Any, registry: RealRegistry) -> None:
    handler = (
        "import os\n"
        "def handler(event, context):\n"
        "    if event == 'fail':\n        raise ValueError('as told')\n"
        "    return [event, os.environ['GREETING'], context.function_name, os.getcwd()]\n"
    )
    create(client, "ric", registry.push(python_image(handler), "ric"))
    assert answer(client, "ric", {"n": 1}) == [{"n": 1}, "from the image", "ric", "/function"]
    told = answer(client, "ric", "fail")
    assert (told["errorType"], told["errorMessage"]) == ("ValueError", "as told")


def test_aws_s_entry_point_starts_its_bootstrap(client: Any, registry: RealRegistry) -> None:
    # As AWS's base images have it: the handler is the first argument, and /var/runtime/bootstrap finds it in _HANDLER.
    script = '#!/bin/sh\n[ $# -eq 1 ] || exit 142\nexport _HANDLER="$1"\nexec /var/runtime/bootstrap\n'
    bootstrap = '#!/bin/sh\nWORD="$_HANDLER in $LAMBDA_TASK_ROOT" exec /app/bootstrap\n'
    over = make_tar([("lambda-entrypoint.sh", script), ("var/runtime/bootstrap", bootstrap), ("var/task/x", "")])
    config = {
        "Entrypoint": ["/lambda-entrypoint.sh"],
        "Cmd": ["app.handler"],
        "WorkingDir": "/var/task",
        "Env": ["LAMBDA_TASK_ROOT=/var/task", "LAMBDA_RUNTIME_DIR=/var/runtime", "PATH=/bin"],
    }
    create(client, "base", registry.push(echo_image(over, config=config), "base"))
    told = answer(client, "base")
    assert (told["word"], told["cwd"]) == ("app.handler in /var/task", "/var/task")
    update(client, "base", ImageConfig={"Command": ["other.handler"]})
    assert answer(client, "base")["word"] == "other.handler in /var/task"


def test_extensions_that_are_in_the_image(client: Any, registry: RealRegistry) -> None:
    script = """#!/bin/busybox sh
    api="http://$AWS_LAMBDA_RUNTIME_API/2020-01-01/extension"
    /bin/busybox wget -q -S -O - --header "Lambda-Extension-Name: beside" --post-data '{"events": ["INVOKE"]}' \
        "$api/register" 2>/tmp/registered >/dev/null
    id=$(/bin/busybox grep -i identifier /tmp/registered | /bin/busybox tr -d '\\r' | /bin/busybox sed 's/.*: *//')
    while /bin/busybox wget -q -O /tmp/next --header "Lambda-Extension-Identifier: $id" "$api/event/next"; do
        /bin/busybox mv /tmp/next /tmp/event
    done
    """
    over = make_tar([("opt/extensions/beside", script.replace("\n    ", "\n"))])
    create(client, "extended", registry.push(echo_image(over), "extended"))
    command = "while ! /bin/busybox test -s /tmp/event; do /bin/busybox usleep 1000; done; /bin/busybox cat /tmp/event"
    update(client, "extended", Environment={"Variables": {"COMMAND": command, "PATH": "/bin"}})
    assert "INVOKE" in answer(client, "extended")["said"]


def test_a_private_registry(lambent_server_factory: ServerFactory, tmp_path: Path) -> None:
    registry = RealRegistry(tmp_path / "private", is_private=True).start()
    try:
        reference = registry.push(echo_image(), "secret/app")
        stranger = lambent_server_factory({"images.registries": registry.host}).client()
        with pytest.raises(ClientError) as refused:
            create(stranger, "secret", reference)
        assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
        assert "does not have permission to access the ECR image" in refused.value.response["Error"]["Message"]
        # Not below pytest's directory, which is closed to the account that the daemon takes.
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        file = f"/tmp/lambent-test-credentials-{os.getpid()}.json"
        with open(file, "w") as credentials:
            json.dump({"auths": {registry.host: {"auth": auth}}}, credentials)
        try:
            settings = {"images.registries": registry.host, "images.credentials": file}
            reader = lambent_server_factory(settings).client()
            assert create(reader, "secret", reference)["State"] == "Active"
            assert answer(reader, "secret")["word"] == "hello"
        finally:
            os.unlink(file)
    finally:
        registry.stop()


def test_an_idle_function_becomes_inactive_and_comes_back(
    lambent_server_factory: ServerFactory, registry: RealRegistry
) -> None:
    image = echo_image(config={"Env": ["WORD=awake", "PATH=/bin"]})
    reference = registry.push(image, "sleepy")
    settings = {
        "images.registries": registry.host,
        "images.inactive_seconds": "1",
        "environments.idle_seconds_max": "1",
    }
    server = lambent_server_factory(settings)
    client = server.client()
    create(client, "sleepy", reference)
    assert answer(client, "sleepy")["word"] == "awake"
    deadline = time.monotonic() + 30
    while (found := client.get_function_configuration(FunctionName="sleepy"))["State"] != "Inactive":
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    assert found["StateReasonCode"] == "Idle"
    with pytest.raises(ClientError, match="currently in the following state: Inactive"):
        client.invoke(FunctionName="sleepy")
    assert settled(client, "sleepy")["State"] in ("Active", "Inactive")
    deadline = time.monotonic() + 30
    while (found := client.get_function_configuration(FunctionName="sleepy"))["State"] != "Active":
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    assert answer(client, "sleepy")["word"] == "awake"


def test_unused_images_go_and_shared_layers_stay(lambent_server_factory: ServerFactory, registry: RealRegistry) -> None:
    server = lambent_server_factory({"images.registries": registry.host})
    client = server.client()
    own = make_tar([("own", "x" * 1000)])
    create(client, "keeper", registry.push(echo_image(), "keeper"))
    create(client, "goer", registry.push(echo_image(own), "goer"))

    def layers() -> int:
        return len(list((server.data_dir / "images" / "layers").glob("[!.]*")))

    assert layers() == 2
    assert answer(client, "goer")["word"] == "hello"
    client.delete_function(FunctionName="goer")
    deadline = time.monotonic() + 20
    while layers() != 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert answer(client, "keeper")["word"] == "hello"


def test_an_image_built_by_buildah(server: LambentServer, client: Any, registry: RealRegistry, tmp_path: Path) -> None:
    if shutil.which("buildah") is None or os.geteuid() != 0:
        pytest.skip("no buildah that may build here")
    context = tmp_path / "context"
    context.mkdir()
    with tarfile.open(fileobj=io.BytesIO(busybox_layer())) as archive:
        archive.extractall(context / "root", filter="data")
    (context / "Dockerfile").write_text(
        "FROM scratch\nCOPY root/ /\nCOPY root/bin/busybox /second\n"
        'ENV WORD=built PATH=/bin\nWORKDIR /app\nENTRYPOINT ["./bootstrap"]\nCMD ["by", "buildah"]\n'
    )
    buildah = ["buildah", "--storage-driver", "vfs", "--root", f"{tmp_path}/store", "--runroot", f"{tmp_path}/run"]
    reference = f"{registry.host}/built:1"
    build = ["bud", "--isolation", "chroot", "--layers", "-t", reference, str(context)]
    for command in (build, ["push", "--tls-verify=false", reference]):
        ran = subprocess.run([*buildah, *command], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
    assert create(client, "built", reference)["State"] == "Active"
    told = answer(client, "built")
    assert (told["word"], told["args"], told["cwd"]) == ("built", "by buildah", "/app")
    for kind in ("oci-archive", "docker-archive"):
        file = tmp_path / f"{kind}.tar"
        subprocess.run([*buildah, "push", reference, f"{kind}:{file}:team/{kind}:1"], check=True)
        command = [str(server.executable), "images", "import", str(file), "--endpoint-url", server.url]
        brought = subprocess.run([*command, "--name", f"team/{kind}:1"], capture_output=True, text=True, check=False)
        assert brought.stdout == f"docker.io/team/{kind}:1\n", brought.stderr
        assert create(client, kind, f"team/{kind}:1")["State"] == "Active"
        assert answer(client, kind)["word"] == "built"


def test_without_isolation_there_is_no_root_to_give(
    lambent_server_factory: ServerFactory, registry: RealRegistry
) -> None:
    server = lambent_server_factory({"images.registries": registry.host, "isolation.level": "L0"})
    found = create(server.client(), "unisolated", registry.push(echo_image(), "unisolated"))
    assert found["State"] == "Failed"
    assert "level L0" in found["StateReason"]
