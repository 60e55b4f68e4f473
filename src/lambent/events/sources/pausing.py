"""Waiting that a stop ends."""

from __future__ import annotations

import asyncio


async def pause(seconds: float, stopped: asyncio.Event) -> bool:
    """Return after `seconds`, or as soon as it is stopped; whether it is."""
    try:
        async with asyncio.timeout(seconds):
            await stopped.wait()
    except TimeoutError:
        return False
    return True
