"""Images from registries and files to unpacked roots: resolved to a digest, pulled, kept, swept."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from concurrent.futures import BrokenExecutor
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from msgspec.structs import replace

from lambent.images import failures
from lambent.images.downloads import Downloads
from lambent.images.manifests import (
    DOCUMENT_BYTES_MAX,
    Index,
    Manifest,
    ManifestError,
    read_configuration,
    read_manifest,
)
from lambent.images.names import ImageNames
from lambent.images.references import ImageReference, parse_reference
from lambent.images.registry import Document, Registry, by_digest
from lambent.images.trees import ImageRecord, as_merged, merged_name
from lambent.model.image import ImageRoot

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from lambent.clock import Clock
    from lambent.images.manifests import Descriptor, ImageConfiguration
    from lambent.images.trees import ImageTrees

_log = logging.getLogger(__name__)

_LAYERS_AT_ONCE = 3


class ImageRules(Struct, frozen=True):
    """`architecture`: this machine's, by AWS's name. `runs_foreign`: setting architectures.foreign is run.

    `bytes_max`: of one image unpacked. `is_merging()`: whether overlayfs cannot be used here.
    """

    architecture: str
    bytes_max: int
    runs_foreign: bool = True
    is_merging: Callable[[], bool] = lambda: False


class Progress(Struct, frozen=True):
    """How far something has come. `phase`: resolved, download, unpack, layer (done) or done; sizes in bytes."""

    phase: str
    digest: str = ""
    bytes: int = 0
    bytes_total: int = 0


def no_report(_: Progress) -> None:
    """Tell nobody."""


class _Source(Protocol):
    """Where manifests and blobs come from: a registry, or what was uploaded."""

    async def manifest(self, digest: str) -> Document: ...

    async def document(self, digest: str) -> bytes: ...

    async def fetch(self, wanted: Descriptor, on_progress: Callable[[int], None]) -> Path: ...


class Images:
    """All images of this node. Scope: node. After a crash: those that were whole; pulls go on where they ended."""

    def __init__(self, trees: ImageTrees, registry: Registry, rules: ImageRules, clock: Clock) -> None:
        self._trees = trees
        self._registry = registry
        self._rules = rules
        self._clock = clock
        self._downloads = Downloads(trees.blobs, registry)
        self._locks: dict[str, asyncio.Lock] = {}
        self.names = ImageNames(trees)

    async def resolve(self, image_uri: str, architecture: str) -> str:
        """Return the digest (hex) of the manifest that a reference means for a function of an architecture.

        An imported image answers for its references; else the registry that a setting names is asked.

        Raises:
            ImageUnusableError: in AWS's words where AWS has any (400, 403); see failures.
        """
        reference = _parsed(image_uri)
        imported = await self.names.find(reference)
        if imported is not None:
            return self._chosen(imported, architecture, image_uri)
        document = await self._registry.manifest(reference, image_uri)
        try:
            manifest = read_manifest(document.content, document.media_type)
            if isinstance(manifest, Index):
                return manifest.choose(self._wanted(architecture)).digest
        except ManifestError as error:
            raise _refused(image_uri, error) from error
        return document.digest

    async def pull(
        self, image_uri: str, digest: str, architecture: str, report: Callable[[Progress], None] = no_report
    ) -> ImageRoot:
        """Return an image that `resolve` found, unpacked on this node; brought here if it is not.

        Raises:
            ImageUnusableError: it cannot be had or used. What came is kept for the next attempt where that helps.
        """
        known = self.root_of(digest)
        if known is None:
            reference = _parsed(image_uri)
            known = await self._bring(_FromRegistry(self, by_digest(reference, digest), image_uri), digest, report)
        self._check_architecture(known, architecture, image_uri)
        await self._trees.used(digest)
        return known

    async def take_in(
        self, reference_text: str, digest: str, report: Callable[[Progress], None] = no_report
    ) -> list[ImageRoot]:
        """Make an image of uploaded blobs answer for a reference; `digest` is that of its manifest or index.

        Of an index what was uploaded whole is taken in. Raises ImageUnusableError.
        """
        reference = _parsed(reference_text)
        source = _FromUploads(self, reference_text)
        document = await source.manifest(digest)
        try:
            manifest = read_manifest(document.content)
        except ManifestError as error:
            raise _refused(reference_text, error) from error
        digests = [digest]
        if isinstance(manifest, Index):
            digests = [each.digest for _, _, each in manifest.platforms if source.has(each.digest)]
            if not digests:
                raise failures.invalid(reference_text, "its index came without any image")
        roots = []
        # Until they have a name, nothing names them but this.
        async with self._trees.holding(digest, digests):
            for each in digests:
                known = self.root_of(each)
                roots += [known or await self._bring(source, each, report)]
            await self.names.put(reference, digest, {root.architecture: root.digest for root in roots})
        for each in {*source.documents, *digests}:
            await asyncio.to_thread(self._downloads.path_of(each).unlink, missing_ok=True)
        report(Progress("done", digest))
        return roots

    def root_of(self, digest: str) -> ImageRoot | None:
        """Return an image that is here, whole; None when it is not."""
        record = self._trees.record(digest)
        if record is None:
            return None
        merged = merged_name(record.root.layers)
        # Merged where overlayfs cannot be used, or where it would not understand what was unpacked.
        if self._rules.is_merging() or not self._trees.is_overlay(record.root.layers):
            return as_merged(record.root) if self._trees.has_layer(merged) else None
        return record.root

    async def sweep(self, used: Collection[str]) -> int:
        """Remove what no function (`used`: digests), no imported name and no runtime root needs."""
        kept = {*used, *await self.names.digests()}
        return await self._trees.sweep(kept, self._clock.time_ms() / 1000)

    async def _bring(self, source: _Source, digest: str, report: Callable[[Progress], None]) -> ImageRoot:
        async with self._locks.setdefault(digest, asyncio.Lock()):
            known = self.root_of(digest)
            if known is not None:
                return known
            try:
                return await self._tried(source, digest, report)
            except ManifestError as error:
                raise _refused(str(source), error) from error
            except OSError as error:
                raise failures.no_room() if failures.is_full(error) else failures.broken(error) from error

    async def _tried(self, source: _Source, digest: str, report: Callable[[Progress], None]) -> ImageRoot:
        try:
            return await self._brought(source, digest, report)
        except BrokenExecutor:
            _log.warning("image %s: a process that unpacks was killed; once more", source)
        try:
            return await self._brought(source, digest, report)
        except BrokenExecutor as error:
            raise failures.killed() from error
        finally:
            await self._trees.remove_left()

    async def _brought(self, source: _Source, digest: str, report: Callable[[Progress], None]) -> ImageRoot:
        document = await source.manifest(digest)
        manifest = read_manifest(document.content, document.media_type)
        if not isinstance(manifest, Manifest):
            raise ManifestError("an index within an index", is_unsupported=True)
        configuration = read_configuration(await source.document(manifest.config.digest))
        if len(configuration.diff_ids) != len(manifest.layers):
            raise ManifestError("its configuration tells of another number of layers than its manifest")
        if sum(layer.size_bytes for layer in manifest.layers) > self._rules.bytes_max:
            raise ManifestError(f"its layers are larger than {self._rules.bytes_max} bytes")
        if configuration.system != "linux":
            raise ManifestError(f"it is for {configuration.system[:30]}, not for linux")
        layers = configuration.diff_ids
        async with self._trees.holding(digest, (*layers, merged_name(layers))):
            await self._bring_layers(source, manifest, layers, report)
            total = await self._trees.unpacked_bytes(layers)
            if total > self._rules.bytes_max:
                raise ManifestError(f"it is larger than {self._rules.bytes_max} bytes unpacked")
            if self._rules.is_merging() or not self._trees.is_overlay(layers):
                await self._trees.merge(layers)
            record = _record(digest, configuration, manifest, total)
            is_imported = isinstance(source, _FromUploads)
            await self._trees.keep(replace(record, reference=str(source), is_imported=is_imported))
        root = self.root_of(digest)
        if root is None:
            raise ManifestError("it could not be kept")
        return root

    async def _bring_layers(
        self, source: _Source, manifest: Manifest, diff_ids: Sequence[str], report: Callable[[Progress], None]
    ) -> None:
        slots = asyncio.Semaphore(_LAYERS_AT_ONCE)
        try:
            async with asyncio.TaskGroup() as tasks:
                for descriptor, diff_id in dict(zip(manifest.layers, diff_ids, strict=True)).items():
                    tasks.create_task(self._bring_layer(source, descriptor, diff_id, (slots, report)))
        except BaseExceptionGroup as group:
            # One layer's trouble is the image's; the first to fail says it.
            raise group.exceptions[0] from group

    async def _bring_layer(
        self,
        source: _Source,
        descriptor: Descriptor,
        diff_id: str,
        around: tuple[asyncio.Semaphore, Callable[[Progress], None]],
    ) -> None:
        slots, report = around
        async with slots, self._trees.layer_lock(diff_id):
            if self._trees.has_layer(diff_id):
                await asyncio.to_thread(self._downloads.path_of(descriptor.digest).unlink, missing_ok=True)
                report(Progress("layer", descriptor.digest, descriptor.size_bytes, descriptor.size_bytes))
                return
            size = descriptor.size_bytes
            blob = await source.fetch(
                descriptor, lambda done: report(Progress("download", descriptor.digest, done, size))
            )
            report(Progress("unpack", descriptor.digest, size, size))
            unpacked = await self._trees.add_layer(blob, descriptor, diff_id, self._rules.bytes_max)
            if unpacked.is_full:
                raise failures.no_room()
            if unpacked.refusal is not None:
                raise ManifestError(f"layer sha256:{descriptor.digest}: {unpacked.refusal}")
            for note in unpacked.notes:
                _log.warning("image %s, layer %s: %s", source, descriptor.digest[:12], note)
            report(Progress("layer", descriptor.digest, size, size))

    def _wanted(self, architecture: str) -> list[str]:
        """Return the architectures that will do for a function, best first."""
        mine = self._rules.architecture
        if architecture != mine and self._rules.runs_foreign:
            return [mine]
        return [architecture]

    def _chosen(self, imported: dict[str, str], architecture: str, image_uri: str) -> str:
        for wanted in self._wanted(architecture):
            if wanted in imported:
                return imported[wanted]
        there = ", ".join(sorted(imported))
        raise failures.invalid(image_uri, f"it is built for {there}, not for {' or '.join(self._wanted(architecture))}")

    def _check_architecture(self, root: ImageRoot, architecture: str, image_uri: str) -> None:
        mine = self._rules.architecture
        if root.architecture and root.architecture not in self._wanted(architecture):
            reason = f"it is built for {root.architecture} and the function's architecture is {architecture}"
            if architecture != mine:
                reason = f"it is built for {root.architecture} and this machine is {mine}"
            raise failures.invalid(image_uri, reason)
        if root.architecture and root.architecture != mine:
            raise failures.invalid(image_uri, f"it is built for {root.architecture} and this machine is {mine}")

    # What the two sources share.

    @property
    def architecture(self) -> str:
        """This machine's, by AWS's name."""
        return self._rules.architecture

    @property
    def registry(self) -> Registry:
        """The client of registries."""
        return self._registry

    @property
    def downloads(self) -> Downloads:
        """Blobs on their way."""
        return self._downloads


class _FromRegistry:
    """One repository of a registry."""

    def __init__(self, images: Images, reference: ImageReference, image_uri: str) -> None:
        self._images = images
        self._reference = reference
        self._image_uri = image_uri

    def __str__(self) -> str:
        return self._image_uri

    async def manifest(self, digest: str) -> Document:
        """Return the manifest of a digest."""
        return await self._images.registry.manifest(by_digest(self._reference, digest), self._image_uri)

    async def document(self, digest: str) -> bytes:
        """Return a small blob."""
        return await self._images.registry.document(self._reference, self._image_uri, digest)

    async def fetch(self, wanted: Descriptor, on_progress: Callable[[int], None]) -> Path:
        """Return the file of a layer."""
        return await self._images.downloads.fetch(self._reference, self._image_uri, wanted, on_progress)


class _FromUploads:
    """What was uploaded blob by blob."""

    def __init__(self, images: Images, reference: str) -> None:
        self._images = images
        self._reference = reference
        self.documents: set[str] = set()

    def __str__(self) -> str:
        return self._reference

    def has(self, digest: str) -> bool:
        """Whether a blob was uploaded, or its image is here already."""
        return self._images.root_of(digest) is not None or self._images.downloads.path_of(digest).exists()

    async def manifest(self, digest: str) -> Document:
        """Return the manifest of a digest."""
        return Document(await self.document(digest), "", digest)

    async def document(self, digest: str) -> bytes:
        """Return a small blob, checked."""
        path = self._images.downloads.path_of(digest)
        self.documents.add(digest)
        try:
            content = await asyncio.to_thread(_read, path)
        except FileNotFoundError:
            raise failures.invalid(self._reference, f"sha256:{digest} was not uploaded") from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise failures.invalid(self._reference, f"what was uploaded as sha256:{digest} is something else")
        return content

    async def fetch(self, wanted: Descriptor, on_progress: Callable[[int], None]) -> Path:
        """Return the file of a layer."""
        path = self._images.downloads.path_of(wanted.digest)
        try:
            size = (await asyncio.to_thread(path.stat)).st_size
        except FileNotFoundError:
            size = -1
        if size != wanted.size_bytes:
            raise failures.invalid(self._reference, f"sha256:{wanted.digest} was not uploaded whole")
        on_progress(size)
        return path


def _parsed(image_uri: str) -> ImageReference:
    reference = parse_reference(image_uri)
    if reference is None:
        raise failures.ImageUnusableError(
            f"Source image {image_uri} is not valid. Provide a valid source image.",
            failures.ReasonCode.INVALID,
            is_told_later=False,
        )
    return reference


def _refused(image_uri: str, error: ManifestError) -> failures.ImageUnusableError:
    return failures.unsupported(image_uri) if error.is_unsupported else failures.invalid(image_uri, str(error))


def _record(digest: str, configuration: ImageConfiguration, manifest: Manifest, total: int) -> ImageRecord:
    root = ImageRoot(
        digest=digest,
        layers=configuration.diff_ids,
        architecture=configuration.architecture,
        entry_point=configuration.entry_point,
        command=configuration.command,
        working_directory=configuration.working_directory,
        variables=configuration.variables,
        unpacked_bytes=total,
    )
    size = sum(layer.size_bytes for layer in manifest.layers)
    return ImageRecord(root, "", size_bytes=size, diff_ids=configuration.diff_ids)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(DOCUMENT_BYTES_MAX + 1)
