"""The meeting point: whoever waits gets exactly one outcome, whatever order things come in."""

from __future__ import annotations

import asyncio

import pytest

from lambent.environments.lifecycle import EnvironmentState, IllegalTransitionError
from lambent.environments.sandbox.sandbox import RuntimeExit
from lambent.environments.session import (
    Answered,
    DeadlinePassed,
    Exited,
    InitFailed,
    Lost,
    RuntimeSession,
    UnknownRequestError,
)


class Connection:
    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send_invocation(self, message: bytes) -> None:
        self.sent.append(message)


class Idle:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


async def test_ready_deliver_answer_next() -> None:
    idle, connection = Idle(), Connection()
    session = RuntimeSession(idle)
    async with asyncio.TaskGroup() as tasks:
        ready = tasks.create_task(session.wait_ready())
        await asyncio.sleep(0)
        session.next(connection)
    assert ready.result() is None
    outcome = session.deliver("id", b"message")
    assert connection.sent == [b"message"]
    with pytest.raises(UnknownRequestError):
        session.answer("other", Answered(b"{}"))
    session.answer("id", Answered(b"{}"))
    session.next(connection)
    assert await outcome == Answered(b"{}")
    assert (session.state, idle.count) == (EnvironmentState.IDLE, 2)


async def test_an_invocation_waits_for_a_connection_that_was_lost() -> None:
    first, second = Connection(), Connection()
    session = RuntimeSession(Idle())
    session.next(first)
    session.connection_lost(first)
    outcome = session.deliver("id", b"message")
    session.next(second)
    assert (first.sent, second.sent) == ([], [b"message"])
    session.answer("id", Answered(b"1"))
    assert await outcome == Answered(b"1")


async def test_a_failed_init_reaches_who_waits_now_and_who_asks_later() -> None:
    session = RuntimeSession(Idle())
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(session.wait_ready())
        await asyncio.sleep(0)
        session.fail(InitFailed(b"{}", "Runtime.ImportModuleError"))
    assert waiting.result() == InitFailed(b"{}", "Runtime.ImportModuleError")
    session.fail(Exited(RuntimeExit(1, None)))
    assert await session.wait_ready() == InitFailed(b"{}", "Runtime.ImportModuleError")
    session.restarted()
    session.next(Connection())
    assert await session.wait_ready() is None


async def test_an_answer_after_the_deadline_is_refused() -> None:
    session = RuntimeSession(Idle())
    session.next(Connection())
    outcome = session.deliver("id", b"message")
    session.deadline_passed()
    assert await outcome == DeadlinePassed()
    with pytest.raises(IllegalTransitionError):
        session.answer("id", Answered(b"late"))


async def test_a_deadline_that_comes_just_after_the_answer_changes_nothing() -> None:
    session = RuntimeSession(Idle())
    session.next(Connection())
    outcome = session.deliver("id", b"message")
    session.answer("id", Answered(b"1"))
    session.deadline_passed()
    assert await outcome == Answered(b"1")
    assert session.state is EnvironmentState.SETTLING


async def test_next_without_an_answer_is_refused() -> None:
    session = RuntimeSession(Idle())
    session.next(Connection())
    session.deliver("id", b"message")
    with pytest.raises(IllegalTransitionError):
        session.next(Connection())


async def test_the_end_of_the_sandbox_is_heard_by_all() -> None:
    session = RuntimeSession(Idle())
    session.next(Connection())
    outcome = session.deliver("id", b"message")
    session.end("gone")
    session.end("again")
    assert await outcome == Lost("gone")
    assert await session.wait_ready() == Lost("gone")
