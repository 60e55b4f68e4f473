"""`lambent deploy` as a person types it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.running import clean_environment
from tests.scenario.stacks.conftest import Stack, invoked, names

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

_LAMBENT = Path(sys.executable).parent / "lambent"
_SAM = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Word: {Type: String, Default: one}
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.13
      Handler: app.handler
      Environment: {Variables: {WORD: !Ref Word}}
Outputs:
  Name: {Value: !Ref Hello}
"""
_APP = "import os\n\ndef handler(event, context):\n    return [os.environ['WORD'], sorted(os.listdir())]\n"


def deploy(server: LambentServer, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder."""
    return subprocess.run(
        [_LAMBENT, "deploy", *arguments], cwd=folder, env={**clean_environment(), "AWS_ENDPOINT_URL": server.url},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def folder_of(path: Path, template: str = _SAM, **files: str) -> Path:
    """Make a folder with a template and modules of Python."""
    path.mkdir(exist_ok=True)
    (path / "template.yaml").write_text(template)
    for name, content in files.items():
        (path / f"{name}.py").write_text(content)
    return path


def test_a_folder_becomes_a_stack_and_follows_its_files(stacking: LambentServer, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "my_app", app=_APP)
    (folder / ".git").mkdir()
    (folder / ".git" / "kept-out").write_text("")
    previewed = deploy(stacking, folder, "--preview")
    assert previewed.returncode == 0, previewed.stderr
    assert "my-app: 2 to add, 0 to change, 0 to remove" in previewed.stderr
    assert "  + Hello      AWS::Lambda::Function" in previewed.stderr
    assert "my-app" not in {one["StackName"] for one in _stacks(stacking)}
    done = deploy(stacking, folder)
    assert done.returncode == 0, done.stderr
    assert "CREATE_COMPLETE" in done.stderr
    [name] = [line.removeprefix("Name = ") for line in done.stdout.splitlines()]
    assert invoked(stacking, name) == ["one", ["app.py", "template.yaml"]]
    again = deploy(stacking, folder)
    assert again.returncode == 0
    assert "my-app is as the template says: nothing to change." in again.stderr
    assert again.stdout == done.stdout
    (folder / "app.py").write_text(_APP.replace("return [", "return ['changed', "))
    changed = deploy(stacking, folder, "--parameter-overrides", "Word=two", "--tags", "team=one")
    assert changed.returncode == 0, changed.stderr
    assert "  ~ Hello" in changed.stderr
    assert invoked(stacking, name)[:2] == ["changed", "two"]
    assert Stack(stacking, "my-app").described["Tags"] == [{"Key": "team", "Value": "one"}]
    (folder / "app.py").write_text(_APP)
    kept = deploy(stacking, folder)
    assert kept.returncode == 0, kept.stderr
    assert invoked(stacking, name)[0] == "two", "a parameter without a value keeps the one it has"
    Stack(stacking, "my-app").delete()
    assert name not in names(stacking)


@pytest.mark.long
def test_what_fails_says_why_and_leaves_nothing(stacking: LambentServer, tmp_path: Path) -> None:
    template = """
Resources:
  Fine: {Type: AWS::SNS::Topic}
  Wrong:
    Type: AWS::Lambda::Function
    DependsOn: Fine
    Properties:
      Runtime: python3.13
      Handler: app.handler
      Role: arn:aws:iam::000000000000:role/any
      MemorySize: 64
"""
    folder = folder_of(tmp_path / "failing", template, app=_APP)
    failed = deploy(stacking, folder)
    assert failed.returncode == 1
    last = failed.stderr.splitlines()[-1]
    assert last.startswith("lambent: the stack failing is ROLLBACK_COMPLETE: Wrong (AWS::Lambda::Function): "), last
    assert "memorySize" in last
    folder_of(folder, template.replace("64", "256"))
    mended = deploy(stacking, folder)
    assert mended.returncode == 0, mended.stderr
    folder_of(folder, template)
    back = deploy(stacking, folder)
    assert back.returncode == 1
    assert "the stack failing is UPDATE_ROLLBACK_COMPLETE: Wrong (AWS::Lambda::Function): " in back.stderr
    Stack(stacking, "failing").delete()


def test_nested_templates_layers_and_documents_are_packed(stacking: LambentServer, tmp_path: Path) -> None:
    outer = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Layer:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: shared/, LayerName: packed}
  Inner:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: inner/template.yaml
      Parameters: {Layer: !Ref Layer}
  Api:
    Type: AWS::Serverless::HttpApi
    Properties: {DefinitionUri: api.yaml}
Outputs:
  Name: {Value: !GetAtt Inner.Outputs.Name}
  Api: {Value: !Ref Api}
"""
    inner = """
Parameters: {Layer: {Type: String}}
Resources:
  F:
    Type: AWS::Lambda::Function
    Properties:
      Code: ./app.py
      Runtime: python3.13
      Handler: app.handler
      Layers: [!Ref Layer]
      Role: arn:aws:iam::000000000000:role/any
Outputs:
  Name: {Value: !Ref F}
"""
    folder = folder_of(tmp_path / "outer", outer)
    (folder / "api.yaml").write_text("openapi: 3.0.1\ninfo: {title: from a file, version: '1'}\npaths: {}\n")
    (folder / "shared" / "python").mkdir(parents=True)
    (folder / "shared" / "python" / "carried.py").write_text("WORD = 'layered'\n")
    folder_of(folder / "inner", inner, app="import carried\n\ndef handler(event, context):\n    return carried.WORD\n")
    done = deploy(stacking, tmp_path, "outer/template.yaml", "--stack-name", "nesting")
    assert done.returncode == 0, done.stderr
    printed = dict(line.split(" = ") for line in done.stdout.splitlines())
    assert invoked(stacking, printed["Name"]) == "layered"
    assert stacking.client("apigatewayv2").get_api(ApiId=printed["Api"])["Name"] == "from a file"
    s3 = stacking.client("s3")
    bucket = "lambent-deployments-000000000000-us-east-1"
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert len([key for key in keys if key.endswith(".template")]) >= 2
    packed = [io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys if "." not in key]
    held = [sorted(zipfile.ZipFile(one).namelist()) for one in packed]
    assert ["python/carried.py"] in held
    assert ["app.py"] in held
    Stack(stacking, "nesting").delete()


@pytest.mark.parametrize(
    ("template", "arguments", "told"),
    [
        (None, (), "there is no template in this folder: none of template.yaml, template.yml, template.json."),
        (None, ("nowhere.yaml",), "there is no template nowhere.yaml."),
        ("Resources:\n  A: {Type: [\n", (), "template.yaml, line 3: no YAML: "),
        ('{"Resources": {,}}', (), "template.yaml, line 1: no JSON: "),
        ("Resources:\n  A: {Type: X}\n  A: {Type: Y}\n", (), "template.yaml, line 3: no YAML: the key A stands twice."),
        ("- one\n", (), "template.yaml is no template: it holds a list where an object with Resources is wanted."),
        ("Outputs: {}\n", (), "template.yaml has no Resources: a template needs at least one."),
        ("Resources: {A: {Properties: {}}}\n", (), "template.yaml: the resource A has no Type."),
        (
            "Resources: {A: {Type: AWS::Serverless::Function, Properties: {CodeUri: src/}}}\n", (),
            "template.yaml: CodeUri of A names src/, and src does not exist.",
        ),
        (_SAM, ("--parameter-overrides", "Wort=x"), "template.yaml has no parameter Wort; its parameters: Word."),
        (_SAM, ("--parameter-overrides", "Word"), "--parameter-overrides takes NAME=VALUE, not 'Word'."),
        (
            _SAM.replace("Handler: app.handler", "Hander: app.handler"), (),
            "the template is refused: Transform AWS::Serverless-2016-10-31 failed with: Invalid Serverless",
        ),
        ("Resources: {A: {Type: AWS::SNS::Topic, DependsOn: B}}\n", (), "B"),
    ],
)  # fmt: skip
def test_bad_input_is_told_in_a_sentence(
    stacking: LambentServer, tmp_path: Path, template: str | None, arguments: tuple[str, ...], told: str
) -> None:
    if template is not None:
        folder_of(tmp_path, template, app=_APP)
    done = deploy(stacking, tmp_path, *arguments)
    assert done.returncode == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("lambent: ")
    assert told in last
    assert done.stdout == ""
    assert not [one for one in _stacks(stacking) if one["StackStatus"] == "REVIEW_IN_PROGRESS"]


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "alone", app=_APP)
    done = subprocess.run(
        [_LAMBENT, "deploy", "--endpoint-url", "http://127.0.0.1:1"], cwd=folder, env=clean_environment(),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("lambent: no answer from http://127.0.0.1:1: ")


def _stacks(server: LambentServer) -> list[dict[str, str]]:
    pages = server.client("cloudformation").get_paginator("list_stacks").paginate()
    found = [one for page in pages for one in page["StackSummaries"] if one["StackStatus"] != "DELETE_COMPLETE"]
    return list(json.loads(json.dumps(found, default=str)))
