"""Packages by their SHA-256: the zip as it came and its unpacked tree."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
import shutil
from collections import Counter
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from lambent.model.errors import InvalidParameterValueError, ServiceError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from concurrent.futures import Executor

    from lambent.model.function import CodeReference, FunctionVersion
    from lambent.store.contracts import Blobs
    from lambent.store.keys import InstallationKey
    from lambent.store.package import PreparedPackage

# Packages that need not be unpacked when they come again; it bounds memory, nothing else.
_KNOWN_MAX = 4_096


class CodeStore:
    """`zips/<sha256>.zip` and `code/<sha256>/` in the data directory. Scope: node. After a crash: whole packages.

    `layers/<digest>/` are trees of several layers merged, made again whenever one is missing. Where several daemons
    share their packages (`Blobs`), the directory holds what this one took in or needed.

    A package is added by writing beside its place, flushing and renaming; it is removed when no function version
    refers to it any more. There is no counter that a crash could falsify: what the database does not name is garbage.
    """

    def __init__(
        self,
        data_directory: str | Path,
        executor: Executor,
        blobs: Blobs | None = None,
        *,
        key: InstallationKey | None = None,
        is_sealing: bool = False,
    ) -> None:
        """Open the store and sweep what a crash left half-written. `executor` unpacks: a pool of processes.

        With `is_sealing` zips are kept encrypted under the `key`; what is encrypted is read in any case.
        """
        self._key = None if key is None else key.derive("packages")
        self._is_sealing = is_sealing and key is not None
        self._root = Path(data_directory)
        self._executor = executor
        self._blobs = blobs
        self._bringing: dict[str, asyncio.Lock] = {}
        self._held: Counter[str] = Counter()
        self._kept_by_sweep: set[str] | None = None
        # How many versions are being made ready: their merged trees are in no list before they are whole.
        self._versions_underway = 0
        self.was_busy = False
        self._lock = asyncio.Lock()
        self._known: dict[str, CodeReference] = {}
        for directory in self._directories:
            directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            for left in directory.glob(".*"):
                _remove(left)

    @contextlib.asynccontextmanager
    async def add(self, source: bytes | str) -> AsyncIterator[CodeReference]:
        """Store a package for a block, in which a function version that refers to it is committed.

        `source` is the zip's bytes or the path of a file, which is moved. Until the block ends the package cannot be
        swept; afterwards only what the database names is safe.

        Raises: see `prepare_package`.
        """
        reference = await self._held_already(source)
        if reference is None:
            prepared = await self._prepare(source)
            reference = prepared.reference
            # A sweep renames under the same lock: it has either taken an equal package away before, or sees this one
            # held.
            async with self._lock:
                self._hold(reference.sha256)
                try:
                    await asyncio.to_thread(prepared.place)
                except BaseException:
                    self._let_go(reference.sha256)
                    raise
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known[reference.sha256] = reference
        try:
            if self._blobs is not None:
                await self._blobs.put(reference.sha256, self.zip_path(reference.sha256))
            yield reference
        finally:
            self._let_go(reference.sha256)

    async def _held_already(self, source: bytes | str) -> CodeReference | None:
        """Return and hold a package that this process has checked and unpacked before and that is still here."""
        if not isinstance(source, bytes):
            return None
        reference = self._known.get(hashlib.sha256(source).hexdigest())
        if reference is None:
            return None
        async with self._lock:
            if not self.is_here(reference.sha256):
                return None
            self._hold(reference.sha256)
        return reference

    async def check(self, source: bytes | str) -> CodeReference:
        """Return what the package would be, keeping nothing. A file is removed. Raises: see `prepare_package`."""
        prepared = await self._prepare(source)
        await asyncio.to_thread(prepared.discard)
        return prepared.reference

    async def warm_up(self) -> None:
        """Have a worker ready: to start one takes longer than to unpack most packages."""
        from lambent.store.package import is_ready

        await asyncio.get_running_loop().run_in_executor(self._executor, is_ready)

    async def make_ready(self, version: FunctionVersion) -> None:
        """Have on this node all that a committed version needs: what another daemon took in is fetched and unpacked.

        Raises:
            ServiceError: a package cannot be had, or is not what its name says (500).
        """
        self._versions_underway += 1
        try:
            for sha256 in _packages(version):
                await self.bring(sha256)
            await self.merge_layers(version)
        finally:
            self._versions_underway -= 1

    def has(self, version: FunctionVersion) -> bool:
        """Whether all packages of a version are on this node."""
        return all(self.is_here(sha256) for sha256 in _packages(version))

    async def bring(self, sha256: str) -> None:
        """Have a package on this node. Raises: see `make_ready`."""
        if self._blobs is None or self.is_here(sha256):
            return
        async with self._bringing.setdefault(sha256, asyncio.Lock()):
            if not self.is_here(sha256):
                await self._fetch(self._blobs, sha256)
        self._bringing.pop(sha256, None)

    def is_here(self, sha256: str) -> bool:
        """Whether the package is on this node, whole."""
        # Asked for every creation: pathlib would take three times as long.
        return os.path.isdir(f"{self._root}/code/{sha256}") and os.path.exists(f"{self._root}/zips/{sha256}.zip")

    def directory(self, sha256: str) -> str:
        """Return the unpacked tree's path relative to the data directory."""
        return f"code/{sha256}"

    def opt_directory(self, version: FunctionVersion) -> str | None:
        """Return the path, relative to the data directory, of what a version sees at /opt; None without layers."""
        digest = version.opt_digest
        if digest is None:
            return None
        return f"layers/{digest}" if len(version.layers) > 1 else self.directory(digest)

    async def merge_layers(self, version: FunctionVersion) -> None:
        """Make the tree that a committed version with several layers sees at /opt.

        Raises:
            ServiceError: the disk is full or broken (500).
        """
        if version.opt_digest is None or len(version.layers) < 2:
            return
        from lambent.store.merging import merge_trees
        from lambent.store.package import storage_error

        trees = [self._code / layer.code.sha256 for layer in version.layers]
        try:
            await asyncio.to_thread(merge_trees, trees, self._layers / version.opt_digest)
        except OSError as error:
            raise storage_error(error) from error

    def zip_path(self, sha256: str) -> Path:
        """Return where the zip is, if it is: as it came, or sealed."""
        return self._zips / f"{sha256}.zip"

    def read(self, sha256: str) -> AsyncIterator[bytes] | None:
        """Return the zip's bytes as it came, in blocks, when the file itself is sealed; None when it is not.

        Raises:
            FileNotFoundError: it is not here.
            ServiceError: while it is read: it cannot be opened (500).
        """
        from lambent.store.sealed_files import is_sealed

        return self._opened(sha256) if is_sealed(self.zip_path(sha256)) else None

    async def protect(self) -> None:
        """Seal the zips that were kept before the setting asked for it. Crash-safe: each is one or the other."""
        if not self._is_sealing:
            return
        for path in await asyncio.to_thread(lambda: list(self._zips.glob("[!.]*.zip"))):
            await self._seal(path)

    async def sweep(self, in_use: Callable[[], Awaitable[frozenset[str]]]) -> int:
        """Remove every package that is neither in `in_use()` nor being added; return how many names went.

        `was_busy` tells afterwards whether packages were being added or made ready when it began: what belongs to a
        version that was deleted meanwhile only the next sweep finds.

        Raises: what `in_use` raises; then nothing is removed.
        """
        self.was_busy = bool(self._held) or self._versions_underway > 0
        # What is held at any moment from here on may be committed after `in_use` has looked.
        self._kept_by_sweep = set(self._held)
        try:
            used = await in_use()
            async with self._lock:
                kept = used | self._kept_by_sweep | set(self._held)
                trash = await asyncio.to_thread(self._discard, kept)
        finally:
            self._kept_by_sweep = None
        await asyncio.to_thread(_remove_all, trash)
        if self._blobs is not None:
            await self._blobs.sweep(used)
        return len(trash)

    @property
    def _zips(self) -> Path:
        return self._root / "zips"

    @property
    def _code(self) -> Path:
        return self._root / "code"

    @property
    def _layers(self) -> Path:
        return self._root / "layers"

    @property
    def _directories(self) -> tuple[Path, ...]:
        return self._zips, self._code, self._layers

    async def _opened(self, sha256: str) -> AsyncIterator[bytes]:
        from lambent.store.sealed_files import plain_blocks

        assert self._key is not None
        blocks = plain_blocks(self.zip_path(sha256), self._key, sha256)
        while (block := await asyncio.to_thread(next, blocks, None)) is not None:
            yield block

    async def _seal(self, path: Path) -> None:
        from lambent.store.sealed_files import is_sealed, seal_file

        assert self._key is not None
        fresh = self._zips / f".{secrets.token_hex(8)}"
        try:
            if await asyncio.to_thread(is_sealed, path):
                return
            await asyncio.to_thread(seal_file, path, fresh, self._key, path.stem)
            if self._blobs is not None:
                await self._blobs.put(path.stem, fresh, is_replacing=True)
            async with self._lock:
                await asyncio.to_thread(_replace, path, fresh)
        except FileNotFoundError:
            return
        finally:
            fresh.unlink(missing_ok=True)

    async def _fetch(self, blobs: Blobs, sha256: str) -> None:
        fetched = self._zips / f".{secrets.token_hex(8)}"
        self._hold(sha256)
        try:
            await blobs.fetch(sha256, fetched)
            try:
                prepared = await self._prepare(str(fetched), sealed_name=sha256)
            except InvalidParameterValueError as error:
                raise ServiceError(f"The package {sha256} is damaged in the store.") from error
            if prepared.reference.sha256 != sha256:
                await asyncio.to_thread(prepared.discard)
                raise ServiceError(f"The package {sha256} is damaged in the store.")
            async with self._lock:
                await asyncio.to_thread(prepared.place)
        finally:
            fetched.unlink(missing_ok=True)
            self._let_go(sha256)

    async def _prepare(self, source: bytes | str, sealed_name: str | None = None) -> PreparedPackage:
        # Here, not above: only who unpacks pays for the zip library at start.
        from lambent.store.package import PackageJob, prepare_package

        job = PackageJob(
            source,
            str(self._zips),
            str(self._code),
            key=self._key,
            sealed_name=sealed_name,
            is_sealing=self._is_sealing,
        )
        future = asyncio.get_running_loop().run_in_executor(self._executor, prepare_package, job)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            future.add_done_callback(_discard_unwanted)
            raise
        except BrokenExecutor as error:
            raise ServiceError("The process that unpacks code has ended; nothing was changed.") from error

    def _let_go(self, sha256: str) -> None:
        self._held[sha256] -= 1
        if not self._held[sha256]:
            del self._held[sha256]

    def _hold(self, sha256: str) -> None:
        self._held[sha256] += 1
        if self._kept_by_sweep is not None:
            self._kept_by_sweep.add(sha256)

    def _discard(self, kept: frozenset[str] | set[str]) -> list[Path]:
        """Give what is not kept a name that the next start sweeps, in case this one does not come to it."""
        trash = []
        for directory in self._directories:
            for path in directory.iterdir():
                if path.name.startswith(".") or path.name.removesuffix(".zip") in kept:
                    continue
                target = directory / f".trash-{secrets.token_hex(8)}"
                path.rename(target)
                trash.append(target)
        return trash


def _packages(version: FunctionVersion) -> list[str]:
    own = [version.code.sha256] if version.code.sha256 else []
    return [*own, *(layer.code.sha256 for layer in version.layers)]


def _discard_unwanted(future: asyncio.Future[PreparedPackage]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().discard()


def _replace(path: Path, fresh: Path) -> None:
    # A sweep may have taken it meanwhile; then it stays away.
    if path.exists():
        fresh.rename(path)


def _remove_all(paths: list[Path]) -> None:
    for path in paths:
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
