"""Which files of /opt/extensions are extensions, of one tree and of several that lie on one another."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from lambent.environments.extensions.files import external_extensions

if TYPE_CHECKING:
    from pathlib import Path


def tree(directory: Path, *names: str) -> Path:
    (directory / "extensions").mkdir(parents=True)
    for name in names:
        (directory / "extensions" / name).touch()
    return directory


def test_files_in_order_and_no_directories(tmp_path: Path) -> None:
    opt = tree(tmp_path / "opt", "b", "a", ".hidden")
    (opt / "extensions" / "library").mkdir()
    (opt / "extensions" / "line\nend").touch()
    assert external_extensions([opt]) == (".hidden", "a", "b")


def test_none(tmp_path: Path) -> None:
    assert external_extensions([tmp_path, tmp_path / "nowhere"]) == ()


def test_a_higher_layer_adds_and_hides(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("levels L2 and L3 need root")
    lower, higher = tree(tmp_path / "lower", "a", "b"), tree(tmp_path / "higher", "c")
    os.mknod(higher / "extensions" / "a", stat.S_IFCHR | 0o600, 0)
    assert external_extensions([lower, higher]) == ("b", "c")
