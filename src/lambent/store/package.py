"""Checking and unpacking a deployment package. Runs in a worker process; the zip is presumed hostile.

Everything is written beside its final place and renamed there when it is whole and on disk, so a crash or a full disk
leaves nothing but a directory whose name begins with a dot, which the next start sweeps.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import posixpath
import secrets
import shutil
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from lambent.model.errors import InvalidParameterValueError, LambdaError, ServiceError
from lambent.model.function import CodeReference
from lambent.model.quotas import UNPACKED_BYTES, ZIP_ENTRIES

if TYPE_CHECKING:
    from collections.abc import Iterable

# Source: observed (AWS answers these two texts for packages it cannot use).
# Jars made by Maven say so of entries whose mode it does not know.
_KIND_UNSAID = 0o170000
_NOT_A_ZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."
_EMPTY = "Uploaded file must be a non-empty zip"
# Source: developer guide, quotas; observed text.
_TOO_LARGE = f"Unzipped size must be smaller than {UNPACKED_BYTES.value} bytes"

_BLOCK_BYTES = 1 << 20
# An entry of the central directory takes at least 46 bytes; reading a larger directory would cost memory for nothing.
_DIRECTORY_BYTES_MAX = ZIP_ENTRIES.value * 128
_END_RECORD = struct.Struct("<4s4H2LH")
_END_RECORD_64 = struct.Struct("<4sQ2H2L4Q")
# Flushing every file costs a millisecond each; above this number one flush of the whole file system is cheaper.
_SINGLE_FLUSHES_MAX = 64


@dataclass(frozen=True, slots=True)
class PackageJob:
    """What a worker is asked: bytes, or the path of a file that is moved; and the store's two directories.

    `is_sealing`: the zip is kept sealed under the `key` (32 bytes). `sealed_name`: the source may be sealed, as the
    package of that name.
    """

    source: bytes | str
    zips_directory: str
    code_directory: str
    key: bytes | None = field(default=None, repr=False, kw_only=True)
    sealed_name: str | None = field(default=None, kw_only=True)
    is_sealing: bool = field(default=False, kw_only=True)


class PreparedPackage(Struct, frozen=True):
    """A package that is whole and on disk under names that begin with a dot; `place` gives it its own."""

    reference: CodeReference
    zip_path: str
    tree_path: str

    def place(self) -> None:
        """Rename zip and tree to their final names; the same content may be there already. Raises ServiceError."""
        tree, package = Path(self.tree_path), Path(self.zip_path)
        digest = self.reference.sha256
        try:
            put_in_place(tree, tree.parent / digest)
            put_in_place(package, package.parent / f"{digest}.zip")
        except OSError as error:
            raise storage_error(error) from error
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what has not been placed."""
        Path(self.zip_path).unlink(missing_ok=True)
        shutil.rmtree(self.tree_path, ignore_errors=True)


def prepare_package(job: PackageJob) -> PreparedPackage:
    """Check and unpack a package beside its place.

    Raises:
        InvalidParameterValueError: it is no zip, is hostile, or is too large unpacked (400, AWS's texts).
        ServiceError: the disk is full or broken; nothing was kept (500).
    """
    token = secrets.token_hex(8)
    fresh_zip, fresh_tree = Path(job.zips_directory) / f".{token}", Path(job.code_directory) / f".{token}"
    try:
        _open_source(job)
        size, digest = _take_in(job.source, fresh_zip)
        reference = CodeReference(digest, size, _unpack(fresh_zip, fresh_tree))
        if job.is_sealing and job.key is not None:
            fresh_zip = _sealed(fresh_zip, job.key, digest)
        return PreparedPackage(reference, str(fresh_zip), str(fresh_tree))
    except BaseException as error:
        fresh_zip.unlink(missing_ok=True)
        shutil.rmtree(fresh_tree, ignore_errors=True)
        if isinstance(error, OSError):
            raise storage_error(error) from None
        raise


