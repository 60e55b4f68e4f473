"""What every driver of Blobs promises, and what a code store makes of packages that another daemon took in."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from lambent.model.errors import ServiceError
from lambent.model.function import CodeReference
from lambent.store import CodeStore, InstallationKey
from lambent.store.blobs import DirectoryBlobs
from lambent.store.sealed_files import is_sealed
from tests.contract.store.conftest import Place, a_function, postgres_place
from tests.running import make_zip_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from lambent.store.contracts import Blobs

ZIP = make_zip_bytes({"index.py": "x = 1\n", "big": os.urandom(3_000_000)})
DIGEST = hashlib.sha256(ZIP).hexdigest()


class Kept:
    """A driver, and the hand that can make it old or spoil it."""

    def __init__(self, blobs: Blobs, directory: Path, place: Place | None) -> None:
        self.blobs = blobs
        self._directory = directory
        self._place = place

    async def age(self, sha256: str) -> None:
        """Put it two hours back."""
        if self._place is None:
            past = (self._directory / sha256).stat().st_mtime - 7200
            os.utime(self._directory / sha256, (past, past))
        else:
            await self._place.execute(
                f"UPDATE blobs SET kept_at = now() - interval '2 hours' WHERE sha256 = '{sha256}'"
            )

    async def spoil(self, sha256: str, content: bytes) -> None:
        """Change what is kept, as a failing disk would."""
        if self._place is None:
            (self._directory / sha256).write_bytes(content)
        else:
            await self._place.execute(f"DELETE FROM blob_chunks WHERE sha256 = '{sha256}'")
            await self._place.execute(
                f"UPDATE blobs SET size_bytes = {len(content)} WHERE sha256 = '{sha256}';"
                f"INSERT INTO blob_chunks VALUES ('{sha256}', 0, '\\x{content.hex()}')"
            )


@pytest.fixture(params=["directory", "postgresql"])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kept]:
    if request.param == "directory":
        (tmp_path / "shared").mkdir()
        yield Kept(DirectoryBlobs(tmp_path / "shared"), tmp_path / "shared", None)
        return
    place = postgres_place(request.getfixturevalue("postgres"), tmp_path)
    opened = await place.open()
    assert opened.records.blobs is not None
    yield Kept(opened.records.blobs, tmp_path, place)
    await opened.close()


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


@pytest.fixture
def node(tmp_path: Path, executor: ThreadPoolExecutor, kept: Kept) -> Callable[[], CodeStore]:
    """Return a maker of code stores, each of a daemon of its own."""
    return lambda: CodeStore(tmp_path / f"node-{secrets.token_hex(4)}", executor, kept.blobs)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


async def test_what_is_put_is_fetched(kept: Kept, tmp_path: Path) -> None:
    for content in (ZIP, b"", b"x"):
        sha256 = hashlib.sha256(content).hexdigest()
        for _ in range(2):
            await kept.blobs.put(sha256, write(tmp_path / "in", content))
        await kept.blobs.fetch(sha256, tmp_path / sha256)
        assert (tmp_path / sha256).read_bytes() == content
    with pytest.raises(ServiceError, match="is not in the store"):
        await kept.blobs.fetch("0" * 64, tmp_path / "nothing")


async def test_many_put_the_same_at_once(kept: Kept, tmp_path: Path) -> None:
    path = write(tmp_path / "in", ZIP)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(6):
            tasks.create_task(kept.blobs.put(DIGEST, path))
    await kept.blobs.fetch(DIGEST, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == ZIP


async def test_a_sweep_takes_what_is_old_and_unused(kept: Kept, tmp_path: Path) -> None:
    digests = []
    for number in range(3):
        content = bytes([number])
        digests.append(hashlib.sha256(content).hexdigest())
        await kept.blobs.put(digests[-1], write(tmp_path / "in", content))
    await kept.age(digests[0])
    await kept.age(digests[1])
    assert await kept.blobs.sweep({digests[1]}) == 1
    with pytest.raises(ServiceError):
        await kept.blobs.fetch(digests[0], tmp_path / "gone")
    for digest in digests[1:]:
        await kept.blobs.fetch(digest, tmp_path / digest)
    # What is put again is as safe as what is new.
    await kept.blobs.put(digests[1], write(tmp_path / "in", b"\x01"))
    assert await kept.blobs.sweep(()) == 0


async def test_another_daemon_unpacks_at_the_first_need(
    kept: Kept, tmp_path: Path, node: Callable[[], CodeStore]
) -> None:
    one, other = node(), node()
    async with one.add(ZIP) as reference:
        version = a_function(code=reference)
    assert one.has(version)
    assert not other.has(version)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(5):
            tasks.create_task(other.make_ready(version))
    assert other.has(version)
    assert other.zip_path(DIGEST).read_bytes() == ZIP
    root = other.zip_path(DIGEST).parent.parent
    assert (root / other.directory(DIGEST) / "index.py").read_text() == "x = 1\n"
    assert not list(root.glob("*/.*")), "nothing half is left"


@pytest.mark.parametrize("content", [b"no zip", make_zip_bytes({"index.py": "another's"})], ids=["noise", "another"])
async def test_what_is_damaged_never_runs(kept: Kept, node: Callable[[], CodeStore], content: bytes) -> None:
    one, other = node(), node()
    async with one.add(ZIP) as reference:
        version = a_function(code=reference)
    await kept.spoil(DIGEST, content)
    with pytest.raises(ServiceError, match="is damaged in the store"):
        await other.make_ready(version)
    assert not other.has(version)
    assert not list(other.zip_path(DIGEST).parent.parent.glob("*/.*")), "nothing half is left"


async def test_what_is_here_is_fetched_once(
    kept: Kept, node: Callable[[], CodeStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = node(), node()
    async with one.add(ZIP) as reference:
        version = a_function(code=reference)
    fetched: list[str] = []
    fetch = kept.blobs.fetch

    async def counted(sha256: str, path: Path) -> None:
        fetched.append(sha256)
        await fetch(sha256, path)

    monkeypatch.setattr(kept.blobs, "fetch", counted)
    for _ in range(3):
        await other.make_ready(version)
        await one.make_ready(version)
    assert fetched == [DIGEST]
    # What happens to it in the store, and the store's absence, do not concern who has it.
    await kept.spoil(DIGEST, b"no zip")
    await other.make_ready(version)
    assert other.zip_path(DIGEST).read_bytes() == ZIP
    # Lost here, it is fetched again, and judged again.
    other.zip_path(DIGEST).unlink()
    with pytest.raises(ServiceError, match="is damaged in the store"):
        await other.make_ready(version)


async def test_a_missing_package_is_told(node: Callable[[], CodeStore]) -> None:
    with pytest.raises(ServiceError, match="is not in the store"):
        await node().make_ready(a_function(code=CodeReference("0" * 64, 1, 1)))


async def test_a_function_without_a_package_needs_none(node: Callable[[], CodeStore]) -> None:
    await node().make_ready(a_function(code=CodeReference("", 0, 0)))


async def test_sealed_packages_travel_sealed(
    kept: Kept, tmp_path: Path, executor: ThreadPoolExecutor, node: Callable[[], CodeStore]
) -> None:
    installation_key = InstallationKey.open(tmp_path / "key")

    def sealing_node(name: str) -> CodeStore:
        return CodeStore(tmp_path / name, executor, kept.blobs, key=installation_key, is_sealing=True)

    # Taken in openly, before the setting asked for more; then the same daemon is started again.
    async with CodeStore(tmp_path / "first", executor, kept.blobs).add(ZIP) as reference:
        version = a_function(code=reference)
    await sealing_node("first").protect()
    await kept.blobs.fetch(DIGEST, tmp_path / "sealed")
    assert (tmp_path / "sealed").read_bytes() != ZIP
    assert b"index.py" not in (tmp_path / "sealed").read_bytes()
    other = sealing_node("other")
    await other.make_ready(version)
    assert (tmp_path / "other" / other.directory(DIGEST) / "index.py").read_text() == "x = 1\n"
    assert is_sealed(other.zip_path(DIGEST))
    with pytest.raises(ServiceError):
        await node().make_ready(version)


async def test_sweeping_a_node_leaves_what_others_use(kept: Kept, node: Callable[[], CodeStore]) -> None:
    one, other = node(), node()
    async with one.add(ZIP) as reference:
        version = a_function(code=reference)
    await kept.age(DIGEST)
    await other.make_ready(version)

    async def in_use() -> frozenset[str]:
        return frozenset({DIGEST})

    async def nothing() -> frozenset[str]:
        return frozenset()

    assert await one.sweep(in_use) == 0
    await other.make_ready(version)
    assert await other.sweep(nothing) == 2
    with pytest.raises(ServiceError):
        await other.make_ready(version)
