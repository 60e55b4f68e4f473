"""Packages of functions in Java for tests: compiled here, against what `scripts/setup --test` fetched."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LIBRARIES = Path(sys.prefix) / "share" / "lambent" / "java-tests"
POWERTOOLS = Path(sys.prefix) / "share" / "lambent" / "java-powertools"
FIXTURES = Path(__file__).parent / "fixtures" / "java"
CLIENT = Path(__file__).parents[2] / "src/lambent/environments/runtimes/clients/java/lambent-runtime.jar"


def skip_reason() -> str | None:
    """Return why nothing can be compiled here, None when it can."""
    if shutil.which("javac") is None:
        return "no Java compiler"
    if not any(LIBRARIES.glob("aws-lambda-java-events-*.jar")):
        return "no Java libraries for tests: run ./scripts/setup --test"
    return None


def libraries(*names: str) -> list[Path]:
    """Return fetched jars whose names begin with one of `names`; all without names."""
    return [path for path in sorted(LIBRARIES.glob("*.jar")) if not names or path.name.startswith(names)]


def compile_java(directory: Path, *, classpath: list[Path], release: int = 8) -> dict[str, bytes]:
    """Return class files by their path, compiled from every source below `directory`."""
    with tempfile.TemporaryDirectory() as target:
        compile_into(Path(target), directory, classpath=classpath, release=release)
        return {
            str(path.relative_to(target)): path.read_bytes()
            for path in sorted(Path(target).rglob("*"))
            if path.is_file()
        }


def compile_into(target: Path, directory: Path, *, classpath: list[Path], release: int = 8) -> None:
    """Compile every source below `directory` into `target`."""
    sources = sorted(str(path) for path in directory.rglob("*.java"))
    command = ["javac", "-nowarn", "-Xlint:-options", "--release", str(release), "-d", str(target), *sources]
    ran = subprocess.run([*command, "-cp", ":".join(map(str, classpath))], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
