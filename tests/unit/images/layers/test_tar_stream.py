"""The tar reader against Python's own, and against noise."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.images.layers.tar_stream import TarError, TarStream

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = "directory/" * 20 + "name-" * 40


def reader(content: bytes, step: int = 700) -> Callable[[int], bytes]:
    file = io.BytesIO(content)
    return lambda size: file.read(min(size, step))


def archive(tar_format: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tar_format) as made:
        for name, content in (("short", b"x" * 513), (LONG if tar_format != tarfile.USTAR_FORMAT else "other", b"y")):
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(content), 1_700_000_000, 0o640
            made.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "short"
        made.addfile(link)
    return buffer.getvalue()


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("step", [1, 511, 100_000])
def test_every_format(tar_format: int, step: int) -> None:
    content = archive(tar_format)
    stream = TarStream(reader(content, step))
    seen = [
        (entry.name, entry.kind, entry.mode, b"".join(map(bytes, stream.content())), entry.link) for entry in stream
    ]
    with tarfile.open(fileobj=io.BytesIO(content)) as expected:
        wanted = []
        for member in expected:
            file = expected.extractfile(member) if member.isfile() else None
            wanted.append((member.name, member.type, member.mode, file.read() if file else b"", member.linkname))
    assert seen == wanted


def test_content_that_nobody_reads_is_passed_over() -> None:
    assert [entry.name for entry in TarStream(reader(archive(tarfile.GNU_FORMAT)))] == ["short", LONG, "link"]


def test_an_archive_that_ends_in_the_middle() -> None:
    stream = TarStream(reader(archive(tarfile.USTAR_FORMAT)[:700]))
    with pytest.raises(TarError, match="ends in the middle"):
        list(stream)


def test_an_extended_header_without_end_takes_no_memory() -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 10**12
    with pytest.raises(TarError, match="too large"):
        list(TarStream(reader(header.tobuf(tarfile.GNU_FORMAT) + bytes(10_000))))


@given(st.binary(max_size=3000))
def test_noise_is_refused(content: bytes) -> None:
    try:
        list(TarStream(reader(content)))
    except TarError:
        return
    assert not content[:512].strip(b"\0")


@given(st.integers(0, 511), st.binary(min_size=1, max_size=8))
def test_damage_in_a_header_is_seen_or_harmless(place: int, damage: bytes) -> None:
    content = bytearray(archive(tarfile.GNU_FORMAT))
    content[place : place + len(damage)] = damage
    try:
        for entry in TarStream(reader(bytes(content))):
            assert isinstance(entry.name, str)
    except TarError:
        pass
