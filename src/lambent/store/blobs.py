"""Packages in a directory that several daemons share (`store.blobs`): a driver of `Blobs`."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from lambent.model.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

P = ParamSpec("P")
T = TypeVar("T")

_SAFE_SECONDS = 3600


class DirectoryBlobs:
    """One file for each package, named by its sha256. Scope: installation. After a crash: whole packages."""

    def __init__(self, directory: str | Path) -> None:
        self._directory = Path(directory)

    async def put(self, sha256: str, path: Path, *, is_replacing: bool = False) -> None:
        """See Blobs.put."""
        await on_disk(self._put, sha256, path, is_replacing)

    async def fetch(self, sha256: str, path: Path) -> None:
        """See Blobs.fetch."""
        await on_disk(self._fetch, sha256, path)

    async def sweep(self, in_use: Collection[str]) -> int:
        """See Blobs.sweep."""
        return await on_disk(self._sweep, frozenset(in_use))

    def _put(self, sha256: str, path: Path, is_replacing: bool) -> None:
        final = self._directory / sha256
        try:
            os.utime(final)
            if not is_replacing:
                return
        except FileNotFoundError:
            pass
        fresh = self._directory / f".{secrets.token_hex(8)}"
        try:
            with path.open("rb") as source, fresh.open("xb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
                target.flush()
                os.fsync(target.fileno())
            fresh.rename(final)
        finally:
            fresh.unlink(missing_ok=True)
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _fetch(self, sha256: str, path: Path) -> None:
        try:
            source = (self._directory / sha256).open("rb")
        except FileNotFoundError:
            raise ServiceError(f"The package {sha256} is not in the store.") from None
        with source, path.open("xb") as target:
            shutil.copyfileobj(source, target, 1 << 20)

    def _sweep(self, in_use: frozenset[str]) -> int:
        # The time of the machine that holds the directory: the daemons' clocks may differ from it and each other.
        probe = self._directory / f".{secrets.token_hex(8)}"
        probe.touch()
        try:
            oldest = probe.stat().st_mtime - _SAFE_SECONDS
        finally:
            probe.unlink()
        gone = 0
        for path in self._directory.iterdir():
            if path.name in in_use or path.stat().st_mtime > oldest:
                continue
            path.unlink(missing_ok=True)
            gone += 1
        return gone


async def on_disk(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `work` does with files, in a thread.

    Raises:
        ServiceError: the disk is full or broken.
    """
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except OSError as error:
        # Imported where it is needed: it brings the zip library along.
        from lambent.store.package import storage_error

        raise storage_error(error) from error
