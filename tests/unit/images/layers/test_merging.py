"""Merged layers say what overlayfs would."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from lambent.images.layers.merging import MergeJob, merge_layers
from lambent.images.layers.unpacking import UnpackJob, unpack_layer
from tests.images import Entry, hex_of, make_tar

if TYPE_CHECKING:
    from pathlib import Path


def layer(tmp_path: Path, name: str, members: list[tuple[str, Entry | bytes | str]]) -> str:
    content = make_tar(members)
    packed = gzip.compress(content)
    (tmp_path / f"{name}.blob").write_bytes(packed)
    target = str(tmp_path / name)
    job = UnpackJob(str(tmp_path / f"{name}.blob"), target, hex_of(packed), hex_of(content), 1 << 30)
    assert unpack_layer(job).refusal is None
    return target


def test_layers_hide_replace_and_add(tmp_path: Path) -> None:
    lower = layer(
        tmp_path,
        "lower",
        [
            ("d/kept", "1"),
            ("d/gone", "2"),
            ("d/changed", "old"),
            ("o/a", "a"),
            ("f", "x"),
            ("g/x", "x"),
            ("l", Entry(kind=b"2", link="/etc")),
        ],
    )
    upper = layer(
        tmp_path,
        "upper",
        [
            ("d/.wh.gone", ""),
            ("d/changed", "new"),
            ("o/.wh..wh..opq", ""),
            ("o/b", "b"),
            (".wh.f", ""),
            ("f/in", "y"),
            ("g", "file"),
            ("l/x", "z"),
        ],
    )
    places = tmp_path / "places"
    (places / "proc").mkdir(parents=True)
    (places / "etc").mkdir()
    (places / "etc/hosts").touch()
    merge_layers(MergeJob((lower, upper), str(places), str(tmp_path / "merged")))
    tree = tmp_path / "merged" / "tree"
    found = {str(path.relative_to(tree)): path.read_text() for path in tree.rglob("*") if path.is_file()}
    assert found == {
        "d/kept": "1", "d/changed": "new", "o/b": "b", "f/in": "y", "g": "file", "l/x": "z", "etc/hosts": "",
    }  # fmt: skip
    assert (tree / "proc").is_dir()
    assert (tree / "d/kept").stat().st_nlink == 2, "files are shared with their layer"
    assert (tmp_path / "lower/tree/d/changed").read_text() == "old", "layers stay what they are"
