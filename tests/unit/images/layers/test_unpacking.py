"""A layer becomes a tree; what is hostile about it becomes a refusal, and nothing is left outside or behind."""

from __future__ import annotations

import gzip
import os
import stat
import tarfile
from typing import TYPE_CHECKING

import pytest

from lambent.images.layers.unpacking import DEPTH_MAX, UnpackedLayer, UnpackJob, unpack_layer
from tests.images import Entry, hex_of, make_tar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LINK, HARD, DIRECTORY = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE


def unpack(tmp_path: Path, content: bytes, bytes_max: int = 1 << 30, **changes: str) -> UnpackedLayer:
    packed = gzip.compress(content, 1)
    (tmp_path / "blob").write_bytes(packed)
    values = {"digest": hex_of(packed), "diff_id": hex_of(content)} | changes
    return unpack_layer(UnpackJob(str(tmp_path / "blob"), str(tmp_path / "out"), bytes_max=bytes_max, **values))


def good(tmp_path: Path, members: Sequence[tuple[str, Entry | bytes | str]]) -> Path:
    unpacked = unpack(tmp_path, make_tar(members))
    assert unpacked.refusal is None
    return tmp_path / "out" / "tree"


def refused(tmp_path: Path, members: Sequence[tuple[str, Entry | bytes | str]]) -> str:
    unpacked = unpack(tmp_path, make_tar(members))
    assert unpacked.refusal is not None
    assert sorted(os.listdir(tmp_path)) == ["blob"], "nothing is left, inside or outside"
    return unpacked.refusal


def test_files_directories_links_and_times(tmp_path: Path) -> None:
    tree = good(
        tmp_path,
        [
            ("a/", Entry(kind=DIRECTORY, mode=0o500)),
            ("./a/file", Entry(b"content", 0o4751, mtime=1_600_000_000)),
            ("/absolute", "stripped"),
            ("deep/er/without/parents", "x"),
            ("a/hard", Entry(kind=HARD, link="a/file")),
            ("soft", Entry(kind=LINK, link="/etc/passwd")),
            ("twice", "first"),
            ("twice", "second"),
        ],
    )
    status = (tree / "a" / "file").stat()
    assert stat.S_IMODE(status.st_mode) == 0o751, "no set-user bit"
    assert (int(status.st_mtime), status.st_nlink) == (1_600_000_000, 2)
    assert stat.S_IMODE((tree / "a").stat().st_mode) == 0o700, "its owner, who removes it one day, may write"
    assert (tree / "absolute").read_text() == "stripped"
    assert (tree / "deep/er/without/parents").read_text() == "x"
    assert (tree / "soft").readlink().as_posix() == "/etc/passwd", "it leads into the image's own root, once it is one"
    assert (tree / "twice").read_text() == "second"


def test_links_of_directories_are_followed_inside_only(tmp_path: Path) -> None:
    tree = good(
        tmp_path,
        [
            ("lib", Entry(kind=LINK, link="usr/lib")),
            ("lib/one", "1"),
            ("up", Entry(kind=LINK, link="../../../../..")),
            ("up/two", "2"),
            ("abs", Entry(kind=LINK, link="/etc")),
            ("abs/three", "3"),
        ],
    )
    assert (tree / "usr/lib/one").read_text() == "1"
    assert (tree / "two").read_text() == "2"
    assert (tree / "etc/three").read_text() == "3"
    assert not os.path.exists("/etc/three")


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("../outside", "x")], "leads out of the image"),
        ([("a/../../outside", "x")], "leads out of the image"),
        ([("hard", Entry(kind=HARD, link="/etc/passwd"))], "which its layer has not"),
        ([("hard", Entry(kind=HARD, link="../../etc/passwd"))], "leads out of the image"),
        (
            [("d", Entry(kind=LINK, link="/etc")), ("hard", Entry(kind=HARD, link="d/passwd"))],
            "which its layer has not",
        ),
        ([("null", Entry(kind=tarfile.CHRTYPE, device=(1, 3)))], "is a device node"),
        ([("sub/sda", Entry(kind=tarfile.BLKTYPE, device=(8, 0)))], "is a device node"),
        ([("a", Entry(kind=LINK, link="b")), ("b", Entry(kind=LINK, link="a")), ("a/x", "x")], "too many links"),
        ([("/".join(["d"] * (DEPTH_MAX + 1)), "x")], "directories deep"),
        ([("x" * 300, "x")], "name too long"),
        ([("odd", Entry(kind=b"S"))], "kind that is not unpacked"),
        ([(".wh...", "")], "whiteout of nothing"),
    ],
)
def test_hostile_layers(tmp_path: Path, members: list[tuple[str, Entry | bytes | str]], reason: str) -> None:
    assert reason.lower() in refused(tmp_path, members).lower()


def test_nodes_below_dev_are_left_out_with_a_word(tmp_path: Path) -> None:
    members = [("dev/null", Entry(kind=tarfile.CHRTYPE, device=(1, 3))), ("a", Entry(b"", 0o4755))]
    attributed = ("b", Entry(b"", extended={"SCHILY.xattr.security.capability": "x"}))
    unpacked = unpack(tmp_path, make_tar([*members, attributed]))
    assert unpacked.refusal is None
    assert os.listdir(tmp_path / "out/tree/dev") == []
    assert "device nodes" in " ".join(unpacked.notes)
    assert "set-user" in " ".join(unpacked.notes)
    assert "extended attributes" in " ".join(unpacked.notes)


def test_whiteouts_have_overlayfs_s_form(tmp_path: Path) -> None:
    tree = good(
        tmp_path,
        [
            ("a/.wh.gone", ""),
            ("b/.wh..wh..opq", ""),
            ("b/new", "x"),
            (".wh.c", ""),
            ("c/inside", "x"),
            (".wh..wh.plnk", ""),
        ],
    )
    whiteout = (tree / "a/gone").lstat()
    assert stat.S_ISCHR(whiteout.st_mode)
    assert whiteout.st_rdev == 0
    assert os.getxattr(tree / "b", "user.overlay.opaque") == b"y"
    assert os.getxattr(tree / "c", "user.overlay.opaque") == b"y"
    assert sorted(os.listdir(tree)) == ["a", "b", "c"]


def test_bombs(tmp_path: Path) -> None:
    content = make_tar([("zeros", bytes(3_000_000))])
    assert "larger than" in str(unpack(tmp_path, content, 1_000_000).refusal)
    assert not (tmp_path / "out").exists()


def test_digests_are_held_against_the_bytes(tmp_path: Path) -> None:
    content = make_tar([("a", "x")])
    assert "its bytes are not those of" in str(unpack(tmp_path, content, digest="0" * 64).refusal)
    assert "unpacked bytes are not those of" in str(unpack(tmp_path, content, diff_id="0" * 64).refusal)
    packed = gzip.compress(content)
    (tmp_path / "blob").write_bytes(packed[:-20])
    job = UnpackJob(str(tmp_path / "blob"), str(tmp_path / "out"), hex_of(packed[:-20]), hex_of(content), 1 << 30)
    assert "end in the middle" in str(unpack_layer(job).refusal)
