"""Container images as functions and runtimes see them."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - read at run time by what keeps it

from msgspec import Struct, field

# AWS's words for what an index of several platforms says: Go's names of processors.
ARCHITECTURES: Mapping[str, str] = {"amd64": "x86_64", "arm64": "arm64"}


class ImageRoot(Struct, frozen=True):
    """One image, unpacked on this node: what it is made of and how it wants to be started.

    `digest` is its manifest's SHA-256 (lower-case hex). `layers` are the names of unpacked trees, lowest first; with
    `is_merged` there is one, which holds all of them. `variables` are the image's own environment.
    """

    digest: str
    layers: tuple[str, ...]
    architecture: str
    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    working_directory: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    unpacked_bytes: int = 0
    is_merged: bool = False


class RuntimeRoot(Struct, frozen=True):
    """An installed root of a managed runtime. `argv` starts it; in it "{handler}" stands for the function's handler."""

    runtime: str
    root: ImageRoot
    argv: tuple[str, ...]
