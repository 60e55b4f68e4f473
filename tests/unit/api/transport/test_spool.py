"""Bodies in files, and bodies on their way there."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from lambent.api.transport.spool import BodyFailure, IncomingBody, SpooledBody

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file(tmp_path: Path) -> None:
    body = SpooledBody(tmp_path)
    body.write([b"a", b"", b"bc"])
    body.write([b"d"])
    body.close()
    assert body.path.read_bytes() == b"abcd"
    assert body.path.stat().st_mode & 0o777 == 0o600
    assert (body.size_bytes, body.sha256) == (4, hashlib.sha256(b"abcd").hexdigest())
    body.discard()
    body.discard()
    assert list(tmp_path.iterdir()) == []


async def test_parts_arrive_and_are_taken() -> None:
    body = IncomingBody(asyncio.get_running_loop(), [b"ab"], lambda: None)
    assert (body.pending_bytes, body.take(), body.pending_bytes) == (2, [b"ab"], 0)
    asyncio.get_running_loop().call_soon(body.put, b"c")
    await body.wait()
    assert body.take() == [b"c"]
    asyncio.get_running_loop().call_soon(body.complete)
    await body.wait()
    assert body.is_complete
    body.fail(BodyFailure.LOST)
    assert body.failure is None


async def test_the_first_failure_counts() -> None:
    body = IncomingBody(asyncio.get_running_loop(), [], lambda: None)
    asyncio.get_running_loop().call_soon(body.fail, BodyFailure.TIMED_OUT)
    await body.wait()
    body.fail(BodyFailure.LOST)
    assert body.failure is BodyFailure.TIMED_OUT
