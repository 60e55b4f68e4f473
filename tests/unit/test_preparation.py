"""What is made ready before a version runs, and which versions have all that they need when they come."""

from __future__ import annotations

import asyncio
import contextlib
import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from lambent import preparation
from lambent.environments import PackageFacts
from lambent.model.function import CodeReference, FunctionVersion, LayerReference, PackageType
from lambent.preparation import Preparation, PreparationParts
from lambent.store import CodeStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MISSING = CodeReference("0" * 64, 1, 1)


def version(code: CodeReference, configuration_id: str = "c") -> FunctionVersion:
    return FunctionVersion(
        account_id="0" * 12,
        region="us-east-1",
        name="f",
        role="r",
        code=code,
        configuration_id=configuration_id,
        revision_id="r",
        last_modified_ms=0,
    )


@dataclass
class Machine:
    """A node: its packages, and what was asked of it. `reason` is why it cannot run anything, or None."""

    code: CodeStore
    facts: PackageFacts
    reason: list[str | None] = field(default_factory=lambda: [None])
    asked: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)

    def preparation(self) -> Preparation:
        async def image_ready(version: FunctionVersion) -> None:
            self.images.append(version.configuration_id)

        def unavailable_reason(version: FunctionVersion) -> str | None:
            self.asked.append(version.configuration_id)
            return self.reason[0]

        async def filled() -> None:
            return None

        parts = PreparationParts(self.code, self.facts, image_ready, filled)
        return Preparation(parts, unavailable_reason)

    async def placed(self, text: str) -> CodeReference:
        """Take in a package."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("index.py", text)
        async with self.code.add(buffer.getvalue()) as reference:
            return reference


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with ThreadPoolExecutor(1) as executor:
        code = CodeStore(tmp_path, executor)
        yield Machine(code, PackageFacts(lambda sha256: tmp_path / code.directory(sha256)))


async def test_a_small_package_that_is_here_is_ready_at_once(machine: Machine) -> None:
    made = version(await machine.placed("import boto3"))
    assert await machine.preparation().is_ready_at_once(made)
    assert machine.facts.sdk_names(made) is not None, "what was read of it is known"
    assert machine.asked == ["c"]


async def test_what_has_to_be_fetched_or_made_is_not(machine: Machine) -> None:
    made = machine.preparation()
    here = version(await machine.placed("pass"))
    layers = tuple(LayerReference(name, here.code) for name in ("a", "b"))
    assert not await made.is_ready_at_once(replace(here, layers=(LayerReference("a", MISSING),)))
    assert not await made.is_ready_at_once(replace(here, package_type=PackageType.IMAGE))
    assert not await made.is_ready_at_once(replace(here, layers=layers)), "two layers are merged first"
    assert await made.is_ready_at_once(replace(here, layers=layers[:1]))


async def test_a_large_package_is_read_after_the_answer(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "_SMALL_BYTES", 10)
    made = machine.preparation()
    large = version(await machine.placed("pass # and more"))
    assert not await made.is_ready_at_once(large)
    assert await made.prepare(large) is None
    assert await made.is_ready_at_once(large), "it is known now"


async def test_what_cannot_run_here_is_not_ready(machine: Machine) -> None:
    machine.reason[0] = "install it"
    made = machine.preparation()
    here = version(await machine.placed("pass"))
    assert not await made.is_ready_at_once(here)
    assert await made.prepare(here) == "install it"


async def test_the_feed_brings_what_was_not_prepared_here(machine: Machine) -> None:
    made = machine.preparation()
    code = await machine.placed("pass")
    prepared, other, last = (version(code, name) for name in ("prepared", "other", "last"))
    assert await made.is_ready_at_once(prepared)
    for each in (prepared, other, last):
        made.learn(each)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.run())
        while "last" not in machine.asked:
            await asyncio.sleep(0)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    assert machine.asked == ["prepared", "other", "last"]
    assert machine.images == ["other", "last"]
