"""Which SDK a function sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.environments.runtimes.sdk import SdkDirectories

if TYPE_CHECKING:
    from pathlib import Path


def test_installed_sdks_are_read_from_their_directory(tmp_path: Path) -> None:
    """Directories that are not whole are passed over."""
    for name in ("python-3.8/boto3", "python-3.10/boto3", "python-3.9/other", "nodejs-v3/node_modules", "nodejs-v2/x"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / ".python-3.12-partial" / "boto3").mkdir(parents=True)
    sdks = SdkDirectories.below(tmp_path)
    assert sdks.python == {(3, 8): str(tmp_path / "python-3.8"), (3, 10): str(tmp_path / "python-3.10")}
    assert sdks.nodejs == {3: str(tmp_path / "nodejs-v3")}
    assert SdkDirectories.below(tmp_path / "nowhere") == SdkDirectories()


def test_the_newest_sdk_that_supports_the_version() -> None:
    """Python by the interpreter's version, Node.js by the identifier."""
    sdks = SdkDirectories({(3, 8): "a", (3, 10): "b"}, {2: "v2", 3: "v3"})
    assert [sdks.python_for(each) for each in ((3, 7, 1), (3, 8, 1), (3, 9, 0), (3, 13, 0))] == [None, "a", "a", "b"]
    assert [sdks.nodejs_for(each) for each in ((0, 10), (16,), (18,), (24,))] == ["v2", "v2", "v3", "v3"]
    assert SdkDirectories().nodejs_for((20,)) is None
