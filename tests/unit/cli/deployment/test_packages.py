"""What is packed, and how templates name it then."""

from __future__ import annotations

import io
import json
import os
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from lambent.cli.deployment.packages import Packer, pack
from lambent.cli.failure import CommandError

if TYPE_CHECKING:
    from pathlib import Path


class _Kept:
    """Where packages go, in memory."""

    bucket = "packages"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, path: Path, key: str) -> None:
        self.objects[key] = path.read_bytes()

    def url(self, key: str) -> str:
        return f"http://127.0.0.1:4566/packages/{key}"

    def template(self, url: str) -> Any:
        return json.loads(self.objects[url.rpartition("/")[2]])


@pytest.fixture
def kept() -> _Kept:
    return _Kept()


def _packed(kept: _Kept, folder: Path, template: dict[str, Any]) -> Any:
    (folder / "template.json").write_text(json.dumps(template))
    work = folder.parent / f"{folder.name}.work"
    work.mkdir(exist_ok=True)
    return kept.template(Packer(kept, work).upload(folder / "template.json"))


def test_the_same_folder_is_the_same_package(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / ".git").mkdir(parents=True)
    (source / ".git" / "config").write_text("")
    (source / "inner").mkdir()
    (source / "inner" / "b.py").write_text("b")
    (source / "run.sh").write_text("a")
    (source / "run.sh").chmod(0o755)
    pack(source, tmp_path / "one.zip")
    os.utime(source / "run.sh", (1, 1))
    pack(source, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        modes = {one.filename: one.external_attr >> 16 & 0o777 for one in archive.infolist()}
    assert modes == {"inner/b.py": 0o644, "run.sh": 0o755}


def test_a_function_without_code_is_the_templates_folder(kept: _Kept, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "app.py").write_text("")
    resources = {
        "Sam": {"Type": "AWS::Serverless::Function", "Properties": {}},
        "Plain": {"Type": "AWS::Lambda::Function"},
        "Inline": {"Type": "AWS::Serverless::Function", "Properties": {"InlineCode": "1"}},
        "Image": {"Type": "AWS::Serverless::Function", "Properties": {"PackageType": "Image", "ImageUri": "a:b"}},
        "Elsewhere": {"Type": "AWS::Serverless::Function", "Properties": {"CodeUri": "s3://a/b"}},
        "Zipped": {"Type": "AWS::Lambda::Function", "Properties": {"Code": {"ZipFile": "1"}}},
    }
    found = _packed(kept, folder, {"Resources": resources})["Resources"]
    uri = found["Sam"]["Properties"]["CodeUri"]
    key = uri.removeprefix("s3://packages/")
    assert found["Plain"]["Properties"]["Code"] == {"S3Bucket": "packages", "S3Key": key}
    assert zipfile.ZipFile(io.BytesIO(kept.objects[key])).namelist() == ["app.py", "template.json"]
    for name in ("Inline", "Image", "Elsewhere", "Zipped"):
        assert found[name] == resources[name]


def test_code_of_globals_is_everybodys(kept: _Kept, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "app.py").write_text("")
    found = _packed(
        kept, folder,
        {
            "Transform": "AWS::Serverless-2016-10-31", "Globals": {"Function": {"CodeUri": "src"}},
            "Resources": {"Sam": {"Type": "AWS::Serverless::Function", "Properties": {}}},
        },
    )  # fmt: skip
    assert found["Globals"]["Function"]["CodeUri"].startswith("s3://packages/")
    assert found["Resources"]["Sam"]["Properties"] == {}


def test_included_snippets_are_uploaded(kept: _Kept, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "snippet.yaml").write_text("a: 1")
    include = {"Fn::Transform": {"Name": "AWS::Include", "Parameters": {"Location": "snippet.yaml"}}}
    found = _packed(kept, folder, {"Resources": {"Any": {"Type": "AWS::SNS::Topic", "Properties": include}}})
    location = found["Resources"]["Any"]["Properties"]["Fn::Transform"]["Parameters"]["Location"]
    assert kept.objects[location.removeprefix("s3://packages/")] == b"a: 1"


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"CodeUri": "none"}, "CodeUri of Sam names none, and .* does not exist"),
        ({"CodeUri": "empty"}, "empty is empty: there is nothing to deploy"),
        ({"PackageType": "Image"}, "Sam is an image without ImageUri"),
    ],
)
def test_what_cannot_be_packed_is_told(kept: _Kept, tmp_path: Path, properties: dict[str, str], told: str) -> None:
    folder = tmp_path / "app"
    (folder / "empty").mkdir(parents=True)
    with pytest.raises(CommandError, match=told):
        _packed(kept, folder, {"Resources": {"Sam": {"Type": "AWS::Serverless::Function", "Properties": properties}}})


def test_templates_that_name_each_other_end(kept: _Kept, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    nested = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "template.json"}}
    with pytest.raises(CommandError, match="templates name each other"):
        _packed(kept, folder, {"Resources": {"Inner": nested}})
