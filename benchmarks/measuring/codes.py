"""The functions that are measured: as empty as a runtime allows."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from benchmarks.measuring.daemon import Code

_PYTHON = b"def handler(event, context):\n    return None\n"
_BOTO3 = b"import boto3\n\n\ndef handler(event, context):\n    return None\n"
_NODE = b"exports.handler = async () => null;\n"
PYTHON_ID = f"python3.{sys.version_info.minor}"


def python() -> Code:
    """An empty Python function under our runtime client."""
    return Code(PYTHON_ID, "app.handler", {"app.py": _PYTHON})


def python_boto3() -> Code:
    """A Python function that imports boto3 and does nothing with it."""
    return Code(PYTHON_ID, "app.handler", {"app.py": _BOTO3})


def node() -> Code:
    """An empty Node.js function."""
    return Code("nodejs20.x", "app.handler", {"app.js": _NODE})


def custom(bootstrap: Path) -> Code:
    """A static C program that speaks the Runtime API."""
    return Code("provided.al2023", "unused", {"bootstrap": bootstrap.read_bytes()}, frozenset({"bootstrap"}))


def ruby() -> Code:
    """An empty Ruby function."""
    return Code("ruby3.4", "app.handler", {"app.rb": b"def handler(event:, context:)\nend\n"})


def java(classes: Path, major: int) -> Code:
    """An empty Java function: App.class, which a directory holds."""
    return Code(f"java{major}", "App::handle", {"App.class": (classes / "App.class").read_bytes()})


def program(path: Path, runtime: str = "provided.al2023") -> Code:
    """A compiled program: the bootstrap of a custom runtime, or what the handler of go1.x names."""
    return Code(runtime, "bootstrap", {"bootstrap": path.read_bytes()}, frozenset({"bootstrap"}))


def awslambdaric(interpreter: str) -> Code:
    """An empty Python function under AWS's own runtime client, unchanged, shipped in the package.

    Raises LookupError when it is not installed beside this program.
    """
    files = {"app.py": _PYTHON, "bootstrap": f"#!/bin/sh\nexec {interpreter} -m awslambdaric app.handler\n".encode()}
    for name in ("awslambdaric", "simplejson", "snapshot_restore_py", "runtime_client"):
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:
            raise LookupError(f"{name} is not installed in this environment")
        origin = Path(found.origin)
        if origin.name != "__init__.py":
            files[origin.name] = origin.read_bytes()
            continue
        for path in origin.parent.rglob("*"):
            if path.suffix in (".py", ".so"):
                files[str(path.relative_to(origin.parent.parent))] = path.read_bytes()
    return Code("provided.al2023", "app.handler", files, frozenset({"bootstrap"}))
