"""Waiting that a stop ends: virtual time tells how long."""

from __future__ import annotations

import asyncio

import pytest

from lambent.events.sources.pausing import Stop, pause
from tests.contract.sources.virtual import VirtualLoop, run_virtually


async def answer_after(seconds: float) -> str:
    """Answer late."""
    await asyncio.sleep(seconds)
    return "answer"


def test_a_request_is_given_up_a_second_after_the_stop() -> None:
    async def main(loop: VirtualLoop) -> None:
        stop = Stop()
        loop.call_later(5, stop.set)
        assert await stop.unless(answer_after(20)) is None
        assert loop.time() == pytest.approx(6)
        assert await stop.unless(answer_after(20)) is None
        assert loop.time() == pytest.approx(7)

    run_virtually(main)


def test_what_comes_before_or_soon_after_is_taken() -> None:
    async def main(loop: VirtualLoop) -> None:
        stop = Stop()
        assert await stop.unless(answer_after(100)) == "answer"
        loop.call_later(1, stop.set)
        assert await stop.unless(answer_after(1.5)) == "answer"

    run_virtually(main)


def test_a_time_out_of_the_request_itself_is_its_own() -> None:
    async def late() -> None:
        raise TimeoutError

    async def main(_loop: VirtualLoop) -> None:
        with pytest.raises(TimeoutError):
            await Stop().unless(late())

    run_virtually(main)


def test_a_pause_ends_with_the_stop() -> None:
    async def main(loop: VirtualLoop) -> None:
        stop = Stop()
        assert not await pause(3, stop)
        loop.call_later(1, stop.set)
        assert await pause(30, stop)
        assert loop.time() == pytest.approx(4)

    run_virtually(main)
