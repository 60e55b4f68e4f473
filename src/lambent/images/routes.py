"""The documented operations below /_lambent/v1/images and /_lambent/v1/runtimes, free of HTTP's machinery."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct, field

from lambent.images import failures
from lambent.images.downloads import write_at
from lambent.images.jobs import Jobs
from lambent.images.references import parse_reference
from lambent.model.errors import InvalidParameterValueError, ResourceNotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from lambent.images.images import Images, Progress
    from lambent.images.references import ImageReference
    from lambent.images.roots import RuntimeBuild, RuntimeRoots
    from lambent.images.trees import ImageTrees

_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


class ImageRequest(Struct, frozen=True):
    """What an operation is asked: parameters of path and query, and a body of bytes."""

    parameters: Mapping[str, str]
    body: bytes = b""


class ImageAnswer(Struct, frozen=True):
    """What an operation answers: JSON at once, or lines of JSON as they come."""

    body: bytes | AsyncIterator[bytes]
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


class HostRuntime(Protocol):
    """What this machine has for one runtime identifier, or what is missing."""

    @property
    def identifier(self) -> str:
        """AWS's name of the runtime."""

    @property
    def interpreter(self) -> str | None:
        """The executable that runs it."""

    @property
    def version(self) -> str | None:
        """Its true version."""

    @property
    def is_nearest(self) -> bool:
        """Whether it is another version than the runtime's own."""

    @property
    def missing(self) -> str | None:
        """Why nothing runs it."""


class ImageRoutes:
    """Answers about the images and roots of this node, whoever's they are. Scope: node.

    `host_runtimes()` tells of every runtime identifier what this machine has.
    """

    def __init__(
        self,
        images: Images,
        roots: RuntimeRoots,
        trees: ImageTrees,
        host_runtimes: Callable[[], Sequence[HostRuntime]],
    ) -> None:
        self._host_runtimes = host_runtimes
        self._images = images
        self._roots = roots
        self._trees = trees
        self.jobs = Jobs()
        self.move: Callable[[str], Awaitable[int]] | None = None
        self.want_sweep: Callable[[], None] = lambda: None

    def table(self) -> list[tuple[str, str, Callable[[ImageRequest], Awaitable[ImageAnswer]]]]:
        """Return method, path and operation of each."""
        images, runtimes = "/_lambent/v1/images", "/_lambent/v1/runtimes"
        return [
            ("GET", images, self.list_images),
            ("POST", images, self.import_image),
            ("DELETE", images, self.remove_image),
            ("GET", f"{images}/blobs/{{digest}}", self.blob_size),
            ("PUT", f"{images}/blobs/{{digest}}", self.put_blob),
            ("GET", runtimes, self.list_runtimes),
            ("POST", f"{runtimes}/{{runtime}}", self.install_runtime),
            ("DELETE", f"{runtimes}/{{runtime}}", self.remove_runtime),
        ]

    async def list_images(self, request: ImageRequest) -> ImageAnswer:
        """Answer every image of this node, and the names that imported ones answer for."""
        _only(request)
        names: dict[str, list[str]] = {}
        for name, entry in (await self._images.names.all()).items():
            manifests = entry["manifests"]
            for digest in manifests.values() if isinstance(manifests, dict) else ():
                names.setdefault(digest, []).append(name)
        images = [
            {
                "Digest": f"sha256:{record.root.digest}",
                "Names": sorted(names.get(record.root.digest, [])),
                "Reference": record.reference,
                "Architecture": record.root.architecture,
                "Bytes": record.size_bytes,
                "UnpackedBytes": record.root.unpacked_bytes,
                "IsImported": record.is_imported,
            }
            for record in await asyncio.to_thread(self._trees.records)
        ]
        return _answer({"Images": images})

    async def blob_size(self, request: ImageRequest) -> ImageAnswer:
        """Answer how many bytes of a blob are here: an upload that was interrupted goes on behind them."""
        _only(request, "digest")
        path = self._images.downloads.path_of(_digest(request.parameters["digest"]))
        try:
            size = (await asyncio.to_thread(path.stat)).st_size
        except FileNotFoundError:
            size = 0
        return _answer({"Bytes": size})

    async def put_blob(self, request: ImageRequest) -> ImageAnswer:
        """Add bytes to a blob at `offset`, which is where it ends; 0 begins it anew.

        Raises:
            InvalidParameterValueError: the offset is another (400).
            ImageUnusableError: the disk is full.
        """
        _only(request, "digest", "offset")
        path = self._images.downloads.path_of(_digest(request.parameters["digest"]))
        offset_text = request.parameters.get("offset", "0")
        size = path.stat().st_size if await asyncio.to_thread(path.exists) else 0
        if not (offset_text.isdigit() and len(offset_text) < 16) or int(offset_text) not in (0, size):
            raise InvalidParameterValueError(f"offset is 0 or {size}, where the blob ends.")
        try:
            await asyncio.to_thread(write_at, path, int(offset_text), request.body)
        except OSError as error:
            if not failures.is_full(error):
                raise failures.broken(error) from error
            await asyncio.to_thread(path.unlink, missing_ok=True)
            raise failures.no_room() from error
        return _answer({"Bytes": int(offset_text) + len(request.body)})

    async def import_image(self, request: ImageRequest) -> ImageAnswer:
        """Make uploaded blobs an image that answers for `reference`; `digest` is its manifest's or index's. Lines."""
        _only(request, "reference", "digest")
        reference = str(_reference(request))
        digest = _digest(request.parameters.get("digest", ""))

        async def work(report: Callable[[Progress], None]) -> object:
            roots = await self._images.take_in(reference, digest, report)
            return {
                "Reference": reference,
                "Images": [{"Digest": f"sha256:{each.digest}", "Architecture": each.architecture} for each in roots],
            }

        return _lines(self.jobs.begin(work))

    async def remove_image(self, request: ImageRequest) -> ImageAnswer:
        """Take the name of an imported image away; what nothing needs any more goes with it.

        Raises:
            ResourceNotFoundError: nothing was imported under that name (404).
        """
        _only(request, "reference")
        reference = _reference(request)
        if not await self._images.names.remove(reference):
            raise ResourceNotFoundError(f"No image was imported as {reference}.")
        self.want_sweep()
        return _answer({"Reference": str(reference)})

    async def list_runtimes(self, request: ImageRequest) -> ImageAnswer:
        """Answer every installed root of a managed runtime, and what this machine has for every identifier."""
        _only(request)
        installed: dict[str, list[RuntimeBuild]] = {}
        for build in self._roots.builds():
            installed.setdefault(build.runtime, []).append(build)
        rows: list[dict[str, object]] = []
        for host in await asyncio.to_thread(self._host_runtimes):
            builds = installed.get(host.identifier, [])
            rows += [_build(each) for each in builds]
            rows.append({**_host(host), "IsPresent": not any(each.is_present for each in builds)})
        return _answer({"Runtimes": rows})

    async def install_runtime(self, request: ImageRequest) -> ImageAnswer:
        """Make an image the root of a runtime; functions move to it as their runtime management says. Lines.

        `reference`: an imported image, or one of a registry that a setting names. Without it: what the present build
        was made from, asked for again. With `source=host` what this machine has is taken instead.
        """
        _only(request, "runtime", "reference", "architecture", "source")
        runtime = request.parameters["runtime"]
        host = await self._host(runtime)
        if request.parameters.get("source") == "host":
            return _lines(self.jobs.begin(lambda _: self._use_host(host)))
        text = request.parameters.get("reference") or self._present_reference(runtime)
        architecture = request.parameters.get("architecture") or self._images.architecture

        async def work(report: Callable[[Progress], None]) -> object:
            digest = await self._images.resolve(text, architecture)
            # Until it is a root, nothing names it but this.
            async with self._trees.holding(digest, ()):
                root = await self._images.pull(text, digest, architecture, report)
                build = await self._roots.install(runtime, root, text)
            moved = await self.move(runtime) if self.move is not None else 0
            return {**_build(build), "FunctionsMoved": moved}

        return _lines(self.jobs.begin(work))

    async def remove_runtime(self, request: ImageRequest) -> ImageAnswer:
        """Take a root away, or with `digest` one build of it; its functions get what is left, or what the host has.

        Raises:
            ResourceNotFoundError: none is installed (404).
        """
        _only(request, "runtime", "digest")
        digest = request.parameters.get("digest")
        runtime = request.parameters["runtime"]
        gone = await self._roots.remove(runtime, None if digest is None else _digest(digest))
        moved = await self.move(runtime) if self.move is not None else 0
        self.want_sweep()
        return _answer({"Removed": [f"sha256:{each}" for each in gone], "FunctionsMoved": moved})

    async def _host(self, runtime: str) -> HostRuntime:
        for host in await asyncio.to_thread(self._host_runtimes):
            if host.identifier == runtime:
                return host
        raise InvalidParameterValueError(f"{runtime} is not a runtime identifier that this release knows.")

    async def _use_host(self, host: HostRuntime) -> object:
        if host.interpreter is None or host.is_nearest:
            reason = host.missing or f"{host.interpreter} {host.version} is another version."
            raise ResourceNotFoundError(f"This machine does not have {host.identifier}: {reason}")
        await self._roots.use_host(host.identifier)
        moved = await self.move(host.identifier) if self.move is not None else 0
        return {**_host(host), "FunctionsMoved": moved}

    def _present_reference(self, runtime: str) -> str:
        for build in self._roots.builds():
            if build.runtime == runtime and build.is_present:
                return build.reference
        raise ResourceNotFoundError(f"No root of {runtime} is installed: say which image it shall be made from.")


