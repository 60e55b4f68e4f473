"""Virtual time for coroutines, and what all worlds of pollers share: chance, faults, processes that die."""

from __future__ import annotations

import asyncio
import logging
import random
import selectors
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from lambent.events.sources.deliverer import Delivered, Verdict
from lambent.events.sources.pollers import Pollers
from lambent.model.invocation import FunctionErrorKind, InvocationResult

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from lambent.events.sources.pollers import Poller, Tell
    from lambent.model.configs.event_source import EventSourceMapping

T = TypeVar("T")

EPOCH_MS = 1_700_000_000_000


class Broken(AssertionError):
    """Something did not hold."""


class _Jumping(selectors.SelectSelector):
    """Nothing ever arrives from outside: instead of waiting the time moves on."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Broken("everybody waits for ever")
        self.now += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes when nobody has anything to do, at once."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


class VirtualClock:
    """The clock of such a loop."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def time_ms(self) -> int:
        return EPOCH_MS + int(self._loop.time() * 1_000)

    def monotonic_ns(self) -> int:
        return int(self._loop.time() * 1e9)


def run_virtually(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end in virtual time."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main(loop))
    finally:
        loop.close()


@dataclass(frozen=True)
class Weather:
    """How often things go wrong, from 0 to 1. `throttles`: no slot; `fails`: the function; `faults`: source and store;
    `deaths`: a process is killed, once in so many steps."""

    throttles: float = 0.0
    fails: float = 0.0
    faults: float = 0.0
    deaths: float = 0.0


CALM = Weather()
BUSY = Weather(throttles=0.5)
CLUMSY = Weather(throttles=0.1, fails=0.3)
STORMY = Weather(throttles=0.15, fails=0.2, faults=0.06, deaths=0.25)
WEATHERS = (CALM, BUSY, CLUMSY, STORMY, STORMY)


class Life:
    """Whether a process lives: what a dead one asks for never happens, and it never hears of it."""

    def __init__(self) -> None:
        self.is_dead = False

    async def check(self) -> None:
        """Return if it lives."""
        if self.is_dead:
            raise asyncio.CancelledError


class Surroundings:
    """Chance and weather. Scope: schedule."""

    def __init__(self, seed: int, loop: VirtualLoop) -> None:
        self.random = random.Random(seed)
        self.loop = loop
        self.clock = VirtualClock(loop)
        self.weather = self.random.choice(WEATHERS)
        self.broken: list[str] = []
        self._numbers = 0

    def require(self, is_so: object, text: str) -> None:
        """Note what did not hold: pollers survive whatever is raised in them."""
        if not is_so:
            self.broken.append(f"{text} (after {self.loop.time():.3f} s)")

    def check(self) -> None:
        """Raise Broken if something did not hold."""
        if self.broken:
            raise Broken(self.broken[0])

    def happens(self, share: float) -> bool:
        """Throw a die."""
        return share > 0 and self.random.random() < share

    def number(self) -> int:
        """Return a number that nobody has had."""
        self._numbers += 1
        return self._numbers

    async def travel(self) -> None:
        """Wait as long as a call may take."""
        await asyncio.sleep(self.random.choice((0.001, 0.01, 0.05, 0.3)))


class Process:
    """One daemon's pollers. Killed, nothing of it happens any more; stopped, it ends in order."""

    def __init__(self, life: Life, make: Callable[[EventSourceMapping, Tell], Poller | None]) -> None:
        self.life = life
        self.pollers = Pollers(make)
        self._running: asyncio.Task[None] | None = None

    def start(self, tasks: asyncio.TaskGroup, mapping: EventSourceMapping) -> None:
        """Begin to poll."""
        self._running = tasks.create_task(self.pollers.run())
        self.pollers.put(mapping)

    async def kill(self) -> None:
        """End it as a crash would."""
        self.life.is_dead = True
        await self._end()

    async def stop(self) -> None:
        """End it as SIGTERM would."""
        await self.pollers.stop(60)
        self.life.is_dead = True
        await self._end()

    async def _end(self) -> None:
        assert self._running is not None
        self._running.cancel()
        await asyncio.wait((self._running,))


def answered(payload: bytes, *, is_error: bool = False) -> Delivered:
    """Return what the deliverer says of a function that has run."""
    error = FunctionErrorKind.UNHANDLED if is_error else None
    verdict = Verdict.FAILED if is_error else Verdict.SUCCEEDED
    return Delivered(verdict, "id", InvocationResult(payload, "$LATEST", error))


def refused(surroundings: Surroundings) -> Delivered:
    """Return what it says when no code has run."""
    return Delivered(
        surroundings.random.choice((Verdict.THROTTLED, Verdict.NOT_RUN)), "id", reason="as the world wills"
    )


def quietly(simulate: Callable[[int], T], seed: int) -> T:
    """Run a schedule without its warnings, of which there are thousands. Raises Broken with the seed's number."""
    logging.disable(logging.CRITICAL)
    try:
        return simulate(seed)
    except Broken as error:
        raise Broken(f"schedule {seed}: {error}") from error
    except BaseExceptionGroup as group:
        broken, _ = group.split(Broken)
        if broken is None:
            raise
        found: BaseException = broken
        while isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]
        raise Broken(f"schedule {seed}: {found}") from group
    finally:
        logging.disable(logging.NOTSET)
