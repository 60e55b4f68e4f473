"""A skip that nobody has allowed fails where skips are watched; every skip is told with what proves it elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.house.source_tree import ROOT
from tests.skips import read_allowed

if TYPE_CHECKING:
    from pathlib import Path

_CONFTEST = """
from tests.skips import AllowedSkip, SkipGuard, is_strict
def pytest_configure(config):
    allowed = AllowedSkip("no such machine", "a thing", "it is another", "make it so")
    config.pluginmanager.register(SkipGuard((allowed,), is_strict=is_strict()))
"""
_TEST = "import pytest\ndef test_it():\n    pytest.skip({reason!r})\n"


def _run(directory: Path, reason: str, ci: str) -> tuple[int, str]:
    (directory / "conftest.py").write_text(_CONFTEST)
    (directory / "test_planted.py").write_text(_TEST.format(reason=reason))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", "."]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CI": ci}
    ran = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reason", "ci", "status", "told"),
    [
        ("no such machine here", "true", 0, "proven by: make it so"),
        ("I do not feel like it", "true", 1, "not listed in tests/allowed_skips.toml"),
        ("I do not feel like it", "", 0, "not listed in tests/allowed_skips.toml"),
    ],
)
def test_an_unlisted_skip_fails_with_ci(tmp_path: Path, reason: str, ci: str, status: int, told: str) -> None:
    code, said = _run(tmp_path, reason, ci)
    assert code == status, said
    assert told in said


def test_an_entry_says_what_why_and_what_proves_it(tmp_path: Path) -> None:
    assert read_allowed()
    (tmp_path / "skips.toml").write_text('[[skip]]\nreason = "x"\nwhat = "y"\nwhy = "z"\n')
    with pytest.raises(pytest.UsageError, match="lacks proven_by"):
        read_allowed(tmp_path / "skips.toml")
