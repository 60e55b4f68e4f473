"""Group commit: one commit for all that waits, each with an answer of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

import pytest

from lambent.model.errors import InvalidParameterValueError, ServiceError
from lambent.store.sqlite.connection import connect
from lambent.store.sqlite.migrations import migrate
from lambent.store.sqlite.queries import PUT_NEW
from lambent.store.sqlite.writer import Insertion, Row, Writer

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Writer]:
    connection = connect(str(tmp_path / "x.db"))
    connection.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")
    made = Writer(connection)
    made.start()
    yield made
    await asyncio.to_thread(made.close)


def add(number: int, connection: sqlite3.Connection) -> int:
    connection.execute("INSERT INTO numbers VALUES (?)", (number,))
    return number


async def count(writer: Writer) -> int:
    return int(await writer.write(lambda c: c.execute("SELECT COUNT(*) FROM numbers").fetchone()[0]))


async def held_batch(writer: Writer, works: list[object]) -> tuple[list[object], list[str]]:
    """Give the writer all `works` while it is busy, so that they are one batch; return results and statements."""
    entered, go_on = threading.Event(), threading.Event()

    def hold(_: sqlite3.Connection) -> None:
        entered.set()
        assert go_on.wait(5)

    statements: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(writer.write(hold))
        assert await asyncio.to_thread(entered.wait, 5)
        waiting = [tasks.create_task(_outcome(writer, work)) for work in works]
        await asyncio.sleep(0)
        writer._connection.set_trace_callback(statements.append)
        go_on.set()
        await first
    writer._connection.set_trace_callback(None)
    return [task.result() for task in waiting], statements


async def _outcome(writer: Writer, work: object) -> object:
    try:
        return await writer.write(work)  # type: ignore[arg-type]
    except Exception as error:
        return error


async def test_all_that_waits_is_one_commit(writer: Writer) -> None:
    results, statements = await held_batch(writer, [lambda c, n=n: add(n, c) for n in range(20)])
    assert results == list(range(20))
    # One for the write that held the others back, one for all of them.
    assert statements.count("COMMIT") == 2


async def test_one_refusal_undoes_only_its_own(writer: Writer) -> None:
    def refuse(connection: sqlite3.Connection) -> None:
        add(100, connection)
        raise InvalidParameterValueError("no")

    results, _ = await held_batch(writer, [lambda c: add(1, c), refuse, lambda c: add(2, c)])
    assert (results[0], type(results[1]), results[2]) == (1, InvalidParameterValueError, 2)
    assert await count(writer) == 2


async def test_a_failing_database_fails_the_batch_and_the_next_goes_on(writer: Writer) -> None:
    results, _ = await held_batch(writer, [lambda c: add(1, c), lambda c: c.execute("INSERT INTO nowhere VALUES (1)")])
    assert [type(result) for result in results] == [ServiceError, ServiceError]
    assert await count(writer) == 0
    assert await writer.write(lambda c: add(1, c)) == 1


async def test_a_full_database_is_said_in_words(writer: Writer) -> None:
    pages = writer._connection.execute("PRAGMA page_count").fetchone()[0]
    writer._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(ServiceError, match="disk that holds the store is full; nothing was changed"):
        await writer.write(lambda c: [add(n, c) for n in range(10_000)])
    writer._connection.execute("PRAGMA max_page_count = 100000")
    assert await count(writer) == 0
    await writer.write(lambda c: add(1, c))


async def test_another_process_that_holds_the_database_is_busy(writer: Writer, tmp_path: Path) -> None:
    writer._connection.execute("PRAGMA busy_timeout = 10")
    with contextlib.closing(connect(str(tmp_path / "x.db"))) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ServiceError, match="busy; nothing was changed"):
            await writer.write(lambda c: add(1, c))
    assert await writer.write(lambda c: add(1, c)) == 1


async def test_a_bug_reaches_its_caller_and_ends_nothing(writer: Writer) -> None:
    with pytest.raises(ZeroDivisionError):
        await writer.write(lambda _: 1 // 0)
    assert await writer.write(lambda c: add(1, c)) == 1


async def test_announcements_come_before_answers_in_order(writer: Writer) -> None:
    told: list[int] = []

    async def write(number: int) -> None:
        await writer.write(lambda c: add(number, c), after_commit=told.append)
        assert number in told

    async with asyncio.TaskGroup() as tasks:
        for number in range(50):
            tasks.create_task(write(number))
    assert told == list(range(50))


async def test_a_cancelled_caller_has_still_written(writer: Writer) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await writer.write(lambda c: add(1, c))
    assert await count(writer) == 1


async def test_closing_writes_what_waits(tmp_path: Path) -> None:
    connection = connect(str(tmp_path / "y.db"))
    connection.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")
    writer = Writer(connection)
    async with asyncio.TaskGroup() as tasks:
        for number in range(30):
            tasks.create_task(writer.write(lambda c, n=number: add(n, c)))  # type: ignore[misc]
        await asyncio.sleep(0)
        writer.start()
        await asyncio.to_thread(writer.close)
    with pytest.raises(ServiceError, match="closed"):
        await writer.write(lambda c: add(99, c))
    with contextlib.closing(connect(str(tmp_path / "y.db"))) as again:
        assert again.execute("SELECT COUNT(*) FROM numbers").fetchone()[0] == 30


@pytest.fixture
async def recorder(tmp_path: Path) -> AsyncIterator[Writer]:
    """A writer of a database with records."""
    connection = connect(str(tmp_path / "records.db"))
    migrate(connection)
    made = Writer(connection)
    made.start()
    yield made
    await asyncio.to_thread(made.close)


def row(name: str, document: bytes | None = b"{}") -> Row:
    return ("0" * 12, "us-east-1", "function", name, "$LATEST", "r", 0, None, 0, document, None)


async def put(writer: Writer, told: list[str], *names: str, document: bytes | None = b"{}") -> object:
    """Write new records of these names; return "inserted", "worked", or the error."""
    rows = [row(name, document) for name in names]

    def work(connection: sqlite3.Connection) -> str:
        for each in rows:
            if not connection.execute(PUT_NEW, each).rowcount:
                raise InvalidParameterValueError("taken")
        return "worked"

    try:
        return await writer.write(work, after_commit=told.append, insertion=Insertion(rows, lambda: "inserted"))
    except Exception as error:
        return error


async def names(writer: Writer) -> list[str]:
    return [each[0] for each in await writer.write(lambda c: c.execute("SELECT name FROM records").fetchall())]


async def test_new_rows_are_one_statement(recorder: Writer) -> None:
    statements: list[str] = []
    told: list[str] = []
    recorder._connection.set_trace_callback(statements.append)
    assert await put(recorder, told, "a", "b") == "inserted"
    recorder._connection.set_trace_callback(None)
    assert [statement.split()[0] for statement in statements] == ["INSERT"]
    assert told == ["inserted"]
    assert await names(recorder) == ["a", "b"]


async def test_of_new_rows_one_that_is_there_is_refused_alone(recorder: Writer) -> None:
    told: list[str] = []
    assert await put(recorder, told, "b") == "inserted"
    async with asyncio.TaskGroup() as tasks:
        entered, go_on = threading.Event(), threading.Event()

        def hold(_: sqlite3.Connection) -> None:
            entered.set()
            assert go_on.wait(5)

        first = tasks.create_task(recorder.write(hold))
        assert await asyncio.to_thread(entered.wait, 5)
        waiting = [tasks.create_task(put(recorder, told, *each)) for each in (("a",), ("c", "b"), ("d",))]
        await asyncio.sleep(0)
        go_on.set()
        await first
    results = [task.result() for task in waiting]
    assert (results[0], type(results[1]), results[2]) == ("worked", InvalidParameterValueError, "worked")
    assert await names(recorder) == ["a", "b", "d"]
    assert told == ["inserted", "worked", "worked"]


async def test_a_row_that_no_database_takes_leaves_nothing(recorder: Writer) -> None:
    told: list[str] = []
    assert isinstance(await put(recorder, told, "a", "half \ud800"), UnicodeEncodeError)
    assert isinstance(await put(recorder, told, "a", document=None), ServiceError)
    assert await names(recorder) == []
    assert await put(recorder, told, "a") == "inserted"


async def test_too_many_rows_for_one_statement(recorder: Writer) -> None:
    told: list[str] = []
    assert await put(recorder, told, *(f"{number:03}" for number in range(100))) == "worked"
    assert len(await names(recorder)) == 100