def _open_source(job: PackageJob) -> None:
    """Put what is sealed in the place of the source as it was before."""
    if job.sealed_name is None or job.key is None or isinstance(job.source, bytes):
        return
    from lambent.store.sealed_files import is_sealed, plain_blocks

    source = Path(job.source)
    if not is_sealed(source):
        return
    plain = source.with_name(f".{secrets.token_hex(8)}")
    try:
        with plain.open("xb") as file:
            for block in plain_blocks(source, job.key, job.sealed_name):
                file.write(block)
        plain.rename(source)
    finally:
        plain.unlink(missing_ok=True)


def _sealed(plain: Path, key: bytes, name: str) -> Path:
    """Seal a file beside its place and remove it; return the sealed one."""
    from lambent.store.sealed_files import seal_file

    sealed = plain.with_name(f".{secrets.token_hex(8)}")
    try:
        seal_file(plain, sealed, key, name)
    except BaseException:
        sealed.unlink(missing_ok=True)
        raise
    plain.unlink()
    return sealed


def is_ready() -> bool:
    """Return True: that a worker answers means that it has started and loaded this module."""
    return True


def _take_in(source: bytes | str, target: Path) -> tuple[int, str]:
    """Bring the package to `target`, on disk; return size and SHA-256 (hex)."""
    if isinstance(source, bytes):
        with target.open("xb") as file:
            file.write(source)
            file.flush()
            os.fsync(file.fileno())
        return len(source), hashlib.sha256(source).hexdigest()
    try:
        Path(source).rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copyfile(source, target)
    with target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
        return file.tell(), digest


def put_in_place(fresh: Path, final: Path) -> None:
    """Rename to the final name, durably; the same content may have come there first."""
    try:
        fresh.rename(final)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    _flush_directory(final.parent)


def _unpack(package: Path, root: Path) -> int:
    if package.stat().st_size == 0:
        raise InvalidParameterValueError(_EMPTY)
    try:
        _check_directory_size(package)
        with zipfile.ZipFile(package) as archive:
            return _extract(archive, root)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        UnicodeError,
        ValueError,
        IndexError,
        struct.error,
    ):
        # What zipfile raises for damage, unknown methods and encryption.
        raise InvalidParameterValueError(_NOT_A_ZIP) from None


def _check_directory_size(package: Path) -> None:
    """Refuse a central directory that is larger than any honest one, before it is read."""
    with package.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        tail_start = max(0, size - 65_557 - 20 - 56)
        file.seek(tail_start)
        tail = file.read()
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) - place < _END_RECORD.size:
        raise zipfile.BadZipFile
    directory_bytes = _END_RECORD.unpack_from(tail, place)[5]
    place_64 = tail.rfind(b"PK\x06\x06")
    if directory_bytes == 0xFFFFFFFF:
        if place_64 < 0 or len(tail) - place_64 < _END_RECORD_64.size:
            raise zipfile.BadZipFile
        directory_bytes = _END_RECORD_64.unpack_from(tail, place_64)[8]
    if directory_bytes > _DIRECTORY_BYTES_MAX:
        raise zipfile.BadZipFile


def _extract(archive: zipfile.ZipFile, root: Path) -> int:
    plan = _plan(archive.infolist())
    declared = sum(entry.file_size for entry in plan.files.values())
    if declared > UNPACKED_BYTES.value:
        raise InvalidParameterValueError(_TOO_LARGE)
    root.mkdir(mode=0o755)
    for directory in sorted(plan.directories):
        _make_directory(root / directory)
    written = 0
    is_flushed_singly = len(plan.files) <= _SINGLE_FLUSHES_MAX
    for name, entry in plan.files.items():
        written += _write_file(archive, entry, root / name, UNPACKED_BYTES.value - written, is_flushed_singly)
    for name, entry in plan.links.items():
        target = archive.read(entry).decode("utf-8", "surrogateescape")
        written += len(target)
        _link(root / name, target)
    real_root = os.path.realpath(root)
    for name in plan.links:
        # Links can lead through each other; only the file system knows where such a chain ends.
        end = os.path.realpath(root / name)
        if end != real_root and not end.startswith(real_root + os.sep):
            raise zipfile.BadZipFile
    flush_tree(root, plan.directories, is_flushed_singly)
    return written


