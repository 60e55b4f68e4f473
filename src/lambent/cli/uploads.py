"""Images on their way to the server, and what it says of its progress: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from lambent.cli.archives import opened, read_images
from lambent.cli.calling import called
from lambent.cli.failure import CommandError

if TYPE_CHECKING:
    import argparse
    from typing import BinaryIO

    from lambent.cli.archives import Blob, Files

IMAGES = "/_lambent/v1/images"
# What the door takes of one request of our own operations.
_PIECE_BYTES = 262_144
_BAR_WIDTH = 30


class ProgressBars:
    """One line for each thing under way, rewritten as it comes; where nobody watches, one line when it is done."""

    def __init__(self) -> None:
        self._is_watched = sys.stderr.isatty()
        self._shown = ""

    def show(self, name: str, done: int, total: int) -> None:
        """Say how far something is, in bytes."""
        if not self._is_watched:
            return
        share = done / total if total else 1.0
        filled = round(share * _BAR_WIDTH)
        bar = "#" * filled + "." * (_BAR_WIDTH - filled)
        text = f"{name:<26} [{bar}] {share:>4.0%} {done / 1_000_000:,.1f} MB"
        if text != self._shown:
            sys.stderr.write(f"\r\033[K{text}")
            sys.stderr.flush()
            self._shown = text

    def say(self, text: str) -> None:
        """Print a line of its own."""
        sys.stderr.write(f"\r\033[K{text}\n" if self._shown else f"{text}\n")
        sys.stderr.flush()
        self._shown = ""


def import_file(parsed: argparse.Namespace, path: str, name: str | None, bars: ProgressBars) -> str:
    """Upload an image's file, or go on with one; return the reference that it answers for.

    Raises:
        CommandError: the file holds no image or several, no name is known, or the server refuses.
    """
    with opened(path) as files:
        images = read_images(files, path)
        if len(images) > 1:
            images = [each for each in images if each.reference == name] if name else images
            if len(images) != 1:
                names = ", ".join(str(each.reference) for each in images)
                raise CommandError(f"{path} holds several images ({names}): --name says which.")
        image = images[0]
        reference = name or image.reference
        if reference is None:
            raise CommandError(f"{path} does not say what its image is called: --name says it.")
        for blob in image.blobs:
            _upload(parsed, files, blob, bars)
    parameters = {"reference": reference, "digest": image.digest}
    result = follow(parsed, IMAGES, parameters, bars)
    return str(result["Reference"])


def follow(parsed: argparse.Namespace, path: str, parameters: dict[str, str], bars: ProgressBars) -> dict[str, Any]:
    """Call an operation that answers lines of progress; return what it ends with. Raises CommandError."""
    with called(parsed, path, parameters=parameters, method="POST") as answer:
        while line := answer.readline():
            told = json.loads(line)
            if "Error" in told:
                bars.say("")
                raise CommandError(told["Error"]["Message"])
            if "Result" in told:
                result: dict[str, Any] = told["Result"]
                return result
            _show(told, bars)
    raise CommandError("the server's answer ended in the middle; the same command goes on where it was.")


def _show(told: dict[str, Any], bars: ProgressBars) -> None:
    digest = (told.get("Digest") or "").removeprefix("sha256:")[:12]
    phase = told["Phase"]
    if phase == "layer":
        bars.say(f"layer {digest}: unpacked, {told['BytesTotal'] / 1_000_000:,.1f} MB packed")
    elif phase in ("download", "unpack"):
        bars.show(f"{phase} {digest}", told["Bytes"], told["BytesTotal"])


def _upload(parsed: argparse.Namespace, files: Files, blob: Blob, bars: ProgressBars) -> None:
    path = f"{IMAGES}/blobs/{blob.digest}"
    with called(parsed, path) as answer:
        start = int(json.loads(answer.read())["Bytes"])
    if start == blob.size_bytes and blob.content is None:
        return
    if start > blob.size_bytes or blob.content is not None:
        start = 0
    if blob.content is not None:
        import io

        _send(parsed, path, io.BytesIO(blob.content), blob, (0, bars))
        return
    with files.open(blob.name) as file:
        file.seek(start)
        _send(parsed, path, file, blob, (start, bars))


def _send(
    parsed: argparse.Namespace, path: str, file: BinaryIO, blob: Blob, progress: tuple[int, ProgressBars]
) -> None:
    place, bars = progress
    while piece := file.read(_PIECE_BYTES):
        with called(parsed, path, parameters={"offset": str(place)}, method="PUT", body=piece) as answer:
            answer.read()
        place += len(piece)
        bars.show(f"upload {blob.digest.removeprefix('sha256:')[:12]}", place, blob.size_bytes)
