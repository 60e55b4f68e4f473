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
    # Each package has a folder of its own: their executables have one name.
    built = Path(__file__).parents[2] / ".venv" / "share" / "cargo-target" / source.name
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


def dotnet_root() -> Path | None:
    """Return the root of the .NET that the tests' set-up installed, or None."""
    root = Path(__file__).parents[2] / ".venv" / "share" / "dotnet" / "dotnetcore2" / "bin"
    return root if (root / "dotnet").is_file() and shutil.which("mcs") is not None else None


def build_dotnet(root: Path, sources: list[Path], target: Path) -> Path:
    """Compile C# against the assemblies of a .NET root to the assembly `target`, a program unless it is Function.cs."""
    (assemblies,) = (root / "shared" / "Microsoft.NETCore.App").iterdir()
    kind = "library" if sources[0].name == "Function.cs" else "exe"
    needed = (
        "System.Private.CoreLib", "System.Runtime", "System.Console", "System.Net.Sockets", "System.Net.Primitives",
        "System.Runtime.InteropServices.RuntimeInformation", "System.Runtime.Extensions",
    )  # fmt: skip
    references = [f"-r:{assemblies / name}.dll" for name in needed]
    command = ["mcs", "-nostdlib", "-noconfig", f"-target:{kind}", f"-out:{target}", *references, *map(str, sources)]
    _run(command, target.parent, dict(os.environ))
    return target
