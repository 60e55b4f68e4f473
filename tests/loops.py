"""Coroutines in tests that are none themselves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


def run_apart(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop of its own and close it.

    Unlike asyncio.run it leaves the thread's current loop alone: that one belongs to the plugin, which would make
    another in its place and never close it.
    """
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
