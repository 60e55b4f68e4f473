"""What a package tells before it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from lambent.environments.package_facts import PackageFacts
from lambent.model.function import CodeReference, FunctionVersion, LayerReference

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


def test_libraries_where_the_loader_looks(tmp_path: Path) -> None:
    for name, path in {
        "rooted": "libpq.so.5",
        "filed": "lib/libpq.so",
        "module": "_fast.cpython-311.so",
        "deep": "python/deep/libx.so",
    }.items():
        file = tmp_path / name / path
        file.parent.mkdir(parents=True)
        file.write_bytes(b"")
    facts = PackageFacts(lambda sha256: tmp_path / sha256)
    packages = {name: version(name) for name in ("rooted", "filed", "module", "deep", "missing")}
    layered = {
        name: replace(packages["module"], layers=(LayerReference("l", each.code),)) for name, each in packages.items()
    }
    for each in (*packages.values(), *layered.values()):
        facts.learn(each)
    assert [name for name, each in packages.items() if facts.has_libraries(each)] == ["rooted", "filed"]
    assert [name for name, each in layered.items() if facts.has_libraries(each)] == ["filed"]


def test_names_of_layers_count_for_the_sdk(tmp_path: Path) -> None:
    for path in ("own/index.py", "layer/python/six.py", "layer/python/lib/python3.12/site-packages/boto3/__init__.py"):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"import boto3")
    facts = PackageFacts(lambda sha256: tmp_path / sha256)
    layered = replace(version("own"), layers=(LayerReference("l", CodeReference("layer", 1, 1)),))
    facts.learn(version("own"))
    assert facts.sdk_names(layered) is None, "the layer is not known yet"
    facts.learn(layered)
    assert facts.sdk_names(layered) == frozenset({"index.py", "six.py", "lib", "boto3"})
