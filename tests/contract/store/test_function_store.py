"""What functions are promised over every driver: what goes in comes out, revisions, pages, the feed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from lambent.model.errors import PreconditionFailedError, ResourceConflictError, ResourceNotFoundError
from lambent.model.function import (
    CodeReference,
    FileSystemConfig,
    FunctionState,
    FunctionTags,
    LogFormat,
    LoggingConfig,
    UpdateStatus,
    VpcConfig,
)
from tests.contract.store.conftest import ACCOUNT, REGION, a_function

if TYPE_CHECKING:
    from lambent.store import FunctionStore
    from lambent.store.contracts import ChangeBatch
    from tests.contract.store.conftest import Opened, Place


def full() -> dict[str, Any]:
    return {
        "runtime": "python3.12",
        "handler": "a.b",
        "description": "ü\n\x00",
        "timeout_seconds": 900,
        "memory_mib": 10_240,
        "ephemeral_storage_mib": 1024,
        "architecture": "arm64",
        "environment": {"A": "ü", "EMPTY": "", "N": "line\nline"},
        "environment_given": True,
        "environment_error": ("Code", "text"),
        "logging": LoggingConfig(LogFormat.JSON, "DEBUG", "WARN", "/my/group"),
        "tracing_mode": "Active",
        "kms_key_arn": "arn:aws:kms:x",
        "dead_letter_target_arn": "arn:aws:sqs:x",
        "state": FunctionState.FAILED,
        "state_reason": "why",
        "state_reason_code": "InvalidRuntime",
        "last_update_status": UpdateStatus.IN_PROGRESS,
        "last_update_status_reason": "busy",
        "last_update_status_reason_code": "Creating",
        "vpc": VpcConfig(("subnet-1", "subnet-2"), ("sg-1",), True),
        "file_systems": (FileSystemConfig("arn", "/mnt/a"), FileSystemConfig("arn2", "/mnt/b", "AUTO")),
        "snap_start_apply_on": "PublishedVersions",
        "source_kms_key_arn": "arn:aws:kms:y",
    }


def told(batch: ChangeBatch) -> list[tuple[str, str | None]]:
    """Return name and revision of every function that the batch tells."""
    functions = [change for change in batch.changes if change.key.kind == "function"]
    return [(change.key.name, change.record.revision_id if change.record else None) for change in functions]


@pytest.mark.parametrize("members", [{}, full()], ids=["defaults", "everything"])
async def test_what_goes_in_comes_out_also_after_reopening(place: Place, members: dict[str, Any]) -> None:
    function = a_function(**members)
    opened = await place.open()
    store = opened.functions
    await store.insert(function, {"k": "v"})
    assert await store.get(function.arn) == function
    assert await store.get(function.arn.qualified("$LATEST")) == function
    assert await store.get(function.arn.qualified("1")) is None
    await opened.close()
    opened = await place.open()
    store = opened.functions
    assert await store.get(function.arn) == function
    assert await store.get_tags(function.arn) == {"k": "v"}
    await opened.close()


async def test_a_name_is_taken_once_in_account_and_region(store: FunctionStore) -> None:
    await store.insert(a_function(), {})
    with pytest.raises(ResourceConflictError, match="Function already exist: f"):
        await store.insert(a_function(revision_id="other"), {"never": "seen"})
    await store.insert(a_function(region="eu-west-1"), {})
    await store.insert(a_function(account_id="111111111111"), {})
    await store.insert(a_function("F"), {})
    assert await store.get_tags(a_function().arn) == {}


async def test_an_update_needs_the_revision_it_read(store: FunctionStore) -> None:
    function = a_function()
    with pytest.raises(ResourceNotFoundError):
        await store.update(function, expected_revision_id="r1")
    await store.insert(function, {})
    newer = replace(function, revision_id="r2", description="new", code=CodeReference("1" * 64, 7, 8))
    await store.update(newer, expected_revision_id="r1")
    assert await store.get(function.arn) == newer
    with pytest.raises(PreconditionFailedError):
        await store.update(replace(function, revision_id="r3"), expected_revision_id="r1")
    assert await store.get(function.arn) == newer


async def test_lists_go_by_name_in_pages(store: FunctionStore) -> None:
    for name in ("b", "a_", "A", "a-", "c"):
        await store.insert(a_function(name), {})
    await store.insert(a_function("z", region="eu-west-1"), {})
    seen: list[str] = []
    while page := await store.list_functions(
        "000000000000", "us-east-1", after_name=seen[-1] if seen else None, limit=2
    ):
        assert len(page) <= 2
        seen += [function.name for function in page]
    assert seen == ["A", "a-", "a_", "b", "c"]


async def test_deleting_takes_the_tags_along(store: FunctionStore) -> None:
    arn = a_function().arn
    assert not await store.delete(arn)
    await store.insert(a_function(), {"k": "v"})
    assert await store.delete(arn)
    assert not await store.delete(arn)
    assert await store.get(arn) is None
    assert await store.get_tags(arn) is None
    await store.insert(a_function(), {})
    assert await store.get_tags(arn) == {}


async def test_usage_and_code_in_use(store: FunctionStore) -> None:
    assert await store.usage("000000000000", "us-east-1") == (0, 0)
    assert await store.code_in_use() == frozenset()
    for number in range(3):
        await store.insert(a_function(str(number), code=CodeReference(f"{number % 2}" * 64, 10 + number, 1)), {})
    await store.insert(a_function("x", account_id="111111111111", code=CodeReference("f" * 64, 99, 1)), {})
    assert await store.usage("000000000000", "us-east-1") == (3, 33)
    assert await store.code_in_use() == {"0" * 64, "1" * 64, "f" * 64}


async def test_what_is_unsettled(store: FunctionStore) -> None:
    await store.insert(a_function("settled"), {})
    await store.insert(a_function("pending", state=FunctionState.PENDING), {})
    await store.insert(a_function("updating", last_update_status=UpdateStatus.IN_PROGRESS), {})
    assert [function.name for function in await store.list_unsettled()] == ["pending", "updating"]
    await store.update(a_function("pending", revision_id="r2"), expected_revision_id="r1")
    assert [function.name for function in await store.list_unsettled()] == ["updating"]


async def test_the_feed_tells_content_and_then_every_change_in_order(opened: Opened) -> None:
    store = opened.functions
    await store.insert(a_function("a"), {})
    await store.insert(a_function("b"), {"k": "v"})
    feed = opened.records.changes()
    content = await anext(feed)
    assert told(content) == [("a", "r1"), ("b", "r1")]
    await store.update(a_function("a", revision_id="r2"), expected_revision_id="r1")
    await store.delete(a_function("b").arn)
    await store.insert(a_function("b", revision_id="again"), {})
    tags = FunctionTags(ACCOUNT, REGION, "a", {"no": "change of a version"})
    await opened.resources.commit(opened.resources.put_over(tags))
    await store.insert(a_function("c"), {})
    async with asyncio.timeout(5):
        batches = [await anext(feed) for _ in range(5)]
    assert [told(batch) for batch in batches] == [[("a", "r2")], [("b", None)], [("b", "again")], [], [("c", "r1")]]
    sequences = [batch.sequence for batch in (content, *batches)]
    assert sequences == sorted(set(sequences))
    removed = {change.key.kind for change in batches[1].changes}
    assert removed == {"function", "function-tags"}, "what goes with a function goes in the same commit"
    await feed.aclose()  # type: ignore[attr-defined]


async def test_a_feed_begun_amid_writes_has_no_gap(opened: Opened) -> None:
    store = opened.functions

    async def write(first: int) -> None:
        for number in range(first, first + 25):
            await store.insert(a_function(f"{number:03}"), {})

    async def follow() -> list[str]:
        feed = opened.records.changes()
        seen: list[str] = []
        while len(seen) < 100 or "074" not in seen or "099" not in seen:
            seen += [name for name, revision in told(await anext(feed)) if revision is not None and name != "first"]
        await feed.aclose()  # type: ignore[attr-defined]
        return seen

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        writers = [tasks.create_task(write(first)) for first in (0, 25)]
        await store.insert(a_function("first"), {})
        await store.delete(a_function("first").arn)
        writers += [tasks.create_task(write(first)) for first in (50, 75)]
        follower = tasks.create_task(follow())
    assert sorted(follower.result()) == [f"{number:03}" for number in range(100)]


async def test_what_a_reader_sees_the_feed_has_been_told(opened: Opened) -> None:
    store = opened.functions
    known: dict[str, str] = {}
    is_filled = asyncio.Event()

    async def follow() -> None:
        async for batch in opened.records.changes():
            known.update((name, revision) for name, revision in told(batch) if revision is not None)
            is_filled.set()

    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(follow())
        await is_filled.wait()

        async def read() -> None:
            for _ in range(150):
                function = await store.get(a_function().arn)
                if function is not None:
                    assert int(known["f"]) >= int(function.revision_id)

        await store.insert(a_function(revision_id="0"), {})
        reading = tasks.create_task(read())
        for number in range(1, 60):
            await store.update(a_function(revision_id=str(number)), expected_revision_id=str(number - 1))
        await reading
        following.cancel()


async def test_a_commit_returns_when_the_data_plane_has_it(opened: Opened) -> None:
    catalog: dict[str, str] = {}
    is_filled = asyncio.Event()

    async def feed_catalog() -> None:
        async for batch in opened.resources.changes():
            await asyncio.sleep(0)
            for change in batch:
                if change.value is not None:
                    catalog[change.key.name] = change.value.revision_id
            is_filled.set()

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        feeding = tasks.create_task(feed_catalog())
        await is_filled.wait()

        async def write(name: str) -> None:
            await opened.functions.insert(a_function(name, revision_id="0"), {})
            for number in range(1, 10):
                function = a_function(name, revision_id=str(number))
                await opened.functions.update(function, expected_revision_id=str(number - 1))
                assert catalog[name] == str(number)

        async with asyncio.TaskGroup() as writers:
            for lane in range(8):
                writers.create_task(write(f"f{lane}"))
        feeding.cancel()
    # Without a data plane that listens, nobody is waited for.
    async with asyncio.timeout(5):
        await opened.functions.insert(a_function("after"), {})


async def test_a_commit_does_not_wait_for_ever_for_the_data_plane(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambent.store.resources._APPLIED_SECONDS", 0.05)
    feed = opened.resources.changes()
    await anext(feed)
    applying = asyncio.ensure_future(anext(feed))
    async with asyncio.timeout(10):
        await opened.resources.wait_filled()
        # The first is applied when the next is asked for, which nobody does.
        await opened.functions.insert(a_function("a"), {})
        await opened.functions.insert(a_function("b"), {})
    assert [change.key.name for change in await applying] == ["a"]
    await feed.aclose()  # type: ignore[attr-defined]


async def test_many_writers_at_once_lose_nothing(store: FunctionStore) -> None:
    async def add_one() -> None:
        while True:
            current = await store.get(a_function().arn)
            assert current is not None
            count = int(current.revision_id) + 1
            try:
                await store.update(replace(current, revision_id=str(count)), expected_revision_id=current.revision_id)
            except PreconditionFailedError:
                continue
            return

    await store.insert(a_function(revision_id="0"), {})
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        for _ in range(30):
            tasks.create_task(add_one())
    final = await store.get(a_function().arn)
    assert final is not None
    assert final.revision_id == "30"
