"""The tree, read once."""

from __future__ import annotations

import pytest

from tests.house.source_tree import SourceTree, read_tree


@pytest.fixture(scope="session")
def source_tree() -> SourceTree:
    """The package as it stands."""
    return read_tree()
