"""Packages that nobody here wrote, fetched by their registries' own clients and kept for later runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Beside what `scripts/setup` installs; never in the tree.
CACHE = ROOT / ".venv" / "share" / "test-packages"
SECONDS_MAX = 1_500
UNREACHABLE = "its package registry cannot be reached from here"


def pip_packages(name: str, *requirements: str) -> Path:
    """Return a directory with Python packages (for the tests' own Python version), installed once."""
    return _once(name, requirements, lambda target: [*_pip(), "--quiet", "--target", str(target), *requirements])


def npm_packages(name: str, *packages: str) -> Path:
    """Return a directory that holds node_modules, installed once."""
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-save", "--prefix"]
    return _once(name, packages, lambda target: [*command, str(target), *packages])


def cargo_program(name: str, version: str) -> Path:
    """Return a program of a crate, built once."""
    build = ["--target-dir", str(CACHE / "target")]
    command = ["cargo", "install", "--quiet", name, "--version", version, "--locked", *build, "--root"]
    return _once(name, (version,), lambda target: [*command, str(target)]) / "bin"


def cargo_project(name: str, manifest: str, source: str) -> Path:
    """Return the built program of a project of one file whose dependencies are crates."""
    target = CACHE / name
    (target / "src").mkdir(parents=True, exist_ok=True)
    (target / "Cargo.toml").write_text(manifest)
    (target / "src" / "main.rs").write_text(source)
    build = ["--release", "--target-dir", str(CACHE / "target"), "--manifest-path", str(target / "Cargo.toml")]
    _run(["cargo", "build", "--quiet", *build])
    return CACHE / "target" / "release" / name


def maven_packages(name: str, *coordinates: str) -> Path:
    """Return a directory with the jars of `group:artifact:version`, and of all that they need."""
    return _once(name, coordinates, lambda target: _maven(target, coordinates))


def maven_archive(name: str, coordinates: str) -> Path:
    """Return a directory with the content of a `group:artifact:version:tar.gz:classifier`."""
    target = _once(name, (coordinates,), lambda target: _copied(target, coordinates))
    for packed in target.glob("*.tar.gz"):
        with tarfile.open(packed) as archive:
            archive.extractall(target, filter="data")
        packed.unlink()
    return target


def _copied(target: Path, coordinates: str) -> list[str]:
    goal = "org.apache.maven.plugins:maven-dependency-plugin:3.6.0:copy"
    return ["mvn", "-B", "-q", goal, f"-Dartifact={coordinates}", f"-DoutputDirectory={target}"]


def _maven(target: Path, coordinates: tuple[str, ...]) -> list[str]:
    wanted = "".join(
        "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>".format(
            *one.split(":")
        )
        for one in coordinates
    )
    pom = target / "pom.xml"
    pom.write_text(
        "<project><modelVersion>4.0.0</modelVersion><groupId>tests</groupId><artifactId>tests</artifactId>"
        f"<version>1</version><dependencies>{wanted}</dependencies></project>"
    )
    goal = "org.apache.maven.plugins:maven-dependency-plugin:3.6.0:copy-dependencies"
    return ["mvn", "-B", "-q", "-f", str(pom), goal, f"-DoutputDirectory={target}", "-DincludeScope=runtime"]


def _once(name: str, wanted: tuple[str, ...], command: object) -> Path:
    target = CACHE / name
    stamp = target / "installed.json"
    if stamp.is_file() and json.loads(stamp.read_text()) == list(wanted):
        return target
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    assert callable(command)
    _run(command(target))
    stamp.write_text(json.dumps(list(wanted)))
    return target


def _pip() -> list[str]:
    for uv in (str(ROOT / ".venv" / "tools" / "bin" / "uv"), shutil.which("uv")):
        if uv and os.access(uv, os.X_OK):
            return [uv, "pip", "install", "--python", sys.executable]
    for python in (ROOT / ".venv" / "tools" / "bin" / "python", Path("/usr/bin/python3")):
        if subprocess.run([str(python), "-m", "pip", "--version"], check=False, capture_output=True).returncode == 0:
            return [str(python), "-m", "pip", "--python", sys.executable, "install", "--disable-pip-version-check"]
    pytest.skip(UNREACHABLE)


def _run(command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(UNREACHABLE)
    # The tests' servers must not be slowed by a compiler.
    done = subprocess.run(
        ["nice", "-n", "10", *command], check=False, capture_output=True, text=True, timeout=SECONDS_MAX
    )
    if done.returncode != 0:
        said = done.stdout[-2_000:] + done.stderr[-2_000:]
        if any(word in said.lower() for word in ("connect", "resolve", "dns", "network", "timed out")):
            pytest.skip(UNREACHABLE)
        raise AssertionError(f"{command[0]}: {said}")
