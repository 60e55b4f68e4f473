"""What PostgreSQL adds: several daemons on one database, notifications that get lost, a database that dies or hangs."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lambent.model.errors import ServiceError, UnavailableError
from lambent.store import InstallationKey, open_records
from lambent.store.contracts import CommitRefusedError, Delete, Put, StoreUnusableError
from lambent.store.postgresql import queries
from lambent.store.postgresql.connection import connect
from lambent.store.postgresql.feed import ChangeReader
from lambent.store.postgresql.migrations import MIGRATIONS, SchemaTooNewError, migrate
from tests.contract.store.conftest import ACCOUNT, REGION, Place, a_function, postgres_place
from tests.contract.store.test_record_store import key, record
from tests.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lambent.store.contracts import ChangeBatch, Record, RecordKey
    from tests.contract.store.conftest import Opened


@pytest.fixture
def shared(postgres: Postgres, tmp_path: Path) -> Place:
    return postgres_place(postgres, tmp_path)


@pytest.fixture
async def pair(shared: Place) -> AsyncIterator[tuple[Opened, Opened]]:
    made = (await shared.open(), await shared.open())
    yield made
    for opened in made:
        await opened.close()


def changes(batch: ChangeBatch) -> list[tuple[RecordKey, Record | None]]:
    return [(change.key, change.record) for change in batch.changes]


async def test_the_other_daemon_is_told_of_every_commit_in_order(pair: tuple[Opened, Opened]) -> None:
    one, other = (opened.records for opened in pair)
    feeds = [one.changes(), other.changes()]
    for feed in feeds:
        assert changes(await anext(feed)) == []
    sequences = []
    for number in range(20):
        writer = (one, other)[number % 2]
        sequences.append(await writer.commit([Put(record("a", str(number)), str(number - 1) if number else None)]))
    assert sequences == list(range(sequences[0], sequences[0] + 20)), "without gaps"
    async with asyncio.timeout(5):
        for feed in feeds:
            told = [await anext(feed) for _ in range(20)]
            assert [batch.sequence for batch in told] == sequences
            assert [c.record.revision_id for batch in told for c in batch.changes if c.record] == [
                str(number) for number in range(20)
            ]


async def test_of_two_daemons_one_wins(pair: tuple[Opened, Opened]) -> None:
    async def create(opened: Opened, number: int) -> bool:
        try:
            await opened.records.commit([Put(record(str(number), str(id(opened))), None)])
        except CommitRefusedError:
            return False
        return True

    for number in range(25):
        async with asyncio.TaskGroup() as tasks:
            tried = [tasks.create_task(create(opened, number)) for opened in pair]
        assert sorted(task.result() for task in tried) == [False, True]


async def test_a_lost_notification_delays_and_loses_nothing(
    pair: tuple[Opened, Opened], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "NOTIFY_AND_COMMIT", "COMMIT")
    waiting, told = asyncio.Event(), asyncio.Event()
    wait_woken = ChangeReader._wait_woken
    known: dict[RecordKey, Record | None] = {}

    async def noted(reader: ChangeReader) -> None:
        waiting.set()
        await wait_woken(reader)

    async def follow() -> None:
        async for batch in other.changes():
            known.update(changes(batch))
            told.set()

    monkeypatch.setattr(ChangeReader, "_wait_woken", noted)
    one, other = (opened.records for opened in pair)
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(follow())
        await told.wait()
        for number in range(3):
            # It has looked, found nothing, and nobody will wake it.
            waiting.clear()
            await waiting.wait()
            told.clear()
            await one.commit([Put(record(str(number)), None)])
            # The promise is 1.5 s; what is over is for a machine that is busy with other tests.
            async with asyncio.timeout(3):
                while key(str(number)) not in known:
                    await told.wait()
                    told.clear()
        following.cancel()
    assert known == {key(str(number)): record(str(number)) for number in range(3)}


async def test_who_listens_listens_again_when_the_connection_is_cut(
    shared: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambent.store.postgresql.feed._LISTENING_SECONDS", 0.05)
    opened = await shared.open()

    async def listeners() -> set[str]:
        assert shared.postgres is not None
        found = await asyncio.to_thread(
            shared.postgres.query,
            "SELECT pid FROM pg_stat_activity WHERE query IN ('LISTEN \"lambent_changes\"', 'SELECT 1') "
            f"AND datname = '{shared.url.rpartition('/')[2]}'",
        )
        return set(found.split())

    async with asyncio.timeout(20):
        while not (before := await listeners()):
            await asyncio.sleep(0.05)
        assert shared.postgres is not None
        for pid in before:
            await asyncio.to_thread(shared.postgres.query, f"SELECT pg_terminate_backend({pid})")
        while not (await listeners()) - before:
            await asyncio.sleep(0.05)
    await opened.close()


async def test_what_the_other_daemon_was_told_a_read_here_sees_and_the_feed_has(pair: tuple[Opened, Opened]) -> None:
    one, other = (opened.records for opened in pair)
    known: set[str] = set()

    async def follow() -> None:
        async for batch in other.changes():
            known.update(change.key.name for change in batch.changes)

    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(follow())
        for number in range(40):
            await one.commit([Put(record(str(number)), None)])
            assert await other.read(key(str(number))) is not None
            assert number == 0 or str(number) in known
        following.cancel()


async def test_a_reader_that_fell_behind_the_log_is_told_the_difference(
    shared: Place, pair: tuple[Opened, Opened]
) -> None:
    one, other = (opened.records for opened in pair)
    await one.commit([Put(record(name), None) for name in ("kept", "changed", "gone")])
    feed = other.changes()
    assert {change.key.name for change in (await anext(feed)).changes} == {"kept", "changed", "gone"}
    await one.commit([Put(record("changed", "r2"), "r1"), Delete(key("gone"), "r1"), Put(record("brief"), None)])
    await one.commit([Put(record("new"), None), Delete(key("brief"), "r1")])
    await shared.execute("DELETE FROM change_log")
    async with asyncio.timeout(5):
        told = dict(changes(await anext(feed)))
    assert told == {
        key("kept"): record("kept"),
        key("changed"): record("changed", "r2"),
        key("new"): record("new"),
        key("gone"): None,
    }
    await one.commit([Put(record("later"), None)])
    async with asyncio.timeout(5):
        assert changes(await anext(feed)) == [(key("later"), record("later"))]


async def test_an_older_copy_of_the_database_is_read_as_it_is(shared: Place, pair: tuple[Opened, Opened]) -> None:
    one, other = (opened.records for opened in pair)
    await one.commit([Put(record("a"), None)])
    feed = other.changes()
    await anext(feed)
    await one.commit([Put(record("b"), None)])
    async with asyncio.timeout(5):
        await anext(feed)
    await shared.execute(
        "DELETE FROM records WHERE name = 'b'; DELETE FROM change_log; UPDATE installation SET last_sequence = 1"
    )
    async with asyncio.timeout(5):
        assert dict(changes(await anext(feed))) == {key("a"): record("a"), key("b"): None}


async def test_the_log_is_trimmed(pair: tuple[Opened, Opened], shared: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lambent.store.postgresql.writer._LOG_COMMITS", 5)
    monkeypatch.setattr("lambent.store.postgresql.writer._TRIM_EVERY_COMMITS", 10)
    one, other = (opened.records for opened in pair)
    feed = other.changes()
    await anext(feed)
    for number in range(40):
        await one.commit([Put(record("a", str(number)), "*"), Put(record("b", str(number)), "*")])
    assert shared.postgres is not None
    left = await asyncio.to_thread(
        shared.postgres.query, "SELECT count(*) FROM change_log", shared.url.rpartition("/")[2]
    )
    assert int(left) <= 2 * 15
    last: dict[str, str] = {}
    async with asyncio.timeout(5):
        while last.get("a") != "39" or last.get("b") != "39":
            last |= {c.key.name: c.record.revision_id for c in (await anext(feed)).changes if c.record is not None}


async def more_than(acknowledged: set[str], count: int) -> None:
    enough = len(acknowledged) + count
    while len(acknowledged) < enough:
        await asyncio.sleep(0.02)


@pytest.mark.slow
async def test_kill_9_of_the_database_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    postgres = await asyncio.to_thread(Postgres)
    place = postgres_place(postgres, tmp_path)
    opened = await place.open()
    acknowledged: set[str] = set()
    refused: list[ServiceError] = []
    is_over = asyncio.Event()

    async def write(lane: int) -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            name = f"{lane}-{number}"
            try:
                await opened.records.commit([Put(record(name), None), Put(record(name, kind="twin"), None)])
            except ServiceError as error:
                refused.append(error)
                await asyncio.sleep(0.02)
            else:
                acknowledged.add(name)

    told: dict[str, int] = {}

    async def follow() -> None:
        async for batch in opened.records.changes():
            for change in batch.changes:
                told[change.key.name] = told.get(change.key.name, 0) + 1

    try:
        async with asyncio.timeout(100), asyncio.TaskGroup() as tasks:
            following = tasks.create_task(follow())
            async with asyncio.TaskGroup() as writers:
                for lane in range(8):
                    writers.create_task(write(lane))
                for _ in range(4):
                    await more_than(acknowledged, 50)
                    failures = len(refused)
                    await asyncio.to_thread(postgres.kill)
                    while len(refused) < failures + 8:
                        await asyncio.sleep(0.02)
                    await asyncio.to_thread(postgres.start)
                await more_than(acknowledged, 50)
                is_over.set()
            found = {one.key.name for one in await opened.records.read_page(ACCOUNT, REGION, "thing", limit=100_000)}
            twins = {one.key.name for one in await opened.records.read_page(ACCOUNT, REGION, "twin", limit=100_000)}
            assert acknowledged <= found
            assert found == twins, "whole commits only"
            unknown = [error for error in refused if "not known" in error.message]
            assert len(found - acknowledged) <= len(unknown) + 8
            assert {type(error) for error in refused} == {UnavailableError}
            while told.keys() < found:
                await asyncio.sleep(0.05)
            following.cancel()
        assert told.keys() == found
        await opened.close()
    finally:
        await asyncio.to_thread(postgres.remove)


@pytest.mark.long
async def test_a_database_that_hangs_holds_nobody_for_long(tmp_path: Path) -> None:
    postgres = await asyncio.to_thread(Postgres)
    place = postgres_place(postgres, tmp_path)
    opened = await place.open()
    try:
        await opened.records.commit([Put(record("a"), None)])
        stopped = await asyncio.to_thread(stop_all, postgres)
        try:
            async with asyncio.timeout(40):
                with pytest.raises(UnavailableError):
                    await opened.records.commit([Put(record("b"), None)])
                with pytest.raises(UnavailableError):
                    await opened.records.read(key("a"))
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        async with asyncio.timeout(40):
            while True:
                try:
                    await opened.records.commit([Put(record("c"), "*")])
                    break
                except UnavailableError:
                    await asyncio.sleep(0.2)
        assert await opened.records.read(key("a")) is not None
        await opened.close()
    finally:
        await asyncio.to_thread(postgres.remove)


def stop_all(postgres: Postgres) -> list[int]:
    pids = [postgres.pid, *postgres.children()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    return pids


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["fsync", "synchronous_commit"])
def test_a_database_that_could_forget_is_refused(tmp_path: Path, setting: str) -> None:
    postgres = Postgres(f"-c {setting}=off")
    try:
        with pytest.raises(StoreUnusableError, match=f"{setting} is off"):
            open_records(tmp_path, url=postgres.url())
    finally:
        postgres.remove()


def test_a_session_that_could_forget_is_refused(shared: Place) -> None:
    with pytest.raises(StoreUnusableError, match="synchronous_commit is off"):
        open_records(shared.directory, url=f"{shared.url}?synchronous_commit=off")


async def test_another_encoding_is_refused(postgres: Postgres, tmp_path: Path) -> None:
    postgres.query("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(StoreUnusableError, match="encoding is LATIN1, not UTF8"):
        open_records(tmp_path, url=postgres.url("latin"))


def test_the_key_must_be_that_of_the_first_daemon(shared: Place, tmp_path: Path) -> None:
    first, second = InstallationKey.open(tmp_path / "one"), InstallationKey.open(tmp_path / "two")
    open_records(tmp_path, url=shared.url, key=first)
    open_records(tmp_path, url=shared.url, key=first)
    with pytest.raises(StoreUnusableError, match="another key: copy the directory keys/") as refused:
        open_records(tmp_path, url=shared.url, key=second)
    assert "only-for-these-tests" not in str(refused.value)


def test_a_missing_standby_is_told_to_those_who_are_many(shared: Place, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        open_records(shared.directory, url=shared.url)
        assert caplog.text == ""
        open_records(shared.directory, url=shared.url, has_others=True)
    assert "no synchronous standby" in caplog.text


async def test_daemons_that_start_at_once_make_one_form(shared: Place) -> None:
    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(asyncio.to_thread(open_records, shared.directory, url=shared.url))
    opened = await shared.open()
    await opened.records.commit([Put(record("a"), None)])
    await opened.close()


@pytest.mark.parametrize("start", range(len(MIGRATIONS) + 1))
async def test_from_every_earlier_form_with_what_is_in_it(shared: Place, start: int) -> None:
    connection = await connect(shared.url)
    await migrate(connection, up_to=start)
    await connection.close()
    if start >= 1:
        await shared.execute(
            "INSERT INTO records VALUES "
            f"('{ACCOUNT}', '{REGION}', 'thing', 'a', '', 'r1', false, NULL, 0, '{{\"r\": \"r1\"}}', NULL)"
        )
    opened = await shared.open()
    assert await opened.records.read(key("a")) == (record("a") if start >= 1 else None)
    feed = opened.records.changes()
    assert len((await anext(feed)).changes) == (1 if start >= 1 else 0)
    await opened.functions.insert(a_function(), {"team": "a"})
    async with asyncio.timeout(5):
        assert len((await anext(feed)).changes) == 2
    await opened.close()


async def test_a_newer_form_is_refused(shared: Place) -> None:
    await (await shared.open()).close()
    await shared.execute("INSERT INTO lambent_form VALUES (999, now())")
    with pytest.raises(SchemaTooNewError, match="use a newer Lambent"):
        await shared.open()


async def test_of_several_hosts_the_one_that_answers_is_taken(shared: Place) -> None:
    assert shared.postgres is not None
    there = f"127.0.0.1:{shared.postgres.port}"
    place = replace(shared, url=shared.url.replace(there, f"127.0.0.1:9,{there}") + "?target_session_attrs=read-write")
    opened = await place.open()
    await opened.records.commit([Put(record("a"), None)])
    assert await opened.records.read(key("a")) == record("a")
    await opened.close()


async def test_a_store_that_is_closed_says_so(shared: Place) -> None:
    opened = await shared.open()
    await opened.records.commit([Put(record("a"), None)])
    await opened.close()
    with pytest.raises(ServiceError, match="closed"):
        await opened.records.commit([Put(record("b"), None)])
