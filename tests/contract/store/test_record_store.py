"""What every driver of RecordStore promises: commits whole or not at all, expectations, order, pages, sums."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lambent.store.contracts import (
    ANY_REVISION,
    CommitRefusedError,
    Delete,
    DeleteAll,
    Put,
    Record,
    RecordKey,
    Require,
)
from tests.contract.store.conftest import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lambent.store.contracts import RecordStore, Write
    from tests.contract.store.conftest import Opened, Place


def key(name: str, qualifier: str = "", kind: str = "thing", account_id: str = ACCOUNT) -> RecordKey:
    return RecordKey(account_id, REGION, kind, name, qualifier)


def record(name: str, revision_id: str = "r1", qualifier: str = "", kind: str = "thing") -> Record:
    return Record(key(name, qualifier, kind), revision_id, b'{"r": "' + revision_id.encode() + b'"}')


@pytest.fixture
def records(opened: Opened) -> RecordStore:
    return opened.records


async def content(records: RecordStore, kind: str = "thing") -> dict[tuple[str, str], str]:
    page = await records.read_page(ACCOUNT, REGION, kind, limit=1000)
    return {(one.key.name, one.key.qualifier): one.revision_id for one in page}


async def test_what_goes_in_comes_out(place: Place) -> None:
    whole = Record(
        key("ü/\u20ac 🙂", "$LATEST"),
        "rev",
        b'{"bytes": "\\u0000"}',
        b"\x00\xff sealed",
        True,
        "ab" * 32,
        7_000_000_000,
    )
    opened = await place.open()
    await opened.records.commit([Put(whole, None)])
    assert await opened.records.read(whole.key) == whole
    await opened.close()
    opened = await place.open()
    assert await opened.records.read(whole.key) == whole
    assert await opened.records.read(key("ü/\u20ac 🙂")) is None
    assert list(await opened.records.read_unsettled()) == [whole]
    assert await opened.records.blob_bytes(ACCOUNT, REGION) == 7_000_000_000
    assert await opened.records.blobs_in_use() == {"ab" * 32}
    await opened.close()


A, B = record("a"), record("b")
THERE: dict[str, tuple[Write, bool]] = {
    "put-new": (Put(record("a", "r2"), None), False),
    "put-over-it": (Put(record("a", "r2"), "r1"), True),
    "put-over-another": (Put(record("a", "r2"), "r9"), False),
    "put-over-any": (Put(record("a", "r2"), ANY_REVISION), True),
    "delete-it": (Delete(A.key, "r1"), True),
    "delete-another": (Delete(A.key, "r9"), False),
    "delete-any": (Delete(A.key, ANY_REVISION), True),
    "require-it": (Require(A.key, "r1"), True),
    "require-another": (Require(A.key, "r9"), False),
    "require-any": (Require(A.key, ANY_REVISION), True),
    "require-none": (Require(A.key, None), False),
}
NOT_THERE: dict[str, tuple[Write, bool]] = {
    "put-new": (Put(B, None), True),
    "put-over-it": (Put(B, "r1"), False),
    "put-over-any": (Put(B, ANY_REVISION), True),
    "delete": (Delete(B.key, "r1"), False),
    "delete-any": (Delete(B.key, ANY_REVISION), False),
    "delete-all": (DeleteAll(ACCOUNT, REGION, ("thing",), "b"), True),
    "require": (Require(B.key, "r1"), False),
    "require-any": (Require(B.key, ANY_REVISION), False),
    "require-none": (Require(B.key, None), True),
}


@pytest.mark.parametrize("case", [("there", name) for name in THERE] + [("not-there", name) for name in NOT_THERE])
async def test_an_expectation_that_does_not_hold_undoes_the_whole_commit(
    records: RecordStore, case: tuple[str, str]
) -> None:
    write, holds = THERE[case[1]] if case[0] == "there" else NOT_THERE[case[1]]
    await records.commit([Put(A, None)])
    others: list[Write] = [Put(record("before"), None), write, Put(record("after"), None)]
    if holds:
        await records.commit(others)
        assert {("before", ""), ("after", "")} <= (await content(records)).keys()
    else:
        with pytest.raises(CommitRefusedError) as refused:
            await records.commit(others)
        assert refused.value.found == (A if case[0] == "there" else None)
        assert refused.value.key == (A if case[0] == "there" else B).key
        assert await content(records) == {("a", ""): "r1"}


async def test_a_write_sees_those_before_it_in_its_commit(records: RecordStore) -> None:
    await records.commit(
        [Put(A, None), Put(record("a", "r2"), "r1"), Require(A.key, "r2"), Delete(A.key, "r2"), Require(A.key, None)]
    )
    assert await content(records) == {}
    await records.commit(
        [
            Put(record("f", qualifier="1"), None),
            Put(record("f", qualifier="2"), None),
            DeleteAll(ACCOUNT, REGION, ("thing",), "f"),
            Put(record("f", "r2", qualifier="2"), None),
        ]
    )
    assert await content(records) == {("f", "2"): "r2"}


async def test_removing_by_name_takes_these_kinds_of_that_name_and_nothing_else(records: RecordStore) -> None:
    kept = [record("f2"), record("f", kind="other"), replace(record("f"), key=key("f", account_id="1" * 12))]
    gone = [record("f"), record("f", qualifier="1"), record("f", kind="second")]
    await records.commit([Put(one, None) for one in (*kept, *gone)])
    feed = records.changes()
    await anext(feed)
    await records.commit([DeleteAll(ACCOUNT, REGION, ("thing", "second", "absent"), "f")])
    for one in kept:
        assert await records.read(one.key) == one
    for one in gone:
        assert await records.read(one.key) is None
    async with asyncio.timeout(5):
        told = await anext(feed)
    assert {change.key for change in told.changes} == {one.key for one in gone}
    assert all(change.record is None for change in told.changes)
    await feed.aclose()  # type: ignore[attr-defined]


async def test_pages_are_in_order_of_bytes_and_whole(records: RecordStore) -> None:
    names = ["B", "a", "a-", "a_", "a/b", "ab", "é", "z", "\uffff", "\U0001f600"]
    await records.commit([Put(record(name, qualifier=q), None) for name in names for q in ("$LATEST", "1", "10", "2")])
    wanted = sorted(
        ((name, q) for name in names for q in ("$LATEST", "1", "10", "2")), key=lambda pair: [t.encode() for t in pair]
    )

    async def pages(name: str | None, limit: int) -> list[tuple[str, str]]:
        seen: list[tuple[str, str]] = []
        while True:
            after = seen[-1] if seen else None
            page = await records.read_page(ACCOUNT, REGION, "thing", name=name, after=after, limit=limit)
            assert len(page) <= limit
            if not page:
                return seen
            seen += [(one.key.name, one.key.qualifier) for one in page]

    for limit in (1, 3, 1000):
        assert await pages(None, limit) == wanted
        assert await pages("a", limit) == [pair for pair in wanted if pair[0] == "a"]
        assert await pages("nobody", limit) == []


async def test_a_page_of_a_qualifier_steps_over_all_others(records: RecordStore) -> None:
    others = [Put(record(name, qualifier=str(n)), None) for name in ("a", "c", "d") for n in range(60)]
    latest = [Put(record(name, qualifier="$LATEST"), None) for name in ("d", "B", "a", "é")]
    foreign = replace(record("b"), key=key("b", "$LATEST", account_id="1" * 12))
    await records.commit([*others, *latest, Put(foreign, None), Put(record("x", qualifier="$LATEST", kind="k"), None)])
    seen: list[str] = []
    while page := await records.read_page_of_qualifier(
        ACCOUNT, REGION, "thing", "$LATEST", after_name=seen[-1] if seen else None, limit=3
    ):
        assert len(page) <= 3
        assert {one.key.qualifier for one in page} == {"$LATEST"}
        seen += [one.key.name for one in page]
    assert seen == ["B", "a", "d", "é"]


async def test_sums_and_names(records: RecordStore) -> None:
    def sized(name: str, qualifier: str, size: int, blob: str | None, kind: str = "thing") -> Put:
        one = replace(record(name, qualifier=qualifier, kind=kind), blob_bytes=size, blob_sha256=blob)
        return Put(one, None)

    await records.commit(
        [
            sized("f", "1", 10, "a" * 64),
            sized("f", "2", 10, "a" * 64),
            sized("g", "1", 5, None),
            sized("g", "1", 7, "b" * 64, kind="second"),
        ]
    )
    assert await records.count(ACCOUNT, REGION, "thing") == 2
    assert await records.count(ACCOUNT, REGION, "second") == 1
    assert await records.count(ACCOUNT, "eu-west-1", "thing") == 0
    assert await records.blob_bytes(ACCOUNT, REGION) == 32
    assert await records.blob_bytes("1" * 12, REGION) == 0
    assert await records.blobs_in_use() == {"a" * 64, "b" * 64}
    named = await records.read_named(ACCOUNT, REGION, ["thing", "second"], "g")
    assert [one.key.kind for one in named] == ["second", "thing"]


async def test_many_commits_at_once_are_all_done_and_numbered(records: RecordStore) -> None:
    feed = records.changes()
    first = (await anext(feed)).sequence

    async def write(lane: int) -> list[int]:
        sequences = []
        for number in range(15):
            sequences.append(await records.commit([Put(record(f"{lane}-{number}"), None), Put(record("shared"), "*")]))
            with pytest.raises(CommitRefusedError):
                await records.commit([Put(record(f"{lane}-{number}"), None)])
        return sequences

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        lanes = [tasks.create_task(write(lane)) for lane in range(10)]
    told: dict[int, Sequence[str]] = {}
    async with asyncio.timeout(10):
        while len(told) < 150:
            batch = await anext(feed)
            told[batch.sequence] = [change.key.name for change in batch.changes]
    assert sorted(told) == list(told), "in the order of commits"
    assert min(told) > first
    for lane, task in enumerate(lanes):
        assert [told[sequence] for sequence in task.result()] == [[f"{lane}-{n}", "shared"] for n in range(15)]
        assert task.result() == sorted(set(task.result()))
    await feed.aclose()  # type: ignore[attr-defined]


async def test_a_commit_that_the_database_cannot_take_fails_no_other(records: RecordStore) -> None:
    bad = replace(record("bad"), key=key("lone \ud800 surrogate"))

    async def commit(write: Write) -> Exception | None:
        try:
            await records.commit([write])
        except Exception as error:
            return error
        return None

    async with asyncio.TaskGroup() as tasks:
        good = [tasks.create_task(commit(Put(record(str(number)), None))) for number in range(5)]
        failing = tasks.create_task(commit(Put(bad, None)))
        good += [tasks.create_task(commit(Put(record(str(number)), None))) for number in range(5, 10)]
    assert failing.result() is not None
    assert [task.result() for task in good] == [None] * 10
    assert {name for name, _ in await content(records)} == {str(number) for number in range(10)}


async def test_no_read_is_ahead_of_the_feed(records: RecordStore) -> None:
    known: list[int] = []
    ahead: list[int] = []
    is_filled, is_over = asyncio.Event(), asyncio.Event()

    async def follow() -> None:
        async for batch in records.changes():
            known.extend(int(change.record.revision_id) for change in batch.changes if change.record is not None)
            is_filled.set()

    async def read() -> None:
        while not is_over.is_set():
            found = await records.read(A.key)
            if found is not None and int(found.revision_id) > known[-1]:
                ahead.append(int(found.revision_id))
            await asyncio.sleep(0)

    await records.commit([Put(record("a", "0"), None)])
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(follow())
        await is_filled.wait()
        async with asyncio.TaskGroup() as readers:
            for _ in range(3):
                readers.create_task(read())
            for number in range(1, 400):
                await records.commit([Put(record("a", str(number)), str(number - 1))])
            is_over.set()
        following.cancel()
    assert ahead == []


async def test_two_readers_of_the_feed_are_told_alike(records: RecordStore) -> None:
    await records.commit([Put(A, None)])
    feeds = [records.changes() for _ in range(2)]
    starts = [await anext(feed) for feed in feeds]
    assert [[change.record for change in start.changes] for start in starts] == [[A], [A]]
    await records.commit([Put(B, None), Delete(A.key, "r1")])
    async with asyncio.timeout(5):
        for feed in feeds:
            assert [(c.key, c.record) for c in (await anext(feed)).changes] == [(B.key, B), (A.key, None)]
            await feed.aclose()  # type: ignore[attr-defined]


async def test_a_long_content_comes_in_pieces_of_one_moment(records: RecordStore) -> None:
    for start in range(0, 1500, 500):
        await records.commit([Put(record(f"{number:05}"), None) for number in range(start, start + 500)])
    feed = records.changes()
    batches = [await anext(feed)]
    assert not batches[0].is_whole
    # Changed while the content is being read: told afterwards, and only there.
    await records.commit([Put(record("01499", "r2"), "r1"), Put(record("99999"), None), Delete(key("00000"), "r1")])
    async with asyncio.timeout(10):
        while not batches[-1].is_whole:
            batches.append(await anext(feed))
        content = {c.key.name: c.record.revision_id for batch in batches for c in batch.changes if c.record is not None}
        assert content == {f"{number:05}": "r1" for number in range(1500)}
        assert len({batch.sequence for batch in batches}) == 1
        assert max(len(batch.changes) for batch in batches) < 1000
        change = await anext(feed)
    assert change.sequence > batches[-1].sequence
    known = {c.key.name: c.record.revision_id if c.record else "gone" for c in change.changes}
    assert known == {"01499": "r2", "99999": "r1", "00000": "gone"}
    await feed.aclose()  # type: ignore[attr-defined]


async def test_a_read_that_may_be_ahead_sees_every_answered_commit(records: RecordStore) -> None:
    stale: list[tuple[int, int]] = []

    async def write(name: str) -> None:
        for number in range(60):
            await records.commit([Put(record(name, str(number)), str(number - 1) if number else None)])
            found = await records.read(key(name), may_be_ahead=True)
            if found is None or int(found.revision_id) != number:
                stale.append((number, -1 if found is None else int(found.revision_id)))

    async with asyncio.TaskGroup() as tasks:
        for name in ("a", "b", "c", "d"):
            tasks.create_task(write(name))
    assert stale == []
