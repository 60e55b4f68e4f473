"""The sweeper goes on, whatever fails: at the start, when asked, and now and then unasked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from lambent.functions.packages import sweeping
from lambent.functions.packages.sweeping import Sweeper
from lambent.model.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Store:
    async def code_in_use(self) -> frozenset[str]:
        return frozenset({"in-store"})


class Code:
    """A code store that counts; `failures` are raised one after the other by whatever is called next."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.swept: list[frozenset[str]] = []
        self.has_swept = asyncio.Event()
        self.was_busy = False

    async def warm_up(self) -> None:
        pass

    async def protect(self) -> None:
        self._fail()

    async def sweep(self, in_use: Callable[[], Awaitable[frozenset[str]]]) -> int:
        self._fail()
        self.swept.append(await in_use())
        self.has_swept.set()
        return 0

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


@pytest.fixture
def code(monkeypatch: pytest.MonkeyPatch) -> Code:
    monkeypatch.setattr(sweeping, "_PAUSE_SECONDS", 0.0)
    return Code()


async def run(code: Code, until: Callable[[Sweeper], Awaitable[None]], in_environments: str = "in-environment") -> None:
    sweeper = Sweeper(cast("Any", Store()), cast("Any", code), lambda: {in_environments})
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(sweeper.run())
        await until(sweeper)
        running.cancel()


async def wait_swept(code: Code) -> None:
    await code.has_swept.wait()
    code.has_swept.clear()


async def test_at_the_start_and_when_asked(code: Code) -> None:
    async def until(sweeper: Sweeper) -> None:
        await wait_swept(code)
        sweeper.want()
        sweeper.want()
        await wait_swept(code)

    await run(code, until)
    assert code.swept == [{"in-store", "in-environment"}] * 2


@pytest.mark.parametrize(
    ("pause", "in_environments", "was_busy"),
    [
        ("_UNASKED_SECONDS", "in-store", False),
        ("_OUTLIVED_SECONDS", "in-environment", False),
        ("_OUTLIVED_SECONDS", "in-store", True),
    ],
    ids=["now and then", "an environment outlives its function", "a version was being made ready"],
)
async def test_unasked(
    code: Code, monkeypatch: pytest.MonkeyPatch, pause: str, in_environments: str, was_busy: bool
) -> None:
    monkeypatch.setattr(sweeping, pause, 0.01)
    code.was_busy = was_busy

    async def until(_: Sweeper) -> None:
        for _turn in range(3):
            await wait_swept(code)

    await run(code, until, in_environments)


async def test_a_store_that_is_away_ends_nothing(code: Code) -> None:
    code.failures = [UnavailableError("while protecting"), UnavailableError("while sweeping"), OSError("disk")]

    async def until(sweeper: Sweeper) -> None:
        while not code.swept:
            sweeper.want()
            await asyncio.sleep(0)

    await run(code, until)
    assert code.failures == []
