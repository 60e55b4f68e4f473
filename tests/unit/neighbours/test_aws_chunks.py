"""AWS's chunks, cut anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.neighbours.aws_chunks import UnframedBody
from lambent.wire.error_forms import NeighbourError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def _cut(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def _read(data: bytes, size: int = 1_000) -> bytes:
    return b"".join([part async for part in UnframedBody(_cut(data, size))])


def _framed(chunks: list[bytes], trailer: bytes = b"") -> bytes:
    frames = [b"%x;chunk-signature=%064d\r\n%b\r\n" % (len(chunk), 0, chunk) for chunk in chunks]
    return b"".join(frames) + b"0;chunk-signature=0\r\n" + trailer + b"\r\n"


@given(
    st.lists(st.binary(min_size=1, max_size=300), max_size=5),
    st.integers(1, 400),
    st.sampled_from([b"", b"x-amz-checksum-crc32:AAAA\r\n"]),
)
async def test_data_comes_out_however_it_is_cut(chunks: list[bytes], size: int, trailer: bytes) -> None:
    assert await _read(_framed(chunks, trailer), size) == b"".join(chunks)


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"3",
        b"3\r\nab",
        b"3\r\nabcX\r\n0\r\n\r\n",
        b"x\r\nabc\r\n",
        b"3\r\nabc\r\n",
        b"1" * 5_000,
        b"-3\r\nabc\r\n0\r\n\r\n",
        b"1_0\r\n",
        b"3;\r\nabcde\r\n0\r\n\r\n",
    ],
)
async def test_what_is_no_frame_is_refused(wrong: bytes) -> None:
    with pytest.raises(NeighbourError) as refused:
        await _read(wrong)
    assert (refused.value.code, refused.value.status) == ("IncompleteBody", 400)
