"""Blobs on their way: fetched into a file, from where the last attempt ended, and held against size and digest."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING

from lambent.images import failures
from lambent.wire.http_client import ConnectionFailedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lambent.images.manifests import Descriptor
    from lambent.images.references import ImageReference
    from lambent.images.registry import Registry

# How often a connection that broke is taken up again where it broke, without a byte in between.
_TRIES = 4
_PAUSE_SECONDS = 0.5
_WRITE_BYTES = 1 << 20
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Downloads:
    """`blobs/<digest>.part` below the images' directory. Scope: node. After a crash: what is there is gone on with.

    The bytes are not hashed here: the process that unpacks them reads them anyway and refuses others.
    """

    def __init__(self, directory: Path, registry: Registry) -> None:
        self._directory = directory
        self._registry = registry

    def path_of(self, digest: str) -> Path:
        """Return where a blob is, or grows."""
        return self._directory / f"{digest}.part"

    async def fetch(
        self,
        reference: ImageReference,
        image_uri: str,
        wanted: Descriptor,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> Path:
        """Return the file with all bytes of a blob; `on_progress(bytes)` is told how many are there.

        Raises:
            ImageUnusableError: it cannot be had, is larger than its manifest says, or the disk is full. What came is
            kept for the next attempt, unless it was too much.
        """
        path = self.path_of(wanted.digest)
        tries = _TRIES
        while True:
            start = await asyncio.to_thread(_size_of, path)
            if start > wanted.size_bytes:
                await asyncio.to_thread(path.unlink)
                start = 0
            if start == wanted.size_bytes:
                return path
            try:
                await self._go_on(reference, image_uri, wanted, start, on_progress)
            except ConnectionFailedError as error:
                has_moved = await asyncio.to_thread(_size_of, path) > start
                tries = _TRIES if has_moved else tries - 1
                if not tries:
                    raise failures.unreachable(reference.registry, str(error)) from error
                await asyncio.sleep(_PAUSE_SECONDS * (_TRIES - tries + 1))
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                # What is there helps nobody while there is no room for the rest.
                await asyncio.to_thread(path.unlink, missing_ok=True)
                raise failures.no_room() from error

    async def _go_on(
        self,
        reference: ImageReference,
        image_uri: str,
        wanted: Descriptor,
        start: int,
        on_progress: Callable[[int], None],
    ) -> None:
        response = await self._registry.blob(reference, image_uri, wanted.digest, start)
        path = self.path_of(wanted.digest)
        if start and response.status == 200:
            start = 0
        size = start
        pieces: list[bytes] = []
        waiting = 0
        try:
            async for part in response:
                pieces.append(part)
                waiting += len(part)
                if size + waiting > wanted.size_bytes:
                    raise failures.invalid(image_uri, f"sha256:{wanted.digest} is longer than its manifest says")
                if waiting >= _WRITE_BYTES:
                    size = await _write(path, size, pieces)
                    waiting = 0
                    on_progress(size)
            if waiting:
                size = await _write(path, size, pieces)
        except ConnectionFailedError:
            if pieces:
                await _write(path, size, pieces)
            raise
        finally:
            await response.aclose()
        on_progress(size)
        if size < wanted.size_bytes:
            raise failures.invalid(image_uri, f"sha256:{wanted.digest} is shorter than its manifest says")


async def _write(path: Path, place: int, pieces: list[bytes]) -> int:
    data = b"".join(pieces)
    pieces.clear()
    await asyncio.to_thread(write_at, path, place, data)
    return place + len(data)


def write_at(path: Path, place: int, data: bytes) -> None:
    """Write a part of a blob; the first begins the file anew. Raises OSError. Blocks."""
    # Opened for each part: a descriptor kept by a task that is cancelled could be somebody else's by the next write.
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | (0 if place else os.O_TRUNC)
    fd = os.open(path, flags, 0o644)
    try:
        view = memoryview(data)
        while view:
            written = os.pwrite(fd, view, place)
            place += written
            view = view[written:]
    finally:
        os.close(fd)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
