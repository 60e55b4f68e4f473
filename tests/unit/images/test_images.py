"""Images taken in, resolved, merged, shared and swept, without a registry and without a sandbox."""

from __future__ import annotations

import asyncio
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING

import pytest

from lambent.clock import SystemClock
from lambent.images.failures import ImageUnusableError
from lambent.images.images import ImageRules, Images, Progress
from lambent.images.references import parse_reference
from lambent.images.registries import RegistryTable
from lambent.images.registry import Registry
from lambent.images.trees import ImageTrees
from lambent.wire.http_client import HttpClient
from tests.images import Image, hex_of, make_image, make_index, make_tar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

LAYERS = [
    make_tar([("a/kept", "1"), ("a/gone", "2"), ("etc/hosts", "theirs")]),
    make_tar([("a/.wh.gone", ""), ("b", "3")]),
]


@pytest.fixture(scope="module")
def executor() -> Iterator[ProcessPoolExecutor]:
    """A process that unpacks."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


def images(directory: Path, executor: ProcessPoolExecutor, *, is_merging: bool = False) -> Images:
    """Return images in a directory, with no registry at all."""
    rules = ImageRules("x86_64", 1 << 30, is_merging=lambda: is_merging)
    client = HttpClient()
    return Images(ImageTrees(directory, executor), Registry(client, RegistryTable()), rules, SystemClock())


def upload(directory: Path, image: Image) -> str:
    """Put an image's blobs where uploads are, and return its digest."""
    for content in (image.manifest, *image.manifests.values(), *image.blobs.values()):
        (directory / "blobs" / f"{hex_of(content)}.part").write_bytes(content)
    return image.digest


async def test_an_imported_image_answers_for_its_references(tmp_path: Path, executor: ProcessPoolExecutor) -> None:
    known = images(tmp_path, executor)
    image = make_image(LAYERS, {"Cmd": ["x"]})
    told: list[Progress] = []
    (root,) = await known.take_in("team/app:1", upload(tmp_path, image), told.append)
    assert (root.command, len(root.layers), root.is_merged) == (("x",), 2, False)
    assert {each.phase for each in told} == {"download", "unpack", "layer", "done"}
    for reference in ("team/app:1", "docker.io/team/app:1", f"team/app@sha256:{image.digest}"):
        assert await known.resolve(reference, "x86_64") == image.digest
    for reference in ("team/app:2", "other/app:1", f"other/app@sha256:{image.digest}"):
        with pytest.raises(ImageUnusableError, match="No registry is configured"):
            await known.resolve(reference, "x86_64")
    assert list((tmp_path / "blobs").iterdir()) == [], "what is unpacked is not kept packed"
    again = images(tmp_path, executor)
    assert again.root_of(image.digest) == root, "after a restart"
    assert await again.resolve("team/app:1", "x86_64") == image.digest


async def test_an_index_answers_by_architecture(tmp_path: Path, executor: ProcessPoolExecutor) -> None:
    known = images(tmp_path, executor)
    parts = {name: make_image([make_tar([("arch", name)])], architecture=name) for name in ("amd64", "arm64")}
    index = make_index(parts)
    assert len(await known.take_in("multi:1", upload(tmp_path, index))) == 2
    assert await known.resolve("multi:1", "x86_64") == parts["amd64"].digest
    assert await known.resolve("multi:1", "arm64") == parts["amd64"].digest, "this machine's, where that is allowed"
    with pytest.raises(ImageUnusableError, match="this machine is x86_64"):
        await known.pull("multi:1", parts["arm64"].digest, "arm64")


async def test_merged_where_overlayfs_cannot_be_used(tmp_path: Path, executor: ProcessPoolExecutor) -> None:
    known = images(tmp_path, executor, is_merging=True)
    image = make_image(LAYERS)
    (root,) = await known.take_in("merged:1", upload(tmp_path, image))
    assert root.is_merged
    tree = tmp_path / "layers" / root.layers[0] / "tree"
    assert (tree / "a/kept").read_text() == "1"
    assert not (tree / "a/gone").exists()
    assert (tree / "etc/hosts").read_text() == "theirs"
    assert (tree / "proc").is_dir()
    assert await known.sweep([image.digest]) == 0
    assert known.root_of(image.digest) == root


async def test_layers_are_shared_and_swept(tmp_path: Path, executor: ProcessPoolExecutor) -> None:
    known = images(tmp_path, executor)
    first, second = make_image(LAYERS), make_image([*LAYERS, make_tar([("c", "4")])])
    await known.take_in("first:1", upload(tmp_path, first))
    before = {path.name: path.stat().st_ino for path in (tmp_path / "layers").iterdir()}
    await known.take_in("second:1", upload(tmp_path, second))
    after = {path.name: path.stat().st_ino for path in (tmp_path / "layers").iterdir()}
    assert before.items() < after.items(), "unpacked once for each digest"
    assert await known.sweep([]) == 0, "names keep them"
    reference = next(iter(await known.names.all()))
    assert reference == "docker.io/library/first:1"
    parsed = parse_reference("second:1")
    assert parsed is not None
    assert await known.names.remove(parsed)
    assert await known.sweep([]) == 2, "a description and a layer"
    assert {path.name for path in (tmp_path / "layers").iterdir()} == before.keys()
    assert known.root_of(second.digest) is None


async def test_what_two_want_at_once_comes_once(tmp_path: Path, executor: ProcessPoolExecutor) -> None:
    known = images(tmp_path, executor)
    image = make_image(LAYERS)
    digest = upload(tmp_path, image)
    told: list[Progress] = []
    async with asyncio.TaskGroup() as tasks:
        for name in ("one:1", "two:1"):
            tasks.create_task(known.take_in(name, digest, told.append))
    assert len([each for each in told if each.phase == "unpack"]) == 2, "two layers, once each"


@pytest.mark.parametrize("missing", ["manifest", "config", "layer"])
async def test_uploads_that_are_not_whole(tmp_path: Path, executor: ProcessPoolExecutor, missing: str) -> None:
    known = images(tmp_path, executor)
    image = make_image(LAYERS)
    upload(tmp_path, image)
    contents = {
        "manifest": image.manifest,
        "config": next(iter(image.blobs.values())),
        "layer": [*image.blobs.values()][-1],
    }
    (tmp_path / "blobs" / f"{hex_of(contents[missing])}.part").unlink()
    with pytest.raises(ImageUnusableError, match="was not uploaded"):
        await known.take_in("half:1", image.digest)
    assert known.root_of(image.digest) is None


async def test_a_crash_leaves_whole_images(tmp_path: Path, executor: ProcessPoolExecutor) -> None:
    image = make_image(LAYERS)
    known = images(tmp_path, executor)
    await known.take_in("kept:1", upload(tmp_path, image))
    (tmp_path / "layers" / ".half").mkdir()
    (tmp_path / "manifests" / ".half").write_text("{")
    (tmp_path / "manifests" / f"{'0' * 64}.json").write_text("{")
    again = images(tmp_path, executor)
    assert again.root_of("0" * 64) is None
    assert again.root_of(image.digest) is not None
    await again.sweep([])
    assert [path.name for path in (tmp_path / "layers").iterdir() if path.name.startswith(".")] == []
    assert not (tmp_path / "manifests" / ".half").exists()
    (tmp_path / "names.json").write_text("damaged")
    assert await images(tmp_path, executor).names.all() == {}
