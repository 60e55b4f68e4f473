"""What a Java virtual machine says of itself."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from lambent.environments.runtimes.interpreters import InterpreterSearch, SearchPlaces
from lambent.environments.runtimes.jvm import ask_jvm, full_version
from lambent.environments.sandbox.sandbox import RuntimeFamily

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("1.8.0_402", "8.0.402"),
        ("11", "11.0.0"),
        ("17.0.15", "17.0.15"),
        ("21.0.2+13-LTS", "21.0.2"),
        ("25-ea", "25.0.0"),
        ("", ""),
        ("none", ""),
    ],
)
def test_versions(said: str, version: str) -> None:
    assert full_version(said) == version


def _fake_java(directory: Path, said: str) -> Path:
    program = directory / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{said}\nEND\n")
    program.chmod(0o755)
    return program


def test_directories_behind_links_are_needed_too(tmp_path: Path) -> None:
    """Distributions keep a JVM's configuration elsewhere and link to it; documentation does not count."""
    home = tmp_path / "jvm"
    configuration = tmp_path / "configuration"
    (configuration / "security").mkdir(parents=True)
    (configuration / "security" / "java.security").write_text("")
    (tmp_path / "documents").mkdir()
    said = f"    java.home = {home}\n    java.version = 17.0.1\n    java.vm.name = OpenJDK 64-Bit Server VM"
    program = _fake_java(home, said)
    (home / "conf").symlink_to(configuration)
    (home / "security").mkdir()
    (home / "security" / "java.security").symlink_to(configuration / "security" / "java.security")
    (home / "legal").mkdir()
    (home / "legal" / "text").symlink_to(tmp_path / "documents")
    (home / "broken").symlink_to(tmp_path / "nowhere")
    (home / "inner").symlink_to(home / "bin")
    assert ask_jvm(str(program)) == {
        "version": "17.0.1",
        "roots": [str(home), str(configuration), str(configuration / "security")],
    }


@pytest.mark.parametrize(
    "said",
    [
        "",
        "    java.home = /jvm\n    java.version = 17.0.1\n    java.vm.name = Another VM",
        "    java.home = relative\n    java.version = 17.0.1\n    java.vm.name = OpenJDK",
        "    java.home = /jvm\n    java.vm.name = OpenJDK",
    ],
)
def test_what_is_no_usable_jvm(tmp_path: Path, said: str) -> None:
    assert ask_jvm(str(_fake_java(tmp_path / "jvm", said))) == {}
    assert ask_jvm(str(tmp_path / "no-such")) == {}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="no java on this machine")
def test_jvms_are_found_where_they_are_kept(tmp_path: Path) -> None:
    """On the path, by JAVA_HOME, in SDKMAN!'s directory, side by side in one of the system's."""
    real = os.path.realpath(str(shutil.which("java")))
    home = os.path.dirname(os.path.dirname(real))
    (tmp_path / ".sdkman/candidates/java").mkdir(parents=True)
    (tmp_path / ".sdkman/candidates/java/one").symlink_to(home)
    (tmp_path / "side-by-side").mkdir()
    (tmp_path / "side-by-side/two").symlink_to(home)
    for places in (
        SearchPlaces(path=os.path.dirname(real), system=()),
        SearchPlaces(tool_roots={"JAVA_HOME": home}, system=()),
        SearchPlaces(homes=(tmp_path,), system=()),
        SearchPlaces(system=(f"{tmp_path}/side-by-side/*/bin",)),
    ):
        (found,) = InterpreterSearch(places).find()
        assert (found.family, found.executable) == (RuntimeFamily.JAVA, real)
        assert int(found.version.split(".")[0]) >= 8
