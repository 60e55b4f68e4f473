"""Installing SDKs: what needs no network, and what is said where something is missing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lambent.environments.runtimes import sdk_install
from lambent.environments.runtimes.sdk import SdkDirectories
from lambent.environments.sandbox.sandbox import Interpreter, RuntimeFamily

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_our_own_boto3_is_copied_and_the_rest_gives_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without npm and older Pythons: boto3 works from the copy alone, and each gap is explained. Twice is once."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    outcomes = {each.name: each for each in sdk_install.install_all(tmp_path / "sdk", [])}
    assert outcomes["python-3.10"].is_installed
    assert outcomes["python-3.8"].text == "no Python 3.8 on this machine"
    assert "npm was not found" in outcomes["nodejs-v3"].text
    assert set(SdkDirectories.below(tmp_path / "sdk").python) == {(3, 10)}
    directory = tmp_path / "sdk" / "python-3.10"
    code = f"import sys; sys.path = sys.path[:3] + [{str(directory)!r}]; import boto3; print(boto3.__file__)"
    said = subprocess.run([sys.executable, "-I", "-S", "-B", "-c", code], capture_output=True, text=True, check=False)
    assert said.stdout.strip() == str(directory / "boto3" / "__init__.py"), said.stderr
    again = {each.name: each for each in sdk_install.install_all(tmp_path / "sdk", [])}
    assert again["python-3.10"].text == "installed already"


def test_a_failed_installation_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is the tool's own, and no half directory stays."""
    monkeypatch.setattr(shutil, "which", lambda _: "/bin/false")
    monkeypatch.setattr(sdk_install, "_copy_own", lambda *_: "no boto3")
    python = Interpreter(RuntimeFamily.PYTHON, "/bin/false", "3.8.1")
    outcomes = {each.name: each for each in sdk_install.install_all(tmp_path, [python])}
    assert {name: each.text for name, each in outcomes.items() if name != "python-3.9"} == {
        "python-3.10": "no boto3",
        "python-3.8": "exit status 1",
        "nodejs-v3": "exit status 1",
        "nodejs-v2": "exit status 1",
    }
    assert list(tmp_path.iterdir()) == []


def test_an_installation_that_lacks_a_package_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer Lambent wants more of the SDK: setting up again brings it, and what was there stays until then."""
    modules = tmp_path / "nodejs-v3" / "node_modules"
    (modules / "@aws-sdk" / "client-s3").mkdir(parents=True)
    (tmp_path / "nodejs-v2" / "node_modules" / "aws-sdk").mkdir(parents=True)
    npm = tmp_path / "npm"
    npm.write_text('#!/bin/sh\nfor one; do case $one in @*) mkdir -p "$3/node_modules/$one";; esac; done\n')
    npm.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(npm))
    monkeypatch.setattr(sdk_install, "_copy_own", lambda *_: "no boto3")
    texts = {each.name: each.text for each in sdk_install.install_all(tmp_path, [])}
    assert (texts["nodejs-v3"], texts["nodejs-v2"]) == ("AWS SDK for JavaScript", "installed already")
    assert (modules / "@aws-sdk" / "client-ec2").is_dir()
    texts = {each.name: each.text for each in sdk_install.install_all(tmp_path, [])}
    assert texts["nodejs-v3"] == "installed already"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nodejs-v2", "nodejs-v3", "npm"]
