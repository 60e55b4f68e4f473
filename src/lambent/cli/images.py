"""`lambent images list | import | remove`: speaks to /_lambent/v1/images, signed like any call."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lambent.cli.calling import called
from lambent.cli.uploads import IMAGES, ProgressBars, import_file

if TYPE_CHECKING:
    import argparse


def run_images(parsed: argparse.Namespace) -> int:
    """List, import or remove images of the server; return 0.

    Raises:
        CommandError: the server cannot be reached or refuses, or the file holds no image.
    """
    if parsed.action == "list":
        return _list(parsed)
    if parsed.action == "import":
        print(import_file(parsed, parsed.file, parsed.name, ProgressBars()))
        return 0
    with called(parsed, IMAGES, parameters={"reference": parsed.reference}, method="DELETE") as answer:
        print(json.loads(answer.read())["Reference"])
    return 0


def _list(parsed: argparse.Namespace) -> int:
    with called(parsed, IMAGES) as answer:
        images = json.loads(answer.read())["Images"]
    if parsed.json:
        print(json.dumps(images, indent=1))
        return 0
    rows = [("DIGEST", "ARCHITECTURE", "UNPACKED", "NAME")]
    for one in images:
        names = one["Names"] or [f"{one['Reference']} (pulled)"]
        size = f"{one['UnpackedBytes'] / 1_000_000:,.1f} MB"
        rows.append((one["Digest"].removeprefix("sha256:")[:12], one["Architecture"], size, ", ".join(names)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        print("  ".join([*(text.ljust(width) for text, width in zip(row[:3], widths, strict=True)), row[3]]))
    return 0
