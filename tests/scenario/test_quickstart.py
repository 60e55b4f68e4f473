"""The README's quickstart, typed as it stands, with the real AWS CLI."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.running import clean_environment

if TYPE_CHECKING:
    from tests.conftest import ServerFactory

_README = Path(__file__).resolve().parents[2] / "README.md"
_AWS = shutil.which("aws")


def _commands() -> list[str]:
    """The quickstart's indented blocks."""
    section = _README.read_text().partition("## Quickstart")[2].partition("## What works")[0]
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", section, re.MULTILINE)
    return ["\n".join(line[4:] for line in block.splitlines()) for block in blocks]


def _version() -> tuple[int, int]:
    assert _AWS is not None
    said = subprocess.run([_AWS, "--version"], check=True, capture_output=True, text=True)
    major, minor = (said.stdout or said.stderr).partition("/")[2].split(".")[:2]
    return int(major), int(minor)


def _knows_endpoint_variable(version: tuple[int, int]) -> bool:
    """Whether the CLI reads AWS_ENDPOINT_URL. Source: its changelog, 1.29 and 2.13."""
    return version >= (2, 13) or (1, 29) <= version < (2, 0)


@pytest.mark.slow
@pytest.mark.skipif(_AWS is None, reason="no AWS CLI on this machine")
def test_the_quickstart_as_it_stands(lambent_server_factory: ServerFactory, tmp_path: Path) -> None:
    server = lambent_server_factory()
    version = _version()
    major = version[0]
    # Each version of the CLI has its own form of the payload; the block of the other one is left out.
    own, foreign = ("--cli-binary-format", None) if major >= 2 else (None, "--cli-binary-format")
    answers = []
    for block in _commands():
        is_other_version = "lambda invoke" in block and (
            (own is not None and own not in block)
            or (foreign is not None and foreign in block and "update" not in block)
        )
        if is_other_version or "--follow" in block:
            continue
        script = block.replace("http://127.0.0.1:4566", server.url).replace(
            ".venv/bin/", f"{Path(sys.executable).parent}/"
        )
        if not _knows_endpoint_variable(version):
            # What the README says of old versions.
            script = script.replace("aws lambda ", f"aws --endpoint-url {server.url} lambda ")
        if foreign is not None:
            script = script.replace(" --cli-binary-format raw-in-base64-out", "")
        if "export" in script:
            (tmp_path / "exports").write_text(
                "\n".join(line for line in script.splitlines() if line.startswith("export"))
            )
        said = subprocess.run(
            ["bash", "-euc", f". ./exports\n{script}"],
            cwd=tmp_path,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert said.returncode == 0, f"{script}\n{said.stdout}{said.stderr}"
        if "lambda invoke" in block:
            answers.append(json.loads((tmp_path / "answer.json").read_text()))
    assert answers == [{"hello": "world"}, {"goodbye": "world"}]
