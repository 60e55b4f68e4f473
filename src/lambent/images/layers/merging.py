"""Several layers as one tree, for machines where overlayfs cannot be used. Hard links: directories only cost anything.

Runs in a worker process. Nothing is written through a link that a layer brought.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat

from msgspec import Struct

# Another file system, or as many links to a file as it can have.
_NO_LINK = (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP)


class MergeJob(Struct, frozen=True):
    """`layers`: directories of unpacked layers, lowest first; then `places`: a tree of what is mounted over."""

    layers: tuple[str, ...]
    places: str
    target: str


def merge_layers(job: MergeJob) -> None:
    """Make `target`/tree from all layers. Raises OSError; then what is there is to be removed."""
    os.mkdir(job.target, 0o755)
    tree = f"{job.target}/tree"
    os.mkdir(tree, 0o755)
    for layer in job.layers:
        with open(f"{layer}/layer.json") as file:
            description = json.load(file)
        _take_away(tree, description["whiteouts"], description["opaque"])
        _lay_over(f"{layer}/tree", tree, frozenset(description["whiteouts"]))
    _lay_over(job.places, tree, frozenset(), is_keeping=True)
    with open(f"{job.target}/layer.json", "w") as file:
        json.dump({"whiteouts": [], "opaque": [], "is_overlay": True, "bytes": 0}, file)


def _take_away(tree: str, whiteouts: list[str], opaque: list[str]) -> None:
    for name in whiteouts:
        if _is_in_place(tree, name):
            _remove(f"{tree}/{name}")
    for name in opaque:
        path = f"{tree}/{name}" if name else tree
        if _is_in_place(tree, name) and os.path.isdir(path) and not os.path.islink(path):
            for entry in os.scandir(path):
                _remove(entry.path)


def _is_in_place(tree: str, name: str) -> bool:
    """Whether all directories above a name are real ones: a link of a lower layer leads elsewhere."""
    parts = name.split("/")
    path = tree
    for part in parts[:-1]:
        path = f"{path}/{part}"
        if os.path.islink(path) or not os.path.isdir(path):
            return False
    return True


def _lay_over(source: str, target: str, left_out: frozenset[str], *, is_keeping: bool = False) -> None:
    for parent, names, files in os.walk(source, onerror=_raise):
        relative = os.path.relpath(parent, source)
        prefix = "" if relative == "." else f"{relative}/"
        for name in names:
            path = f"{target}/{prefix}{name}"
            if os.path.islink(f"{parent}/{name}"):
                _lay_file(f"{parent}/{name}", path)
            else:
                _lay_directory(f"{parent}/{name}", path, is_keeping=is_keeping)
        for name in files:
            path = f"{target}/{prefix}{name}"
            if prefix + name in left_out or (is_keeping and os.path.isfile(path) and not os.path.islink(path)):
                continue
            _lay_file(f"{parent}/{name}", path)


def _lay_directory(source: str, path: str, *, is_keeping: bool) -> None:
    if os.path.islink(path) or (os.path.lexists(path) and not os.path.isdir(path)):
        os.unlink(path)
    is_new = not os.path.isdir(path)
    if is_new:
        os.mkdir(path)
    if is_new or not is_keeping:
        status = os.stat(source)
        os.chmod(path, stat.S_IMODE(status.st_mode))
        os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))


def _lay_file(source: str, path: str) -> None:
    _remove(path)
    try:
        os.link(source, path, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        shutil.copy2(source, path, follow_symlinks=False)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def _raise(error: OSError) -> None:
    raise error
