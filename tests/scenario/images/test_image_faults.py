"""Registries, layers, disks and crashes that go wrong: each ends in a state that says so, and nothing is left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.certificates import self_signed
from tests.images import PASSWORD, USER, BadRegistry, Entry, Image, echo_image, hex_of, make_image, make_tar
from tests.scenario.images.conftest import ROLE, answer, create, settled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = [pytest.mark.long, pytest.mark.slow]


@pytest.fixture
def bad() -> Iterator[BadRegistry]:
    """A registry that does as a test says."""
    registry = BadRegistry({})
    yield registry
    registry.close()


@pytest.fixture(scope="module")
def server(lambent_server_factory: ServerFactory) -> LambentServer:
    """A server that may ask every registry of this machine."""
    return lambent_server_factory({"images.registries": "localhost:*", "images.bytes_max": "20000000"})


def left(server: LambentServer) -> list[str]:
    """Return what lies about half-made in the images' directory; what is being removed has a while."""
    deadline = time.monotonic() + 10
    while True:
        found = [str(path) for path in (server.data_dir / "images").glob("*/.*")]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


def failed(server: LambentServer, bad: BadRegistry, image: Image, name: str = "f") -> str:
    """Create a function of an image that cannot be used; return why, and assert that others are unharmed."""
    bad.images["app"] = image
    client = server.client()
    found = create(client, name, f"{bad.host}/app:1")
    assert found["State"] == "Failed", found
    assert found["StateReasonCode"] == "InvalidImage", found
    assert left(server) == []
    assert not (server.data_dir / "images" / "manifests" / f"{image.digest}.json").exists()
    client.delete_function(FunctionName=name)
    assert answer(client, bystander(client, bad))["word"] == "hello"
    return str(found["StateReason"])


def bystander(client: Any, bad: BadRegistry) -> str:
    """Return a function of a good image."""
    try:
        client.get_function(FunctionName="bystander")
    except client.exceptions.ResourceNotFoundException:
        bad.images["bystander"] = echo_image()
        create(client, "bystander", f"{bad.host}/bystander:1")
    return "bystander"


def test_a_connection_that_breaks_is_taken_up_where_it_broke(server: LambentServer, bad: BadRegistry) -> None:
    image = bad.images["app"] = echo_image(make_tar([("noise", os.urandom(3_000_000))]))
    bad.cut_after = 700_000
    assert create(server.client(), "resumed", f"{bad.host}/app:1")["State"] == "Active"
    assert answer(server.client(), "resumed")["word"] == "hello"
    assert len([span for span in bad.ranges if span != "bytes=0-"]) >= 4, "each time from the last byte on"
    largest = max(image.blobs.values(), key=len)
    whole = [each for each in bad.asked if hex_of(largest) in each.path and "range" not in each.headers]
    assert len(whole) == 1


def test_a_registry_that_goes_away_and_comes_back(server: LambentServer, bad: BadRegistry) -> None:
    image = bad.images["app"] = echo_image(make_tar([("noise", os.urandom(3_000_000))]))
    largest = hex_of(max(image.blobs.values(), key=len))
    bad.answer = lambda asked: (503, {}, b"") if largest in asked.path else None
    client = server.client()
    found = create(client, "gone", f"{bad.host}/app:1")
    assert (found["State"], found["StateReasonCode"]) == ("Failed", "InternalError")
    assert f"The registry {bad.host} did not answer: status 503" in found["StateReason"]
    bad.answer = lambda _: None
    client.update_function_code(FunctionName="gone", ImageUri=f"{bad.host}/app:1")
    assert settled(client, "gone")["State"] == "Active"
    assert answer(client, "gone")["word"] == "hello"


def test_an_image_that_was_deleted_between_update_and_pull(server: LambentServer, bad: BadRegistry) -> None:
    image = bad.images["app"] = echo_image()
    bad.answer = lambda asked: (404, {}, b"{}") if f"sha256:{image.digest}" in asked.path else None
    found = create(server.client(), "deleted", f"{bad.host}/app:1")
    assert (found["State"], found["StateReasonCode"]) == ("Failed", "ImageDeleted")


def test_bytes_that_are_not_what_their_digest_says(server: LambentServer, bad: BadRegistry) -> None:
    image = echo_image(make_tar([("file", "honest")]))
    digests = json.loads(image.manifest)["layers"]
    wanted = digests[-1]["digest"].removeprefix("sha256:")
    wrong = dict(image.blobs)
    wrong[wanted] = bytes([*wrong[wanted][:-9], 0, *wrong[wanted][-8:]])
    reason = failed(server, bad, Image(image.manifest, image.media_type, wrong))
    assert any(words in reason for words in ("damaged", "not those of", "end in the middle"))
    other = echo_image(make_tar([("other", "manifest")]))
    bad.images["app"] = image
    bad.answer = lambda asked: (200, {}, other.manifest) if f"/manifests/sha256:{image.digest}" in asked.path else None
    found = create(server.client(), "swapped", f"{bad.host}/app:1")
    assert "another manifest than the digest names" in found["StateReason"]


