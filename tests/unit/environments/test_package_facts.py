"""What a package tells before it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.environments.package_facts import PackageFacts
from lambent.model.function import CodeReference, FunctionVersion

if TYPE_CHECKING:
    from pathlib import Path


def version(sha256: str) -> FunctionVersion:
    return FunctionVersion(
        account_id="0" * 12,
        region="us-east-1",
        name="f",
        role="r",
        code=CodeReference(sha256, 1, 1),
        configuration_id="c",
        revision_id="r",
        last_modified_ms=0,
    )


def test_names_sdk_and_native_code(tmp_path: Path) -> None:
    for name, files in {
        "plain": {"index.py": b"import json"},
        "sdk": {"index.py": b"import helper", "lib/helper.py": b"import boto3"},
        "native": {"index.py": b"", "lib/fast.so": b"\x7fELF..."},
    }.items():
        for path, content in files.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    facts = PackageFacts(lambda sha256: tmp_path / sha256)
    for name in ("plain", "sdk", "native", "missing"):
        assert facts.sdk_names(version(name)) is None, "nothing is known before it was learned"
        facts.learn(version(name))
    assert facts.sdk_names(version("plain")) is None
    assert facts.sdk_names(version("sdk")) == frozenset({"index.py", "lib"})
    assert [facts.has_native_code(version(name)) for name in ("plain", "native", "missing")] == [False, True, False]
