"""The code store: one package for equal bytes, swept when unused, safe against crashes and races."""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import os
import resource
import signal
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from lambent.model.errors import InvalidParameterValueError, ServiceError
from lambent.model.function import CodeReference, FunctionVersion, LayerReference
from lambent.store import CodeStore
from tests.unit.store.conftest import zip_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ONE, TWO = zip_bytes({"a": "1"}), zip_bytes({"a": "2"})


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def nothing() -> frozenset[str]:
    return frozenset()


async def test_packages_lie_under_their_hash(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    code = CodeStore(tmp_path, executor)
    async with code.add(ONE) as reference:
        assert (reference.sha256, reference.size_bytes, reference.unpacked_bytes) == (digest(ONE), len(ONE), 1)
    assert await asyncio.to_thread(code.zip_path(digest(ONE)).read_bytes) == ONE
    assert await asyncio.to_thread((tmp_path / code.directory(digest(ONE)) / "a").read_text) == "1"


class CountingExecutor(ThreadPoolExecutor):
    """Counts what it is given to unpack."""

    count = 0

    def submit(self, *arguments: Any, **others: Any) -> Future[Any]:
        self.count += 1
        return super().submit(*arguments, **others)


async def test_the_same_bytes_are_unpacked_once_while_they_are_here(tmp_path: Path) -> None:
    with CountingExecutor(1) as executor:
        code = CodeStore(tmp_path, executor)
        for _ in range(3):
            async with code.add(ONE) as reference:
                assert (reference.sha256, reference.unpacked_bytes) == (digest(ONE), 1)
                # Held as any other: no sweep takes it before it is committed.
                assert await code.sweep(nothing) == 0
                assert code.was_busy
        assert executor.count == 1
        assert await code.sweep(nothing) == 2
        assert not code.was_busy
        async with code.add(ONE):
            assert names(tmp_path / "code") == {digest(ONE)}
        assert executor.count == 2


async def test_a_check_keeps_nothing(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    code = CodeStore(tmp_path, executor)
    assert (await code.check(ONE)).sha256 == digest(ONE)
    assert names(tmp_path / "code") == names(tmp_path / "zips") == set()


async def test_sweeping_takes_what_is_unused(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    code = CodeStore(tmp_path, executor)
    for content in (ONE, TWO):
        async with code.add(content):
            assert await code.sweep(nothing) == (0 if content is ONE else 2)

    async def only_two() -> frozenset[str]:
        return frozenset({digest(TWO)})

    assert await code.sweep(only_two) == 0
    assert names(tmp_path / "code") == {digest(TWO)}
    assert names(tmp_path / "zips") == {f"{digest(TWO)}.zip"}
    assert await code.sweep(nothing) == 2
    assert names(tmp_path / "code") == names(tmp_path / "zips") == set()


async def test_what_comes_while_a_sweep_looks_is_safe(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    code = CodeStore(tmp_path, executor)

    async def look_while_a_function_is_made() -> frozenset[str]:
        # The database was read before the commit; the block ends before the sweep goes on.
        async with code.add(ONE):
            pass
        return frozenset()

    assert await code.sweep(look_while_a_function_is_made) == 0
    assert names(tmp_path / "code") == {digest(ONE)}


async def test_arrivals_and_sweeps_together(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    code = CodeStore(tmp_path, executor)
    contents = [zip_bytes({"a": str(number)}) for number in range(4)]

    async def come_and_go(content: bytes) -> None:
        for _ in range(8):
            async with code.add(content) as reference:
                await asyncio.sleep(0)
                assert await asyncio.to_thread((tmp_path / code.directory(reference.sha256) / "a").exists)
                assert await asyncio.to_thread(code.zip_path(reference.sha256).exists)

    async def sweep() -> None:
        for _ in range(20):
            await code.sweep(nothing)

    async with asyncio.TaskGroup() as tasks:
        for content in contents:
            tasks.create_task(come_and_go(content))
        tasks.create_task(sweep())
    await code.sweep(nothing)
    assert names(tmp_path / "code") == names(tmp_path / "zips") == set()


def test_what_a_crash_left_is_swept_at_start(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    for directory in (tmp_path / "code" / ".half" / "deep", tmp_path / "zips", tmp_path / "code" / digest(ONE)):
        directory.mkdir(parents=True)
    (tmp_path / "code" / ".half" / "deep" / "file").write_text("x")
    (tmp_path / "zips" / ".half").write_text("x")
    CodeStore(tmp_path, executor)
    assert names(tmp_path / "code") == {digest(ONE)}
    assert names(tmp_path / "zips") == set()


def allow_small_files_only() -> None:
    """Runs in the worker: a full disk, for files above 64 KB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))


@pytest.mark.slow
async def test_a_full_disk_leaves_nothing_and_the_next_goes_through(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=allow_small_files_only) as workers:
        code = CodeStore(tmp_path, workers)
        for content in (zip_bytes({"a": "x" * 100_000}), os.urandom(100_000)):
            with pytest.raises(ServiceError, match="The disk that holds the code is full; nothing was changed"):
                async with code.add(content):
                    pass
            assert names(tmp_path / "code") == names(tmp_path / "zips") == set()
        with pytest.raises(InvalidParameterValueError, match="Could not unzip"):
            async with code.add(b"no zip"):
                pass
        async with code.add(ONE) as reference:
            assert names(tmp_path / "code") == {reference.sha256}


@pytest.mark.slow
async def test_a_killed_worker_is_a_clear_error(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as workers:
        code = CodeStore(tmp_path, workers)
        os.kill(await asyncio.get_running_loop().run_in_executor(workers, os.getpid), signal.SIGKILL)
        with pytest.raises(ServiceError, match="process that unpacks code has ended"):
            async with code.add(ONE):
                pass


def layered(*packages: bytes) -> FunctionVersion:
    """Return a function whose layers are these packages."""
    references = [CodeReference(digest(package), len(package), 1) for package in packages]
    return FunctionVersion(
        account_id="0" * 12,
        region="us-east-1",
        name="f",
        role="r",
        code=references[0],
        configuration_id="c",
        revision_id="r",
        last_modified_ms=0,
        layers=tuple(LayerReference(f"l{n}", reference) for n, reference in enumerate(references)),
    )


async def test_what_is_opt(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    code = CodeStore(tmp_path, executor)
    async with code.add(ONE), code.add(TWO):
        both, turned, one = layered(ONE, TWO), layered(TWO, ONE), layered(ONE)
        assert code.opt_directory(one) == code.directory(digest(ONE)), "a single layer needs no tree of its own"
        assert code.opt_directory(replace(one, layers=())) is None
        for version, text in ((one, "1"), (both, "2"), (turned, "1")):
            await code.make_ready(version)
            directory = code.opt_directory(version)
            assert directory is not None
            assert await asyncio.to_thread((tmp_path / directory / "a").read_text) == text
    assert names(tmp_path / "layers") == {both.opt_digest, turned.opt_digest}

    async def only_both() -> frozenset[str]:
        return frozenset(both.packages)

    await code.sweep(only_both)
    assert names(tmp_path / "layers") == {both.opt_digest}
    await asyncio.to_thread((tmp_path / "layers" / ".half").mkdir)
    CodeStore(tmp_path, executor)
    assert names(tmp_path / "layers") == {both.opt_digest}


async def test_a_tree_that_cannot_be_made_leaves_nothing(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    code = CodeStore(tmp_path, executor)
    async with code.add(ONE):
        with pytest.raises(ServiceError, match="could not be written"):
            await code.merge_layers(layered(ONE, TWO))
    assert names(tmp_path / "layers") == set()
