"""Packages encrypted at rest: nothing in clear, nothing changed unnoticed, plain and sealed side by side."""

from __future__ import annotations

import asyncio
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from lambent.model.errors import ServiceError
from lambent.store import CodeStore, InstallationKey
from lambent.store.blobs import DirectoryBlobs
from lambent.store.sealed_files import is_sealed, plain_blocks, seal_file
from tests.unit.store.conftest import zip_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

KEY, OTHER_KEY = InstallationKey(b"k" * 32), InstallationKey(b"o" * 32)
SECRET = "a-word-that-stands-nowhere-else"
PACKAGE = zip_bytes({"index.py": f"WORD = '{SECRET}'\n"})
DIGEST = hashlib.sha256(PACKAGE).hexdigest()
MIB = 1 << 20


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


async def content(blocks: AsyncIterator[bytes] | None) -> bytes | None:
    return None if blocks is None else b"".join([block async for block in blocks])


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB])
def test_what_is_sealed_comes_back(tmp_path: Path, size: int) -> None:
    plain, sealed = tmp_path / "plain", tmp_path / "sealed"
    plain.write_bytes(os.urandom(size))
    seal_file(plain, sealed, b"k" * 32, "n")
    assert (is_sealed(sealed), is_sealed(plain)) == (True, False)
    for path in (sealed, plain):
        assert b"".join(plain_blocks(path, b"k" * 32, "n")) == plain.read_bytes()


def test_every_change_is_noticed(tmp_path: Path) -> None:
    plain, sealed = tmp_path / "plain", tmp_path / "sealed"
    plain.write_bytes(b"a" * (2 * MIB))
    seal_file(plain, sealed, b"k" * 32, "n")
    good = sealed.read_bytes()
    piece = 12 + MIB + 16
    for bad, key, name in (
        (good, b"o" * 32, "n"),
        (good, b"k" * 32, "other"),
        (good[:-1], b"k" * 32, "n"),
        (good[: 16 + piece], b"k" * 32, "n"),
        (good[:10], b"k" * 32, "n"),
        (good[:16] + good[16 + piece :] + good[16 : 16 + piece], b"k" * 32, "n"),
        (good[:100] + bytes([good[100] ^ 1]) + good[101:], b"k" * 32, "n"),
        (good[:15] + bytes([good[15] ^ 1]) + good[16:], b"k" * 32, "n"),
    ):
        sealed.write_bytes(bad)
        with pytest.raises(ServiceError, match="cannot be opened"):
            list(plain_blocks(sealed, key, name))


async def test_zips_are_kept_sealed_and_read_as_they_came(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    code = CodeStore(tmp_path, executor, key=KEY, is_sealing=True)
    async with code.add(PACKAGE) as reference:
        assert (reference.sha256, reference.size_bytes) == (DIGEST, len(PACKAGE))
    assert await asyncio.to_thread(is_sealed, code.zip_path(DIGEST))
    assert await content(code.read(DIGEST)) == PACKAGE
    assert [path.name for path in await asyncio.to_thread(lambda: list((tmp_path / "zips").iterdir()))] == [
        f"{DIGEST}.zip"
    ]
    tree = await asyncio.to_thread((tmp_path / "code" / DIGEST / "index.py").read_text)
    assert SECRET in tree, "what is mounted stays readable, as the documents say"


async def test_the_setting_may_change(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    before = CodeStore(tmp_path, executor, key=KEY)
    async with before.add(PACKAGE):
        assert before.read(DIGEST) is None, "the file itself is sent"
    await before.protect()
    assert await asyncio.to_thread(before.zip_path(DIGEST).read_bytes) == PACKAGE
    switched_on = CodeStore(tmp_path, executor, key=KEY, is_sealing=True)
    for _ in range(2):
        await switched_on.protect()
        assert await content(switched_on.read(DIGEST)) == PACKAGE
    switched_off = CodeStore(tmp_path, executor, key=KEY)
    assert await content(switched_off.read(DIGEST)) == PACKAGE
    blocks = CodeStore(tmp_path, executor, key=OTHER_KEY).read(DIGEST)
    with pytest.raises(ServiceError, match="sealed with another key"):
        await content(blocks)


async def test_daemons_share_sealed_packages(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    shared = tmp_path / "shared"
    await asyncio.to_thread(shared.mkdir)
    one = CodeStore(tmp_path / "one", executor, DirectoryBlobs(shared), key=KEY, is_sealing=True)
    async with one.add(PACKAGE):
        assert await asyncio.to_thread(is_sealed, shared / DIGEST)
    # The other daemon may have the setting or not.
    for name, is_sealing in (("two", True), ("three", False)):
        other = CodeStore(tmp_path / name, executor, DirectoryBlobs(shared), key=KEY, is_sealing=is_sealing)
        await other.bring(DIGEST)
        tree = await asyncio.to_thread((tmp_path / name / other.directory(DIGEST) / "index.py").read_text)
        assert SECRET in tree
        assert await asyncio.to_thread(is_sealed, other.zip_path(DIGEST)) is is_sealing
        assert len(await asyncio.to_thread(os.listdir, tmp_path / name / "zips")) == 1
    stranger = CodeStore(tmp_path / "four", executor, DirectoryBlobs(shared), key=OTHER_KEY)
    with pytest.raises(ServiceError, match="cannot be opened"):
        await stranger.bring(DIGEST)
    assert await asyncio.to_thread(os.listdir, tmp_path / "four" / "zips") == []
