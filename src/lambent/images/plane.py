"""Everything about images as one object, for app.py."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from lambent.images.idleness import FunctionView, IdleImages
from lambent.images.images import ImageRules, Images
from lambent.images.registries import RegistryTable
from lambent.images.registry import Registry
from lambent.images.roots import RuntimeRoots
from lambent.images.routes import HostRuntime, ImageRoutes
from lambent.images.trees import ImageTrees
from lambent.model.function import PackageType

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from concurrent.futures import Executor

    from lambent.clock import Clock
    from lambent.images.idleness import FunctionStates
    from lambent.model.function import FunctionVersion
    from lambent.model.image import ImageRoot, RuntimeRoot
    from lambent.wire.http_client import HttpClient


class ImagePlaneOptions(Struct, frozen=True):
    """Settings and neighbours. `directory`: `images` in the data directory. `executor` unpacks: a pool of processes.

    `architecture`: this machine's. `is_rooted()`: whether sandboxes can have roots of their own; `is_merging()`: only
    as one tree. `host_runtimes()` tells what the host has for every runtime.
    """

    directory: Path
    registries: tuple[str, ...]
    credentials: str
    bytes_max: int
    inactive_seconds: int
    architecture: str
    runs_foreign: bool
    is_rooted: Callable[[], bool]
    is_merging: Callable[[], bool]
    functions: FunctionView
    host_runtimes: Callable[[], Sequence[HostRuntime]] = tuple


class ImagePlane:
    """Scope: node. Keeps what its parts keep."""

    def __init__(self, options: ImagePlaneOptions, client: HttpClient, executor: Executor, clock: Clock) -> None:
        self._options = options
        trees = ImageTrees(options.directory, executor)
        credentials = Path(options.credentials) if options.credentials else None
        registry = Registry(client, RegistryTable(options.registries, credentials))
        rules = ImageRules(options.architecture, options.bytes_max, options.runs_foreign, options.is_merging)
        self.images = Images(trees, registry, rules, clock)
        self.roots = RuntimeRoots(trees, self.images, clock)
        self.idle = IdleImages(trees, clock, options.inactive_seconds, options.functions)
        self.routes = ImageRoutes(self.images, self.roots, trees, options.host_runtimes)

    async def resolve(self, version: FunctionVersion) -> str:
        """Return the digest (hex) of the image that a version's reference means now. Raises ImageUnusableError."""
        assert version.image_uri is not None
        return await self.images.resolve(version.image_uri, version.architecture)

    async def make_ready(self, version: FunctionVersion) -> None:
        """Have a committed version's image and its runtime's root on this node. Raises ImageUnusableError."""
        if version.package_type is PackageType.IMAGE and version.image_uri is not None:
            digest = version.image_manifest or await self.resolve(version)
            await self.images.pull(version.image_uri, digest, version.architecture)

    def root_of(self, version: FunctionVersion) -> ImageRoot | None:
        """Return the unpacked image of a version; None when it is not here, or no sandbox can have it as its root."""
        if version.image_manifest is None or not self._options.is_rooted():
            return None
        return self.images.root_of(version.image_manifest)

    def runtime_root_of(self, version: FunctionVersion) -> RuntimeRoot | None:
        """Return the installed root that a version's runtime runs in; None: what the host has."""
        if version.runtime_build is None or not self._options.is_rooted():
            return None
        return self.roots.root(version.runtime, version.runtime_build)

    async def run(self, states: FunctionStates) -> None:
        """Run jobs, put idle functions to sleep and wake them, until cancelled. `states` is the control plane."""

        async def move(runtime: str) -> int:
            return await states.move_runtime(runtime, self._options.functions.versions())

        self.routes.move = move
        self.routes.want_sweep = states.want_sweep
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.routes.jobs.run())
            tasks.create_task(self.idle.run(states))

    async def sweep(self, used: Collection[str]) -> int:
        """Remove the images that are not in `used` and have neither a name nor a runtime. Returns how many names."""
        return await self.images.sweep({*used, *await self.roots.digests()})
