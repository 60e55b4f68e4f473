"""What the child is told of functions, and when."""

from __future__ import annotations

import asyncio
import contextlib
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from lambent.model.arn import FunctionArn
from lambent.neighbours.shadows import ShadowFunctions
from lambent.wire.http_client import ConnectionFailedError, Origin, OutwardRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_ORIGIN = Origin("http", "127.0.0.1", 1)


def _arn(name: str) -> FunctionArn:
    return FunctionArn("111111111111", "eu-west-1", name)


class World:
    """Functions, and the child."""

    def __init__(self) -> None:
        self.versions: dict[FunctionArn, dict[str, Any]] = {}
        self.aliases: dict[FunctionArn, list[str]] = {}
        self.told: list[dict[str, Any]] = []
        self.failures = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.shadows = ShadowFunctions(self, self, "known")  # type: ignore[arg-type]

    def put(self, name: str, *numbers: str) -> None:
        version = SimpleNamespace(runtime="python3.13", handler="h", timeout_seconds=3, memory_mib=128, role="r")
        self.versions[_arn(name)] = dict.fromkeys(("$LATEST", *numbers), version)
        self.shadows.changed(_arn(name))

    def functions(self) -> list[FunctionArn]:
        return list(self.versions)

    def qualifiers(self, function: FunctionArn) -> tuple[dict[str, Any], list[str]]:
        return self.versions.get(function, {}), self.aliases.get(function, [])

    async def send(self, origin: Origin, request: OutwardRequest) -> Any:
        await self.gate.wait()
        assert (origin, request.target) == (_ORIGIN, "/_lambent/functions")
        assert ("x-lambent-proof", "known") in request.headers
        if self.failures:
            self.failures -= 1
            raise ConnectionFailedError("gone")
        assert isinstance(request.body, bytes)
        self.told.append(json.loads(request.body))

        async def read(_bytes_max: int) -> bytes:
            return b""

        return SimpleNamespace(status=200, read=read)


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[World]:
    world = World()
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(world.shadows.run())
        yield world
        task.cancel()


async def test_a_child_is_told_everything_when_it_starts() -> None:
    async with running() as world:
        world.put("f", "1")
        world.aliases[_arn("f")] = ["live"]
        await world.shadows.wait_settled()
        assert world.told == []
        await world.shadows.greet(_ORIGIN)
        described = ["python3.13", "h", 3, 128, "r"]
        assert world.told == [
            {
                "is_whole": True, "is_complete": True,
                "functions": [
                    {
                        "account": "111111111111", "region": "eu-west-1", "name": "f",
                        "versions": {"$LATEST": described, "1": described}, "aliases": ["live"],
                    }
                ],
            }
        ]  # fmt: skip


async def test_changes_follow_and_are_waited_for() -> None:
    async with running() as world:
        await world.shadows.greet(_ORIGIN)
        world.gate.clear()
        world.put("f")
        world.put("g")
        del world.versions[_arn("g")]
        waiting = asyncio.timeout(0.05)
        with pytest.raises(TimeoutError):
            async with waiting:
                await world.shadows.wait_settled()
        world.gate.set()
        await world.shadows.wait_settled()
        told = [(one["name"], bool(one["versions"])) for message in world.told[1:] for one in message["functions"]]
        assert sorted(told) == [("f", True), ("g", False)]
        assert not any(message["is_whole"] for message in world.told[1:])


async def test_what_did_not_arrive_is_sent_again() -> None:
    async with running() as world:
        await world.shadows.greet(_ORIGIN)
        world.failures = 2
        world.put("f")
        await world.shadows.wait_settled()
        assert [one["name"] for one in world.told[-1]["functions"]] == ["f"]


async def test_many_functions_come_in_batches() -> None:
    async with running() as world:
        for number in range(1_201):
            world.put(f"f{number}")
        await world.shadows.greet(_ORIGIN)
        assert [one["is_complete"] for one in world.told] == [False, False, True]
        assert [(one["is_whole"], len(one["functions"])) for one in world.told] == [
            (True, 500), (False, 500), (False, 201)
        ]  # fmt: skip


async def test_a_child_that_dies_while_it_is_told_is_told_again() -> None:
    async with running() as world:
        world.failures = 1
        with pytest.raises(ConnectionFailedError):
            await world.shadows.greet(_ORIGIN)
        world.put("f")
        await world.shadows.wait_settled()
        await world.shadows.greet(_ORIGIN)
        assert [one["name"] for one in world.told[0]["functions"]] == ["f"]
