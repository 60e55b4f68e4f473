"""Unpacked images on disk: a tree for each layer, a description for each image, names of those that were imported.

    images/layers/<diff id>/tree       a layer, unpacked once; layer.json beside it
    images/layers/<hash of a list>/    layers merged, where overlayfs cannot be used
    images/manifests/<digest>.json     an image: its layers and configuration; changed last when it was last used
    images/names.json                  imported references
    images/runtimes.json               installed roots of managed runtimes
    images/blobs/<digest>.part         bytes on their way
    images/places/                     what is mounted over in every root: empty files and directories

Everything is made under a name that begins with a dot, brought to disk and renamed; so a crash leaves nothing but such
names, which are swept after the next start. An image is there when its description is, and that is written last.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import hashlib
import json
import os
import secrets
import shutil
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from lambent.model.image import ImageRoot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from lambent.images.layers.unpacking import UnpackedLayer
    from lambent.images.manifests import Descriptor

T = TypeVar("T")
J = TypeVar("J")

_DIRECTORIES = ("layers", "manifests", "blobs")
_PLACES = ("dev", "proc", "sys", "tmp", "etc", "var/task", "opt")
_PLACE_FILES = ("etc/hosts", "etc/resolv.conf")
# What nobody has gone on with for so long will not be gone on with.
_PART_SECONDS_MAX = 24 * 3600


class ImageRecord(Struct, frozen=True):
    """One image that is here. `reference` is where it came from, `is_imported` whether as a file. Sizes in bytes."""

    root: ImageRoot
    reference: str
    is_imported: bool = False
    size_bytes: int = 0
    diff_ids: tuple[str, ...] = field(default=())


class ImageTrees:
    """The directory `images/` in the data directory. Scope: node. After a crash: whole images."""

    def __init__(self, directory: Path, executor: Executor) -> None:
        """Open it; what a crash left goes with the first sweep. `executor` unpacks: processes. Blocks shortly."""
        self.directory = directory
        self._executor = executor
        self._records: dict[str, ImageRecord | None] = {}
        self._layer_locks: dict[str, asyncio.Lock] = {}
        self._held: Counter[str] = Counter()
        self._lock = asyncio.Lock()
        self._is_overlay_known: dict[str, bool] = {}
        # Gigabytes, perhaps: a start does not wait for them.
        self._left: list[Path] = []
        for name in _DIRECTORIES:
            (directory / name).mkdir(mode=0o755, parents=True, exist_ok=True)
            self._left += (directory / name).glob(".*")
        make_places(directory / "places")

    @property
    def blobs(self) -> Path:
        """Where bytes on their way are."""
        return self.directory / "blobs"

    def record(self, digest: str) -> ImageRecord | None:
        """Return an image's record if it is here, whole. Reads a small file at the first question."""
        known = self._records.get(digest)
        if known is None:
            known = self._records[digest] = self._read_record(digest)
        return known

    def records(self) -> list[ImageRecord]:
        """Return every image that is here. Blocks shortly."""
        names = [path.stem for path in (self.directory / "manifests").glob("[!.]*.json")]
        return [record for name in sorted(names) if (record := self.record(name)) is not None]

    def has_layer(self, name: str) -> bool:
        """Whether a layer is here, whole."""
        return os.path.isdir(f"{self.directory}/layers/{name}")

    @contextlib.asynccontextmanager
    async def holding(self, digest: str, layers: Collection[str]) -> AsyncIterator[None]:
        """Keep an image and its layers from being swept for a block, in which somebody comes to refer to it."""
        names = (digest, *layers)
        async with self._lock:
            self._held.update(names)
        try:
            yield
        finally:
            self._held.subtract(names)
            self._held += Counter()

    async def add_layer(self, blob: Path, descriptor: Descriptor, diff_id: str, bytes_max: int) -> UnpackedLayer:
        """Unpack a layer from its file, unless it is here. The file is removed when it is unpacked, or is wrong.

        Returns what was unpacked, or why it was not.
        """
        from lambent.images.layers.unpacking import UnpackJob, unpack_layer

        fresh = self.directory / "layers" / f".{secrets.token_hex(8)}"
        job = UnpackJob(str(blob), str(fresh), descriptor.digest, diff_id, bytes_max)
        unpacked = await self._run(unpack_layer, job, fresh)
        if unpacked.refusal is None:
            # On disk before it has its name: whoever finds it later, after whatever crash, may trust it.
            await asyncio.to_thread(self._flush)
            await asyncio.to_thread(self._place_layer, fresh, diff_id)
        if unpacked.refusal is None or not unpacked.is_full:
            await asyncio.to_thread(blob.unlink, missing_ok=True)
        return unpacked

    def layer_lock(self, diff_id: str) -> asyncio.Lock:
        """Return the lock of a layer: it is brought here once, whoever wants it."""
        return self._layer_locks.setdefault(diff_id, asyncio.Lock())

    async def merge(self, layers: Sequence[str]) -> str:
        """Return the name of the tree that holds all these layers, made if it is not here. Raises OSError."""
        from lambent.images.layers.merging import MergeJob, merge_layers

        name = merged_name(layers)
        async with self.layer_lock(name):
            if not self.has_layer(name):
                fresh = self.directory / "layers" / f".{secrets.token_hex(8)}"
                paths = tuple(str(self.directory / "layers" / each) for each in layers)
                job = MergeJob(paths, str(self.directory / "places"), str(fresh))
                await self._run(merge_layers, job, fresh)
                await asyncio.to_thread(self._flush)
                await asyncio.to_thread(self._place_layer, fresh, name)
        return name

    def is_overlay(self, layers: Iterable[str]) -> bool:
        """Whether layers are in overlayfs's form: a file system without its means has them otherwise.

        Reads a small file for each layer at the first question.
        """
        known = self._is_overlay_known
        for name in layers:
            if name not in known:
                known[name] = bool(
                    json.loads((self.directory / "layers" / name / "layer.json").read_bytes())["is_overlay"]
                )
            if not known[name]:
                return False
        return True

    async def unpacked_bytes(self, layers: Iterable[str]) -> int:
        """Return the bytes of layers that are here."""
        total = 0
        for name in layers:
            path = self.directory / "layers" / name / "layer.json"
            total += int(json.loads(await asyncio.to_thread(path.read_bytes))["bytes"])
        return total

    async def keep(self, record: ImageRecord) -> None:
        """Say that an image is here, whole: its layers are brought to disk before. Raises OSError."""
        await asyncio.to_thread(self._flush)
        content = msgspec.json.encode(record)
        await asyncio.to_thread(self._write, self._record_path(record.root.digest), content)
        self._records[record.root.digest] = record

    async def used(self, digest: str) -> None:
        """Note that an image is in use now."""
        with contextlib.suppress(OSError):
            await asyncio.to_thread(os.utime, self._record_path(digest))

    def last_used_ns(self, digest: str) -> int | None:
        """Return when an image was last used, in nanoseconds since the epoch; None if it is not here. Blocks."""
        try:
            return self._record_path(digest).stat().st_mtime_ns
        except FileNotFoundError:
            return None

    async def read_document(self, name: str) -> object:
        """Return a JSON file of the directory; None when there is none. One that is damaged counts as none."""
        return await asyncio.to_thread(self.read_document_now, name)

    def read_document_now(self, name: str) -> object:
        """Do the same. Blocks."""
        try:
            document: object = json.loads((self.directory / name).read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return document

    async def write_document(self, name: str, document: object) -> None:
        """Replace a JSON file of the directory, durably. Raises OSError."""
        await asyncio.to_thread(self._write, self.directory / name, json.dumps(document, indent=1).encode())

    async def sweep(self, used: Collection[str], now_seconds: float) -> int:
        """Remove every image that is neither in `used` (digests) nor held, and what no image needs; return how many."""
        async with self._lock:
            kept = set(used) | set(self._held)
            trash = await asyncio.to_thread(self._discard, kept, now_seconds)
        await asyncio.to_thread(_remove_all, trash)
        await self.remove_left()
        return len(trash)

    async def remove_left(self) -> None:
        """Remove what a crash or a process that was killed left half-made."""
        left, self._left = self._left, []
        await asyncio.to_thread(_remove_all, left)

    def _discard(self, kept: set[str], now_seconds: float) -> list[Path]:
        trash = []
        layers = set(kept)
        for record in self.records():
            if record.root.digest in kept:
                layers.update(record.diff_ids)
                layers.add(merged_name(record.diff_ids))
            else:
                # The description first: an image without it is none, whatever else of it is left.
                self._records.pop(record.root.digest, None)
                trash.append(self._discarded(self._record_path(record.root.digest)))
        for path in (self.directory / "layers").iterdir():
            if not path.name.startswith(".") and path.name not in layers:
                trash.append(self._discarded(path))
                self._is_overlay_known.pop(path.name, None)
        parts = (self.directory / "blobs").iterdir()
        trash.extend(path for path in parts if now_seconds - path.stat().st_mtime > _PART_SECONDS_MAX)
        return trash

    def _discarded(self, path: Path) -> Path:
        target = path.parent / f".trash-{secrets.token_hex(8)}"
        path.rename(target)
        return target

    def _read_record(self, digest: str) -> ImageRecord | None:
        try:
            document = json.loads(self._record_path(digest).read_bytes())
            raw = document.pop("root")
            for name in ("layers", "entry_point", "command"):
                raw[name] = tuple(raw[name])
            document["diff_ids"] = tuple(document["diff_ids"])
            record = ImageRecord(root=ImageRoot(**raw), **document)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return record if all(map(self.has_layer, record.root.layers)) else None

    async def _run(self, work: Callable[[J], T], job: J, fresh: Path) -> T:
        future = asyncio.get_running_loop().run_in_executor(self._executor, work, job)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            future.add_done_callback(lambda _: shutil.rmtree(fresh, ignore_errors=True))
            raise
        except BaseException:
            # A process that is being ended may write on for a moment: it is looked for once more.
            self._left.append(fresh)
            await asyncio.to_thread(_remove, fresh)
            raise

    def _place_layer(self, fresh: Path, name: str) -> None:
        try:
            fresh.rename(self.directory / "layers" / name)
        except OSError:
            # It came here meanwhile.
            _remove(fresh)
            if not self.has_layer(name):
                raise

    def _record_path(self, digest: str) -> Path:
        return self.directory / "manifests" / f"{digest}.json"

    def _write(self, path: Path, content: bytes) -> None:
        fresh = path.parent / f".{secrets.token_hex(8)}"
        try:
            with fresh.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
            descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        finally:
            fresh.unlink(missing_ok=True)

    def _flush(self) -> None:
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Not in Python's os module; os.sync() would wait for every disk of the machine.
            if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
                raise OSError(ctypes.get_errno(), "syncfs")
        except AttributeError:
            os.sync()
        finally:
            os.close(descriptor)


def merged_name(layers: Sequence[str]) -> str:
    """Return the name of the tree that these layers make, lower-case hex."""
    return hashlib.sha256("/".join(("merged", *layers)).encode()).hexdigest()


def as_merged(root: ImageRoot) -> ImageRoot:
    """Return an image as one tree."""
    return replace(root, layers=(merged_name(root.layers),), is_merged=True)


def make_places(directory: Path) -> None:
    """Make the empty files and directories that every root has for what is mounted over them. Blocks shortly."""
    for name in _PLACES:
        (directory / name).mkdir(mode=0o755, parents=True, exist_ok=True)
    for name in _PLACE_FILES:
        (directory / name).touch(mode=0o644)


def _remove_all(paths: Iterable[Path]) -> None:
    for path in paths:
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
