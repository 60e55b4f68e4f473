"""Installed roots of managed runtimes: which builds of a runtime are here, and which is the present one."""

from __future__ import annotations

import asyncio
import os
import posixpath
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import asdict, replace

from lambent.model.errors import ResourceConflictError, ResourceNotFoundError
from lambent.model.image import RuntimeRoot

if TYPE_CHECKING:
    from lambent.clock import Clock
    from lambent.images.images import Images
    from lambent.images.trees import ImageTrees
    from lambent.model.image import ImageRoot

_FILE = "runtimes.json"
_HANDLER = "{handler}"
# The builds of AWS's base images bring their own start; it wants the handler in _HANDLER, which every function has.
_BOOTSTRAP = "/var/runtime/bootstrap"
_ENTRY_POINT = "/lambda-entrypoint.sh"
# What AWS's images for OS-only runtimes do: the first bootstrap there is.
_OWN_BOOTSTRAPS = (
    "/bin/sh",
    "-c",
    'for f; do if [ -x "$f" ] && [ ! -d "$f" ]; then exec "$f"; fi; done; '
    'echo "Couldn\'t find valid bootstrap(s): [$*]" >&2; exit 214',
    "bootstrap",
    "/var/runtime/bootstrap",
    "/var/task/bootstrap",
    "/opt/bootstrap",
)
_LINKS_MAX = 40


class RuntimeBuild(Struct, frozen=True):
    """One installed root of a runtime. `digest` is its image's; `installed_ms` since the Unix epoch."""

    runtime: str
    digest: str
    reference: str
    installed_ms: int
    is_present: bool = False


class RuntimeRoots:
    """`runtimes.json`. Scope: node. Several builds of a runtime may be here: functions move when their mode says so."""

    def __init__(self, trees: ImageTrees, images: Images, clock: Clock) -> None:
        self._trees = trees
        self._images = images
        self._clock = clock
        self._lock = asyncio.Lock()
        self._builds: dict[str, list[RuntimeBuild]] = {}
        self._plans: dict[tuple[str, str], RuntimeRoot] = {}

        document = trees.read_document_now(_FILE)
        if isinstance(document, dict):
            for runtime, builds in document.items():
                self._builds[runtime] = [RuntimeBuild(**build) for build in builds]

    def builds(self) -> list[RuntimeBuild]:
        """Return every installed build, the present one of each runtime first."""
        found = [build for builds in self._builds.values() for build in builds]
        return sorted(found, key=lambda build: (build.runtime, not build.is_present, -build.installed_ms))

    def builds_of(self, runtime: str) -> list[str | None]:
        """Return the digests of a runtime's builds, None for what the host has; the present one first."""
        builds = sorted(self._builds.get(runtime, ()), key=lambda build: (not build.is_present, -build.installed_ms))
        digests: list[str | None] = [build.digest for build in builds]
        return [*digests, None] if builds and builds[0].is_present else [None, *digests]

    def root(self, runtime: str | None, digest: str | None) -> RuntimeRoot | None:
        """Return how a build of a runtime is started; None: what the host has, or the build is gone."""
        if runtime is None or digest is None:
            return None
        image = self._images.root_of(digest)
        if image is None:
            return None
        known = self._plans.get((runtime, digest))
        if known is None or known.root is not image:
            known = self._plans[runtime, digest] = RuntimeRoot(runtime, image, self._start(runtime, image))
        return known

    async def install(self, runtime: str, root: ImageRoot, reference: str) -> RuntimeBuild:
        """Make an image that is here the present build of a runtime. Raises ResourceConflictError: it cannot start."""
        if not self._start(runtime, root):
            raise ResourceConflictError(
                f"The image {reference} has neither {_BOOTSTRAP} nor {_ENTRY_POINT} nor an entry point: "
                f"nothing in it can run {runtime}."
            )
        build = RuntimeBuild(runtime, root.digest, reference, self._clock.time_ms(), is_present=True)
        async with self._lock:
            others = [replace(each, is_present=False) for each in self._builds.get(runtime, ())]
            await self._write(runtime, [build, *(each for each in others if each.digest != root.digest)])
        return build

    async def use_host(self, runtime: str) -> None:
        """Make what the host has the present build of a runtime; roots stay for functions that are pinned to them."""
        async with self._lock:
            if runtime in self._builds:
                await self._write(runtime, [replace(each, is_present=False) for each in self._builds[runtime]])

    async def remove(self, runtime: str, digest: str | None) -> list[str]:
        """Take builds of a runtime away, all or one; return their digests. The newest that is left is the present one.

        Raises:
            ResourceNotFoundError: no such build is installed (404).
        """
        async with self._lock:
            builds = self._builds.get(runtime, [])
            gone = [each for each in builds if digest in (None, each.digest)]
            if not gone:
                raise ResourceNotFoundError(f"No root of {runtime} is installed.")
            left = [each for each in builds if each not in gone]
            if left and any(each.is_present for each in gone):
                left[0] = replace(left[0], is_present=True)
            await self._write(runtime, left)
        return [each.digest for each in gone]

    async def digests(self) -> set[str]:
        """Return the digests of all builds."""
        return {build.digest for build in self.builds()}

    async def _write(self, runtime: str, builds: list[RuntimeBuild]) -> None:
        changed = {**self._builds, runtime: builds}
        document = {name: [asdict(each) for each in kept] for name, kept in changed.items() if kept}
        await self._trees.write_document(_FILE, document)
        self._builds = {name: kept for name, kept in changed.items() if kept}

    def _start(self, runtime: str, root: ImageRoot) -> tuple[str, ...]:
        """Return what starts the runtime, "{handler}" for the function's handler; nothing if nothing can."""
        if runtime.startswith("provided"):
            return _OWN_BOOTSTRAPS
        if self._has(root, _BOOTSTRAP):
            return (_BOOTSTRAP,)
        if self._has(root, _ENTRY_POINT):
            return (_ENTRY_POINT, _HANDLER)
        return (*root.entry_point, _HANDLER) if root.entry_point else ()

    def _has(self, root: ImageRoot, path: str) -> bool:
        """Whether a file is in an image, looked for without following anything out of it."""
        parts = path.strip("/").split("/")[::-1]
        done: list[str] = []
        links = 0
        while parts:
            part = parts.pop()
            if part == "..":
                del done[-1:]
                continue
            found = self._found(root, "/".join((*done, part)))
            if found is None:
                return False
            if os.path.islink(found):
                links += 1
                target = os.readlink(found)
                if links > _LINKS_MAX:
                    return False
                if target.startswith("/"):
                    done.clear()
                parts.extend(each for each in target.split("/")[::-1] if each not in ("", "."))
                continue
            done.append(part)
        return True

    def _found(self, root: ImageRoot, name: str) -> str | None:
        # The topmost layer that has the name; whiteouts are character devices, and hide it.
        for layer in root.layers[::-1]:
            path = posixpath.join(str(self._trees.directory), "layers", layer, "tree", name)
            if os.path.lexists(path):
                return None if _is_device(path) else path
        return None


def _is_device(path: str) -> bool:
    return os.lstat(path).st_mode & 0o170000 == 0o020000
