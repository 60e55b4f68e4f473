"""Manifests, indexes and configurations, honest and hostile."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.images.manifests import Index, Manifest, ManifestError, read_configuration, read_manifest
from tests.images import make_image, make_index, make_tar

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["schemaVersion", "layers", "config", "x"]), inner),
    max_leaves=10,
)


def test_a_manifest_and_its_configuration() -> None:
    layers = [make_tar([("a", "1")]), make_tar([("b", "2")])]
    image = make_image(layers, {"Env": ["A=1=2", "broken"], "Cmd": ["x"], "WorkingDir": ""})
    manifest = read_manifest(image.manifest)
    assert isinstance(manifest, Manifest)
    configuration = read_configuration(image.blobs[manifest.config.digest])
    assert len(manifest.layers) == len(configuration.diff_ids) == 2
    assert (configuration.architecture, configuration.command) == ("x86_64", ("x",))
    assert configuration.variables == {"A": "1=2"}
    assert configuration.working_directory is None


def test_an_index_chooses_by_architecture() -> None:
    images = {name: make_image([make_tar([("a", name)])], architecture=name) for name in ("amd64", "arm64")}
    index = read_manifest(make_index(images).manifest)
    assert isinstance(index, Index)
    assert index.choose(["arm64"]).digest == images["arm64"].digest
    assert index.choose(["riscv64", "x86_64"]).digest == images["amd64"].digest
    with pytest.raises(ManifestError, match="built for linux/arm64, linux/x86_64, not for riscv64"):
        index.choose(["riscv64"])


@pytest.mark.parametrize(
    "change",
    [
        {"schemaVersion": 1},
        {"mediaType": "application/vnd.docker.distribution.manifest.v1+prettyjws"},
        {"layers": []},
        {"layers": [{}] * 128},
        {"layers": [{"mediaType": "application/x-other", "digest": "sha256:" + "0" * 64, "size": 1}]},
        {"config": {"digest": "sha512:" + "0" * 64, "size": 1}},
        {"config": {"digest": "sha256:" + "0" * 64, "size": -1}},
        {"config": {"digest": "sha256:../../etc/passwd", "size": 1}},
    ],
)
def test_manifests_that_are_refused(change: dict[str, Any]) -> None:
    document = json.loads(make_image([make_tar([("a", "1")])]).manifest)
    with pytest.raises(ManifestError):
        read_manifest(json.dumps(document | change).encode())


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_is_refused_or_read(content: bytes) -> None:
    for read in (read_manifest, read_configuration):
        try:
            read(content)
        except ManifestError:
            continue


def test_depth_is_no_way_out() -> None:
    with pytest.raises(ManifestError):
        read_manifest(b"[" * 100_000)
