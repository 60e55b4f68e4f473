"""Images in files, as several tools write them."""

from __future__ import annotations

import gzip
import json
import tarfile
from typing import TYPE_CHECKING

import pytest

from lambent.cli.archives import opened, read_images
from lambent.cli.failure import CommandError
from tests.images import Entry, hex_of, make_image, make_index, make_tar, write_docker_archive, write_layout

if TYPE_CHECKING:
    from pathlib import Path

LAYERS = [make_tar([("a", "1")]), make_tar([("b", "2")])]


def test_a_layout_as_directory_and_as_archive(tmp_path: Path) -> None:
    image = make_image(LAYERS)
    layout = write_layout(image, tmp_path / "layout", "team/app:1")
    packed = tmp_path / "layout.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(layout, ".")
    for place in (layout, packed):
        with opened(str(place)) as files:
            (found,) = read_images(files, str(place))
            assert (found.digest, found.reference) == (f"sha256:{image.digest}", "team/app:1")
            assert {blob.digest.removeprefix("sha256:") for blob in found.blobs} == {image.digest, *image.blobs}
            for blob in found.blobs:
                content = blob.content
                if content is None:
                    with files.open(blob.name) as file:
                        content = file.read()
                assert (f"sha256:{hex_of(content)}", len(content)) == (blob.digest, blob.size_bytes)


def test_a_tag_alone_is_no_name(tmp_path: Path) -> None:
    layout = write_layout(make_image(LAYERS), tmp_path / "layout", "latest")
    with opened(str(layout)) as files:
        assert read_images(files, "x")[0].reference is None


def test_an_index_of_which_some_is_missing(tmp_path: Path) -> None:
    parts = {name: make_image([make_tar([("a", name)])], architecture=name) for name in ("amd64", "arm64")}
    layout = write_layout(make_index(parts), tmp_path / "layout")
    (layout / "blobs/sha256" / parts["arm64"].digest).unlink()
    with opened(str(layout)) as files:
        (found,) = read_images(files, "x")
    digests = {blob.digest.removeprefix("sha256:") for blob in found.blobs}
    assert parts["amd64"].digest in digests
    assert parts["arm64"].digest not in digests


def test_docker_save_with_layers_that_are_links(tmp_path: Path) -> None:
    image = make_image(LAYERS)
    path = write_docker_archive(image, LAYERS, tmp_path / "saved.tar", "app:1")
    with opened(str(path)) as files:
        (found,) = read_images(files, "x")
        assert found.reference == "app:1"
        assert {f"sha256:{hex_of(layer)}" for layer in LAYERS} < {blob.digest for blob in found.blobs}
    config = make_image(LAYERS).blobs[next(iter(image.blobs))]
    listing = json.dumps([{"Config": "c.json", "RepoTags": None, "Layers": ["x/layer.tar", "y/layer.tar"]}])
    linked = make_tar(
        [
            ("c.json", config),
            ("x/layer.tar", LAYERS[0]),
            ("y/layer.tar", Entry(kind=tarfile.SYMTYPE, link="../x/layer.tar")),
            ("manifest.json", listing),
        ]
    )
    (tmp_path / "linked.tar").write_bytes(linked)
    with opened(str(tmp_path / "linked.tar")) as files:
        (found,) = read_images(files, "x")
    assert found.reference is None


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", gzip.compress(b"neither"), make_tar([("other", "x")]), make_tar([("index.json", "[")]),
     make_tar([("index.json", '{"manifests": []}')]), make_tar([("manifest.json", "[]")])],
)  # fmt: skip
def test_what_holds_no_image(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(CommandError), opened(str(path)) as files:
        read_images(files, str(path))


def test_a_layout_that_lacks_a_layer(tmp_path: Path) -> None:
    image = make_image(LAYERS)
    layout = write_layout(image, tmp_path / "layout")
    (layout / "blobs/sha256" / [*image.blobs][-1]).unlink()
    with pytest.raises(CommandError, match="lacks sha256:"), opened(str(layout)) as files:
        read_images(files, "x")
