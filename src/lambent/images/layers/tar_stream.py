"""A tar read from beginning to end, once, in bounded memory. The archive is presumed hostile.

Python's own reader takes as much memory for an extended header as the archive claims; this one takes a megabyte.
Source: POSIX.1-2024, pax; GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

BLOCK_BYTES = 512
_HEADER_BYTES_MAX = 1 << 20
_PIECE_BYTES = 1 << 20
_ZEROS = bytes(BLOCK_BYTES)
# Kinds, as the type flag says.
FILE, HARD_LINK, SYMBOLIC_LINK, CHARACTER, BLOCK, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK = b"x", b"g", b"L", b"K"


class TarError(Exception):
    """It is no tar that can be read; the text says why."""


class TarEntry(Struct):
    """One member. `name` and `link` as they stand there; `size_bytes` of what follows. `mtime_ns` since the epoch."""

    name: str
    kind: bytes
    mode: int
    size_bytes: int
    mtime_ns: int
    link: str = ""
    extended: Mapping[str, str] = field(default_factory=dict)


class TarStream:
    """Reads entries; the content of each is to be read or passed over before the next. `read(n)` gives 1 to n bytes."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._source = read
        self._buffer = memoryview(b"")
        self._left = 0
        self._padding = 0
        self._global: dict[str, str] = {}

    def __iter__(self) -> Iterator[TarEntry]:
        """Yield entries until the end mark, or the end of the bytes. Raises TarError."""
        while (entry := self._next()) is not None:
            yield entry

    def content(self) -> Iterator[memoryview]:
        """Yield the rest of the present entry's content in pieces. Raises TarError."""
        while self._left:
            piece = self._piece(min(self._left, _PIECE_BYTES))
            self._left -= len(piece)
            yield piece

    def drain(self) -> None:
        """Read what follows the end mark, so that the whole stream has been seen."""
        while self._source(_PIECE_BYTES):
            pass

    def _next(self) -> TarEntry | None:
        local: dict[str, str] = {}
        long_name = long_link = None
        while True:
            header = self._header()
            if header is None:
                return None
            entry = _parse(header)
            self._left = entry.size_bytes
            self._padding = -entry.size_bytes % BLOCK_BYTES
            if entry.kind == _PAX:
                local.update(_records(self._small()))
            elif entry.kind == _PAX_GLOBAL:
                self._global.update(_records(self._small()))
            elif entry.kind == _LONG_NAME:
                long_name = _text(self._small().rstrip(b"\0"))
            elif entry.kind == _LONG_LINK:
                long_link = _text(self._small().rstrip(b"\0"))
            else:
                return self._complete(entry, local, long_name, long_link)

    def _complete(
        self, entry: TarEntry, local: dict[str, str], long_name: str | None, long_link: str | None
    ) -> TarEntry:
        extended = {**self._global, **local} if self._global else local
        entry.name = extended.get("path") or long_name or entry.name
        entry.link = extended.get("linkpath") or long_link or entry.link
        if extended:
            entry.extended = extended
            if any(name.startswith("GNU.sparse.") for name in extended):
                raise TarError("sparse files are not read")
            entry.size_bytes = _number(extended, "size", entry.size_bytes)
            if "mtime" in extended:
                entry.mtime_ns = _nanoseconds(extended["mtime"])
        if entry.kind in (b"\0", b"7"):
            entry.kind = FILE
        if entry.kind == FILE and entry.name.endswith("/"):
            entry.kind = DIRECTORY
        if entry.kind != FILE:
            # What a header of another kind says about sizes, no archiver means: POSIX has links without content.
            entry.size_bytes = entry.size_bytes if entry.kind not in (b"1", b"2", b"3", b"4", b"5", b"6") else 0
        self._left = entry.size_bytes
        self._padding = -entry.size_bytes % BLOCK_BYTES
        return entry

    def _header(self) -> bytes | None:
        for _ in self.content():
            pass
        if self._padding:
            self._exact(self._padding)
            self._padding = 0
        first = self._exact(BLOCK_BYTES, may_end=True)
        if not first or first == _ZEROS:
            return None
        return first

    def _small(self) -> bytes:
        if self._left > _HEADER_BYTES_MAX:
            raise TarError("an extended header is too large")
        return b"".join(bytes(piece) for piece in self.content())

    def _exact(self, size: int, *, may_end: bool = False) -> bytes:
        if len(self._buffer) >= size:
            taken, self._buffer = self._buffer[:size], self._buffer[size:]
            return bytes(taken)
        parts, missing = [], size
        while missing:
            piece = self._piece(missing, may_end=may_end and missing == size)
            if not piece:
                return b""
            parts.append(bytes(piece))
            missing -= len(piece)
        return b"".join(parts)

    def _piece(self, size_max: int, *, may_end: bool = False) -> memoryview:
        if not self._buffer:
            data = self._source(_PIECE_BYTES)
            if not data:
                if may_end:
                    return memoryview(b"")
                raise TarError("the archive ends in the middle")
            self._buffer = memoryview(data)
        piece, self._buffer = self._buffer[:size_max], self._buffer[size_max:]
        return piece


def _parse(header: bytes) -> TarEntry:
    claimed = _field(header, 148, 8)
    if sum(header) - sum(header[148:156]) + 256 != claimed:
        raise TarError("a header's checksum is wrong")
    name = header[:100].partition(b"\0")[0]
    # GNU's own form uses the place of ustar's prefix for other things.
    if header[257:263] == b"ustar\0" and (prefix := header[345:500].partition(b"\0")[0]):
        name = prefix + b"/" + name
    return TarEntry(
        name=_text(name),
        kind=header[156:157],
        mode=_field(header, 100, 8),
        size_bytes=_field(header, 124, 12),
        mtime_ns=_field(header, 136, 12) * 1_000_000_000,
        link=_text(header[157:257].partition(b"\0")[0]),
    )


def _field(header: bytes, start: int, length: int) -> int:
    raw = header[start : start + length]
    if raw[0] == 0x80:
        return int.from_bytes(raw[1:], "big")
    if raw[0] == 0xFF:
        return 0
    digits = raw.replace(b"\0", b" ").strip()
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        raise TarError("a header's number is none") from None


def _records(data: bytes) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(data):
        space = data.find(b" ", place, place + 20)
        if space < 0 or not data[place:space].isdigit():
            raise TarError("an extended header is damaged")
        end = place + int(data[place:space])
        if not space < end <= len(data) or data[end - 1 : end] != b"\n":
            raise TarError("an extended header is damaged")
        name, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals:
            raise TarError("an extended header is damaged")
        yield _text(name), _text(value)
        place = end


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _number(extended: Mapping[str, str], name: str, otherwise: int) -> int:
    text = extended.get(name)
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise TarError(f"an extended header's {name} is no number")
    return int(text)


def _nanoseconds(text: str) -> int:
    whole, _, fraction = text.lstrip("-").partition(".")
    if not whole.isdigit() or len(whole) > 12 or (fraction and not fraction.isdigit()):
        raise TarError("an extended header's time is no number")
    moment = int(whole) * 1_000_000_000 + int(fraction[:9].ljust(9, "0"))
    return -moment if text.startswith("-") else moment
