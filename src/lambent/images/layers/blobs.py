"""A layer's bytes from a file: hashed as they lie there, decompressed in bounded steps, hashed as they come out."""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from typing import BinaryIO

_PIECE_BYTES = 1 << 20
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
# Larger windows are asked for by nobody but with `--long=31`; memory is bounded by this.
_ZSTD_WINDOW_BYTES_MAX = 1 << 27


class BlobError(Exception):
    """The bytes are damaged or of a compression that is not read; the text says why."""


class _Source(Protocol):
    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; none at the end."""


class LayerBytes:
    """The uncompressed bytes of a layer. Read to the end, it knows both hashes."""

    def __init__(self, file: BinaryIO, bytes_max: int) -> None:
        self._raw = _Hashed(file)
        self._bytes_max = bytes_max
        self._hash = hashlib.sha256()
        self.size_bytes = 0
        self._plain = _decompressed(self._raw)

    def read(self, size: int) -> bytes:
        """Return 1 to `size` bytes, none at the end. Raises BlobError."""
        data = self._plain.read(size)
        self.size_bytes += len(data)
        if self.size_bytes > self._bytes_max:
            raise BlobError(f"it is larger than {self._bytes_max} bytes unpacked")
        self._hash.update(data)
        return data

    def finish(self) -> None:
        """Read what lies behind the compressed bytes, so that the file's hash is that of the whole file."""
        while self._raw.read(_PIECE_BYTES):
            pass

    @property
    def digest(self) -> str:
        """SHA-256 of the file so far, lower-case hex."""
        return self._raw.hash.hexdigest()

    @property
    def diff_id(self) -> str:
        """SHA-256 of the uncompressed bytes so far, lower-case hex."""
        return self._hash.hexdigest()


class _Hashed:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.hash = hashlib.sha256()
        self._ahead = b""

    def peek(self, size: int) -> bytes:
        self._ahead = self.read(size)
        return self._ahead

    def read(self, size: int) -> bytes:
        if self._ahead:
            ahead, self._ahead = self._ahead, b""
            return ahead
        data = self._file.read(size)
        self.hash.update(data)
        return data


class _Gzip:
    """Members of a gzip file one after the other, each step bounded by what is asked for."""

    def __init__(self, source: _Hashed) -> None:
        self._source = source
        self._member = zlib.decompressobj(31)
        self._pending = b""
        self._is_over = False

    def read(self, size: int) -> bytes:
        while not self._is_over:
            if not self._pending:
                self._pending = self._source.read(_PIECE_BYTES)
                if not self._pending:
                    if not self._member.eof:
                        raise BlobError("the compressed bytes end in the middle")
                    return b""
            if self._member.eof:
                rest = self._pending.lstrip(b"\0")
                if not rest:
                    self._pending = b""
                    continue
                self._member, self._pending = zlib.decompressobj(31), rest
            try:
                data = self._member.decompress(self._pending, size)
            except zlib.error as error:
                raise BlobError("the compressed bytes are damaged") from error
            self._pending = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if data:
                return data
        return b""


class _Zstd:
    def __init__(self, source: _Hashed) -> None:
        # Only a layer of this kind pays for it.
        import zstandard

        decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX)
        self._reader = decompressor.stream_reader(cast("BinaryIO", _Patient(source)), read_across_frames=True)
        self._error = zstandard.ZstdError

    def read(self, size: int) -> bytes:
        try:
            data: bytes = self._reader.read(size)
        except self._error as error:
            raise BlobError("the compressed bytes are damaged") from error
        return data


class _Patient:
    """What the zstd reader wants of a file."""

    def __init__(self, source: _Hashed) -> None:
        self._source = source

    def read(self, size: int) -> bytes:
        return self._source.read(max(size, 1))


def _decompressed(source: _Hashed) -> _Source:
    first = source.peek(_PIECE_BYTES)
    if first.startswith(_GZIP):
        return _Gzip(source)
    if first.startswith(_ZSTD):
        return _Zstd(source)
    if first.startswith((b"BZh", b"\xfd7zXZ\0")):
        raise BlobError("layers are read uncompressed, with gzip and with zstd")
    return source
