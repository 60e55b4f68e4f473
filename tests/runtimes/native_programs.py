"""Builds programs that are their own runtime, with the compilers of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

FIXTURES = Path(__file__).parent / "fixtures"
_SECONDS = 1_800


def build_go(source: Path, target: Path, *flags: str) -> Path:
    """Build a Go module to the static executable `target`; its packages come through Go's own proxy."""
    copy = target.with_name(target.name + ".source")
    shutil.copytree(source, copy)
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"}
    _run(["go", "build", *flags, "-o", str(target), "."], copy, environment)
    return target


def build_rust(source: Path, target: Path) -> Path:
    """Build a Rust package's release executable and put it at `target`; what it built is kept for the next time."""
    built = Path(os.environ.get("CARGO_TARGET_DIR", source.parents[1] / ".venv" / "share" / "cargo-target"))
    environment = {**os.environ, "CARGO_TARGET_DIR": str(built)}
    _run(["cargo", "build", "--release", "--locked", "--quiet"], source, environment)
    shutil.copy(built / "release" / "bootstrap", target)
    return target


def build_c(source: Path, target: Path) -> Path:
    """Build one file of C or C++ to the static executable `target`."""
    compiler = "c++" if source.suffix == ".cpp" else "cc"
    _run([compiler, "-O2", "-Wall", "-static", "-o", str(target), str(source)], target.parent, dict(os.environ))
    return target


def _run(command: list[str], directory: Path, environment: dict[str, str]) -> None:
    ran = subprocess.run(
        command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=_SECONDS, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3_000:]