class _Plan(Struct, frozen=True):
    """What an archive would write. Names are relative and clean; later entries of a name have replaced earlier ones."""

    directories: set[str]
    files: dict[str, zipfile.ZipInfo]
    links: dict[str, zipfile.ZipInfo]


def _plan(entries: list[zipfile.ZipInfo]) -> _Plan:
    if not entries:
        raise InvalidParameterValueError(_EMPTY)
    if len(entries) > ZIP_ENTRIES.value:
        raise zipfile.BadZipFile
    directories: set[str] = set()
    files: dict[str, zipfile.ZipInfo] = {}
    links: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        name = _clean_name(entry)
        kind = stat.S_IFMT(entry.external_attr >> 16) if entry.create_system == 3 else 0
        if kind == _KIND_UNSAID:
            kind = 0
        if entry.flag_bits & 0x1 or kind not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
            raise zipfile.BadZipFile
        if entry.filename.endswith(("/", "\\")) or kind == stat.S_IFDIR:
            directories.add(name)
            continue
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or not name:
            raise zipfile.BadZipFile
        if kind == stat.S_IFLNK and entry.file_size > 4096:
            raise zipfile.BadZipFile
        files.pop(name, None)
        links.pop(name, None)
        (links if kind == stat.S_IFLNK else files)[name] = entry
    for name in (*files, *links, *tuple(directories)):
        directories.update(_parents(name))
    directories.discard("")
    if not directories.isdisjoint(files.keys() | links.keys()):
        # A name that is both file and directory, or lies behind a link.
        raise zipfile.BadZipFile
    return _Plan(directories, files, links)


def _clean_name(entry: zipfile.ZipInfo) -> str:
    # Archives made on DOS and Windows may separate by backslash; elsewhere it is an ordinary character.
    name = entry.filename.replace("\\", "/") if entry.create_system == 0 else entry.filename
    if name.startswith("/") or "\0" in name or ".." in name.split("/") or (len(name) > 1 and name[1] == ":"):
        raise zipfile.BadZipFile
    clean = posixpath.normpath(name)
    return "" if clean == "." else clean


def _parents(name: str) -> Iterable[str]:
    while name := posixpath.dirname(name):
        yield name


def _make_directory(path: Path) -> None:
    path.mkdir(mode=0o755, exist_ok=True)
    path.chmod(0o755)


def _write_file(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, left: int, is_flushed: bool) -> int:
    # World-readable, executable if anybody may execute it, and no further bits: no setuid, no sticky, no write.
    mode = 0o755 if (entry.external_attr >> 16) & 0o111 else 0o644
    written = 0
    with archive.open(entry) as source, path.open("xb") as target:
        while block := source.read(_BLOCK_BYTES):
            written += len(block)
            if written > left:
                raise InvalidParameterValueError(_TOO_LARGE)
            target.write(block)
        target.flush()
        os.fchmod(target.fileno(), mode)
        if is_flushed:
            os.fsync(target.fileno())
    if written != entry.file_size:
        raise zipfile.BadZipFile
    return written


def _link(path: Path, target: str) -> None:
    if not target or target.startswith("/") or "\0" in target:
        raise zipfile.BadZipFile
    path.symlink_to(target)


def flush_tree(root: Path, directories: set[str], is_flushed_singly: bool) -> None:
    """Bring a tree's directories (names below `root`) to disk, and its files too unless they were flushed singly."""
    if not is_flushed_singly or len(directories) > _SINGLE_FLUSHES_MAX:
        _flush_file_system(root)
        return
    for directory in ("", *directories):
        _flush_directory(root / directory)


def _flush_file_system(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Not in Python's os module; os.sync() would wait for every disk of the machine.
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), "syncfs")
    except AttributeError:
        os.sync()
    finally:
        os.close(descriptor)


def _flush_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def storage_error(error: OSError) -> LambdaError:
    """Return what a caller is told when a package could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return ServiceError("The disk that holds the code is full; nothing was changed.")
    if error.errno in (errno.ENAMETOOLONG, errno.EILSEQ, errno.ELOOP, errno.EINVAL):
        # A name in the package that no file system takes.
        return InvalidParameterValueError(_NOT_A_ZIP)
    return ServiceError("The code could not be written; nothing was changed.")