def _only(request: ImageRequest, *names: str) -> None:
    unknown = sorted(set(request.parameters) - set(names))
    if unknown:
        raise InvalidParameterValueError(f"Unknown parameter: {unknown[0]}")


def _reference(request: ImageRequest) -> ImageReference:
    text = request.parameters.get("reference", "")
    reference = parse_reference(text)
    if reference is None:
        raise InvalidParameterValueError(f"{text!r} is no reference to an image.")
    return reference


def _digest(text: str) -> str:
    match = _DIGEST.fullmatch(text)
    if match is None:
        raise InvalidParameterValueError("A digest is sha256: and 64 hexadecimal digits.")
    return match[1]


def _build(build: RuntimeBuild) -> dict[str, object]:
    return {
        "Runtime": build.runtime,
        "Digest": f"sha256:{build.digest}",
        "Reference": build.reference,
        "InstalledMs": build.installed_ms,
        "IsPresent": build.is_present,
    }


def _host(host: HostRuntime) -> dict[str, object]:
    return {
        "Runtime": host.identifier,
        "Executable": host.interpreter,
        "Version": host.version,
        "IsNearest": host.is_nearest,
        "Missing": host.missing,
    }


def _answer(body: object) -> ImageAnswer:
    return ImageAnswer(json.dumps(body, indent=1).encode() + b"\n")


def _lines(lines: AsyncIterator[bytes]) -> ImageAnswer:
    return ImageAnswer(lines, {"content-type": "application/x-ndjson"})
