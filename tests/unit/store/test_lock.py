"""One daemon for each data directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lambent.store import DataDirectoryLock
from lambent.store.lock import DataDirectoryInUseError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_second_is_told_who_was_first(tmp_path: Path) -> None:
    first = DataDirectoryLock(tmp_path)
    with pytest.raises(DataDirectoryInUseError, match=rf"process {os.getpid()}\)\. Stop it"):
        DataDirectoryLock(tmp_path)
    first.close()
    DataDirectoryLock(tmp_path).close()
