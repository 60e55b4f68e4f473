"""Values for the tests of this room."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from lambent.model.function import CodeReference, FunctionVersion
from lambent.store import InstallationKey

if TYPE_CHECKING:
    from pathlib import Path


class JumpingClock:
    """A clock that stands still until told."""

    def __init__(self) -> None:
        self.now_ms = 1_767_225_600_000

    def time_ms(self) -> int:
        return self.now_ms

    def monotonic_ns(self) -> int:
        return self.now_ms * 1_000_000


def a_function(name: str = "f", **members: Any) -> FunctionVersion:
    """Return a function with what it must have."""
    defaults: dict[str, Any] = {
        "account_id": "000000000000",
        "region": "us-east-1",
        "name": name,
        "role": "arn:aws:iam::000000000000:role/r",
        "code": CodeReference("0" * 64, 100, 200),
        "configuration_id": "c1",
        "revision_id": "r1",
        "last_modified_ms": 1,
    }
    return FunctionVersion(**{**defaults, **members})


def zip_bytes(files: dict[str, str]) -> bytes:
    """Return a package."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()


@pytest.fixture
def key(tmp_path: Path) -> InstallationKey:
    return InstallationKey.open(tmp_path / "keys")
