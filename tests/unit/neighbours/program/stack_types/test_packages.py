"""Code in templates as packages."""

from __future__ import annotations

import base64
import io
import zipfile

import pytest

from lambent.neighbours.program.stack_types.packages import inline_package


def _files(package: str) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(base64.b64decode(package))).namelist()


@pytest.mark.parametrize(
    ("source", "runtime", "files"),
    [
        ("handler = 1", "python3.13", ["index.py"]),
        ("import cfnresponse", "python3.13", ["index.py", "cfnresponse.py"]),
        ("exports.handler = 1", "nodejs22.x", ["index.js"]),
        ("export const handler = 1", "nodejs22.x", ["index.mjs"]),
        ("require('cfn-response')", "nodejs22.x", ["index.js", "node_modules/cfn-response/index.js"]),
    ],
)
def test_files(source: str, runtime: str, files: list[str]) -> None:
    assert _files(inline_package(source, runtime)) == files


def test_the_same_text_is_the_same_package() -> None:
    assert inline_package("a = 1", "python3.13") == inline_package("a = 1", "python3.13")
