"""`lambent runtimes list | install | upgrade | remove`: speaks to /_lambent/v1/runtimes, signed like any call."""

from __future__ import annotations

import json
import urllib.parse
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lambent.cli.calling import called
from lambent.cli.failure import CommandError
from lambent.cli.uploads import ProgressBars, follow, import_file

if TYPE_CHECKING:
    import argparse

_PATH = "/_lambent/v1/runtimes"
# AWS's own base images, by runtime: what `install` means when nothing else is said. Source: developer guide,
# "AWS base images for Lambda".
_BASE_IMAGES = "public.ecr.aws/lambda"
_FAMILIES = ("python", "nodejs", "java", "dotnetcore", "dotnet", "ruby", "provided")


def run_runtimes(parsed: argparse.Namespace) -> int:
    """List, install, upgrade or remove roots of runtimes on the server; return 0.

    Raises:
        CommandError: the server cannot be reached or refuses, or the file holds no image.
    """
    if parsed.action == "list":
        return _list(parsed)
    path = f"{_PATH}/{urllib.parse.quote(parsed.runtime, safe='')}"
    if parsed.action == "remove":
        parameters = {"digest": parsed.digest} if parsed.digest else {}
        with called(parsed, path, parameters=parameters, method="DELETE") as answer:
            print(answer.read().decode(), end="")
        return 0
    bars = ProgressBars()
    source = _source(parsed, bars)
    result = follow(parsed, path, source, bars)
    if result.get("Digest"):
        moved = result["FunctionsMoved"]
        print(f"{result['Runtime']}: {result['Reference']} {result['Digest']}, {moved} function versions moved")
    else:
        print(f"{result['Runtime']}: {result['Executable']} {result['Version']} of this machine")
    return 0


def _source(parsed: argparse.Namespace, bars: ProgressBars) -> dict[str, str]:
    if getattr(parsed, "host", False):
        return {"source": "host"}
    file = parsed.archive or parsed.layout
    if file:
        name = parsed.image or f"lambent.local/runtimes/{parsed.runtime.lower()}:{_stamp()}"
        return {"reference": import_file(parsed, file, name, bars)}
    if parsed.image:
        return {"reference": parsed.image}
    return {} if parsed.action == "upgrade" else {"reference": base_image(parsed.runtime)}


def base_image(runtime: str) -> str:
    """Return AWS's base image of a runtime: python3.12 is public.ecr.aws/lambda/python:3.12. Raises CommandError."""
    for family in _FAMILIES:
        if runtime.startswith(family):
            tag = runtime.removeprefix(family).lstrip(".").removesuffix(".x") or "latest"
            repository = "dotnet" if family == "dotnetcore" else family
            return f"{_BASE_IMAGES}/{repository}:{tag if family != 'dotnetcore' else 'core' + tag}"
    raise CommandError(f"AWS has no base image of {runtime}: say --image REFERENCE or --archive FILE.")


def _stamp() -> str:
    # A name of its own for each file: the image of the build before stays what it is.
    import hashlib
    import os

    return hashlib.sha256(os.urandom(16)).hexdigest()[:12]


def _list(parsed: argparse.Namespace) -> int:
    with called(parsed, _PATH) as answer:
        runtimes = json.loads(answer.read())["Runtimes"]
    if parsed.json:
        print(json.dumps(runtimes, indent=1))
        return 0
    shown = [one for one in runtimes if one.get("Digest") or one.get("Executable") or one["IsPresent"]]
    rows = [("RUNTIME", "RUNS ON", "FROM", "SINCE"), *(_row(one) for one in shown if not one.get("Missing"))]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        print("  ".join([*(text.ljust(width) for text, width in zip(row[:3], widths, strict=True)), row[3]]).rstrip())
    return 0


def _row(one: dict[str, Any]) -> tuple[str, str, str, str]:
    if one.get("Digest"):
        since = datetime.fromtimestamp(one["InstalledMs"] / 1000, UTC).isoformat(timespec="seconds")
        state = "root" if one["IsPresent"] else "root (earlier)"
        return one["Runtime"], state, f"{one['Reference']} {one['Digest'][:19]}", since
    if one.get("Executable"):
        state = "host, nearest" if one["IsNearest"] else "host"
        found = f"{one['Executable']} {one['Version']}"
        return one["Runtime"], state if one["IsPresent"] else f"({state})", found, ""
    return one["Runtime"], "package", "what the package brings", ""
