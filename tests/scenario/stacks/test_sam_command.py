"""AWS's own SAM command, unchanged, against the server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.running import clean_environment
from tests.scenario.stacks.conftest import Stack, invoked, names

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.long

_SAM = Path(sys.executable).parent.parent / "share" / "sam" / "bin" / "sam"
_TEMPLATE = """
AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Globals:
  Function: {Timeout: 20, MemorySize: 256}
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src/
      Handler: app.handler
      Runtime: RUNTIME
      AutoPublishAlias: live
      Events:
        Get: {Type: HttpApi, Properties: {Path: /hello, Method: GET}}
Outputs:
  Name: {Value: !Ref Hello}
"""


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    if not _SAM.exists():
        pytest.skip("no sam on this machine")


def sam(server: LambentServer, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder."""
    environment = clean_environment()
    # It builds with the interpreter that the search path has, which has to be of the function's version.
    environment["PATH"] = os.pathsep.join((str(_SAM.parent), environment["PATH"]))
    environment |= {
        "AWS_ENDPOINT_URL": server.url, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1", "SAM_CLI_TELEMETRY": "0", "HOME": str(folder),
        "SAM_CLI_CHECK_FOR_UPDATES": "0",
    }  # fmt: skip
    return subprocess.run(
        [_SAM, *arguments], cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip


def test_it_builds_deploys_changes_lists_and_deletes(stacking: LambentServer, tmp_path: Path) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (tmp_path / "template.yaml").write_text(_TEMPLATE.replace("RUNTIME", version))
    source = tmp_path / "src"
    source.mkdir()
    (source / "requirements.txt").write_text("")
    (source / "app.py").write_text("def handler(event, context):\n    return [1, context.function_version]\n")
    flags = ("--stack-name", "by-sam", "--resolve-s3", "--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset")
    for step in (("validate", "--lint"), ("build",), ("deploy", *flags)):
        done = sam(stacking, tmp_path, *step)
        assert done.returncode == 0, done.stdout + done.stderr
    listed = sam(stacking, tmp_path, "list", "stack-outputs", "--stack-name", "by-sam", "--output", "json")
    [output] = json.loads(listed.stdout)
    name = output["OutputValue"]
    assert invoked(stacking, f"{name}:live") == [1, "1"]
    (source / "app.py").write_text("def handler(event, context):\n    return [2, context.function_version]\n")
    for step in (("build",), ("deploy", *flags)):
        done = sam(stacking, tmp_path, *step)
        assert done.returncode == 0, done.stdout + done.stderr
    assert invoked(stacking, f"{name}:live") == [2, "2"]
    unchanged = sam(stacking, tmp_path, "deploy", *flags)
    assert unchanged.returncode == 1
    assert "No changes to deploy. Stack by-sam is up to date" in unchanged.stdout + unchanged.stderr
    deleted = sam(stacking, tmp_path, "delete", "--stack-name", "by-sam", "--no-prompts", "--region", "us-east-1")
    assert deleted.returncode == 0, deleted.stdout + deleted.stderr
    assert name not in names(stacking)


def test_it_tells_what_is_wrong_with_a_template(stacking: LambentServer, tmp_path: Path) -> None:
    wrong = _TEMPLATE.replace("RUNTIME", "python3.13").replace("Type: HttpApi", "Type: HttpApis")
    (tmp_path / "template.yaml").write_text(wrong)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("")
    flags = ("--stack-name", "wrong-by-sam", "--resolve-s3", "--capabilities", "CAPABILITY_IAM")
    done = sam(stacking, tmp_path, "deploy", *flags)
    assert done.returncode == 1
    assert "Invalid Serverless Application Specification document" in done.stdout + done.stderr
    assert Stack(stacking, "wrong-by-sam").status == "REVIEW_IN_PROGRESS"