@pytest.mark.parametrize("change", [1, -1])
def test_sizes_that_are_not_what_the_manifest_says(server: LambentServer, bad: BadRegistry, change: int) -> None:
    image = echo_image(make_tar([("size", str(change))]))
    manifest = json.loads(image.manifest)
    manifest["layers"][-1]["size"] += change
    lying = Image(json.dumps(manifest).encode(), image.media_type, image.blobs)
    assert ("shorter" if change > 0 else "longer") in failed(server, bad, lying)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("../../outside", Entry(b"x"))], "leads out of the image"),
        ([("hard", Entry(kind=tarfile.LNKTYPE, link="/etc/shadow"))], "which its layer has not"),
        ([("sda", Entry(kind=tarfile.BLKTYPE, device=(8, 0)))], "is a device node"),
        ([("zeros", Entry(bytes(21_000_000)))], "larger than 20000000 bytes"),
        ([("/".join(["deep"] * 300), Entry(b"x"))], "directories deep"),
    ],
)
def test_hostile_layers(server: LambentServer, bad: BadRegistry, members: list[tuple[str, Entry]], reason: str) -> None:
    assert reason in failed(server, bad, echo_image(make_tar(members)))


def test_many_layers_and_sizes_that_only_add_up(server: LambentServer, bad: BadRegistry) -> None:
    halves = [make_tar([(f"half{number}", bytes(11_000_000))]) for number in range(2)]
    assert "larger than 20000000 bytes unpacked" in failed(server, bad, echo_image(*halves))
    many = [make_tar([(f"f{number}", str(number))]) for number in range(126)]
    bad.images["app"] = echo_image(*many)
    assert create(server.client(), "many", f"{bad.host}/app:1")["State"] == "Active"
    assert answer(server.client(), "many")["word"] == "hello", "as many layers as an image may have"
    bad.images["app"] = echo_image(*many, make_tar([("one-more", "")]))
    found = create(server.client(), "too-many", f"{bad.host}/app:1")
    assert "more than 127" in found["StateReason"]


@pytest.mark.parametrize(
    "manifest",
    [b"", b"{}", b"[" * 50_000, b'{"schemaVersion": 1}', b'{"schemaVersion": 2, "mediaType": "application/x-other"}'],
)
def test_manifests_that_are_none(server: LambentServer, bad: BadRegistry, manifest: bytes) -> None:
    bad.images["app"] = Image(manifest, "application/json", {})
    client = server.client()
    try:
        found = create(client, f"none-{len(manifest)}", f"{bad.host}/app:1")
    except ClientError as error:
        assert "media type for the source image" in str(error)  # noqa: PT017 - AWS refuses what is of no known kind
    else:
        assert (found["State"], found["StateReasonCode"]) == ("Failed", "InvalidImage")


def test_tokens(lambent_server_factory: ServerFactory, bad: BadRegistry) -> None:
    bad.images["app"] = echo_image()
    bad.token = "a-token"
    stranger = lambent_server_factory({"images.registries": bad.host}).client()
    with pytest.raises(ClientError, match="does not have permission to access the ECR image"):
        create(stranger, "stranger", f"{bad.host}/app:1")
    password = PASSWORD.replace(" ", "%20")
    url = f"http://{USER}:{password}@127.0.0.1:{bad.port}"
    reader = lambent_server_factory({"images.registries": f"{bad.host}={url}"}).client()
    assert create(reader, "reader", f"{bad.host}/app:1")["State"] == "Active"
    assert answer(reader, "reader")["word"] == "hello"
    bad.token = "another-token"
    bad.images["app"] = echo_image(make_tar([("x", "new")]))
    reader.update_function_code(FunctionName="reader", ImageUri=f"{bad.host}/app:1")
    assert settled(reader, "reader")["LastUpdateStatus"] == "Successful", "a token that has expired is asked for anew"


def test_tls_is_checked(lambent_server_factory: ServerFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = self_signed(tmp_path)
    registry = BadRegistry({"app": echo_image()}, (certificate, key))
    try:
        settings = {"images.registries": f"registry.example=https://127.0.0.1:{registry.port}"}
        found = create(lambent_server_factory(settings).client(), "stranger", "registry.example/app:1")
        assert (found["State"], found["StateReasonCode"]) == ("Failed", "InternalError")
        assert not registry.asked, "nothing is said to whom nobody knows"
        # The server's account reads it, which cannot enter the tests' directory.
        known = Path(tempfile.gettempdir()) / f"lambent-test-{os.getpid()}.pem"
        known.write_bytes(certificate.read_bytes())
        monkeypatch.setenv("SSL_CERT_FILE", str(known))
        try:
            client = lambent_server_factory(settings).client()
            assert create(client, "known", "registry.example/app:1")["State"] == "Active"
            assert answer(client, "known")["word"] == "hello"
        finally:
            known.unlink()
    finally:
        registry.close()


def test_storage_behind_a_registry_gets_no_proof(lambent_server_factory: ServerFactory, bad: BadRegistry) -> None:
    image = bad.images["app"] = echo_image()
    storage = BadRegistry({"app": image})
    try:
        bad.token = "for-the-registry-only"
        bad.answer = lambda asked: (
            (307, {"location": f"http://127.0.0.1:{storage.port}{asked.path}"}, b"")
            if "/blobs/" in asked.path and asked.headers.get("authorization")
            else None
        )
        url = f"http://{USER}:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{bad.port}"
        client = lambent_server_factory({"images.registries": f"{bad.host}={url}"}).client()
        assert create(client, "redirected", f"{bad.host}/app:1")["State"] == "Active"
        assert storage.asked
        assert not [each for each in storage.asked if "authorization" in each.headers]
    finally:
        storage.close()


def test_a_crash_while_images_are_pulled(lambent_server_factory: ServerFactory, bad: BadRegistry) -> None:
    server = lambent_server_factory({"images.registries": bad.host})
    bad.images["app"] = echo_image(*(make_tar([(f"n{n}", os.urandom(2_000_000))]) for n in range(4)))
    for turn in range(3):
        client = server.client()
        name = f"crash-{turn}"
        client.create_function(
            FunctionName=name, PackageType="Image", Code={"ImageUri": f"{bad.host}/app:1"}, Role=ROLE, Timeout=20
        )
        _wait(lambda: any((server.data_dir / "images" / "layers").iterdir()))
        server.kill()
        server.start()
        assert left(server) == []
    client = server.client()
    for turn in range(3):
        assert settled(client, f"crash-{turn}")["State"] == "Active"
        assert answer(client, f"crash-{turn}")["word"] == "hello"


def test_a_process_that_is_killed_while_it_unpacks(server: LambentServer, bad: BadRegistry) -> None:
    many = make_tar([(f"files/{number}", os.urandom(300)) for number in range(12_000)])
    bad.images["app"] = echo_image(many)
    client = server.client()
    client.create_function(
        FunctionName="killed", PackageType="Image", Code={"ImageUri": f"{bad.host}/app:1"}, Role=ROLE, Timeout=20
    )
    layers = server.data_dir / "images" / "layers"
    _wait(lambda: any(len(os.listdir(tree)) > 0 for tree in layers.glob(".*/tree/files")))
    for pid in _children(server.pid):
        if b"multiprocessing" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    assert settled(client, "killed")["State"] == "Active", "once more, by another process"
    assert answer(client, "killed")["word"] == "hello"
    assert left(server) == []


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def test_a_full_disk(lambent_server_factory: ServerFactory, bad: BadRegistry, small_disk: Path) -> None:
    server = lambent_server_factory({"images.registries": bad.host}, small_disk)
    client = server.client()
    bad.images["app"] = echo_image()
    assert create(client, "small", f"{bad.host}/app:1")["State"] == "Active"
    bad.images["app"] = make_image([make_tar([("zeros", bytes(90_000_000))])])
    found = create(client, "large", f"{bad.host}/app:1")
    assert (found["State"], found["StateReasonCode"]) == ("Failed", "InternalError")
    assert found["StateReason"] == "The disk that holds the images is full; nothing was kept."
    assert left(server) == []
    assert answer(client, "small")["word"] == "hello"
    server.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A data directory on a disk of 64 MiB."""
    if os.geteuid() != 0:
        pytest.skip("levels L2 and L3 need root")
    directory = Path(tempfile.mkdtemp(prefix="lambent-test-small-"))
    image = directory.with_suffix(".ext4")
    with image.open("wb") as file:
        file.truncate(72 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(directory)], check=True)
    try:
        (directory / "data").mkdir()
        directory.chmod(0o755)
        yield directory / "data"
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)
        directory.rmdir()
        with contextlib.suppress(FileNotFoundError):
            image.unlink()


def _wait(is_so: Any) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)
