"""Schedules over a real store, with a clock that is set by hand and targets that only remember."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from lambent.model.caller import Caller
from lambent.model.configs.schedule import Firing, Schedule, ScheduledRule
from lambent.store import InstallationKey, Resources, open_records
from lambent.triggers.schedules.control.operations import SchedulerOperations
from lambent.triggers.schedules.firings import Firings
from lambent.triggers.schedules.holding import Holding
from lambent.triggers.schedules.timer import ScheduleTimer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from lambent.triggers.schedules.targets import TargetError

# 2026-01-01 00:00:00 UTC, a Thursday.
NEW_YEAR_MS = 1_767_225_600_000
QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
CALLER = Caller("000000000000", "us-east-1", "arn:aws:iam::000000000000:root", "r", "http://localhost:4566")


class HandClock:
    """A clock that is set by hand."""

    now_ms = NEW_YEAR_MS

    def time_ms(self) -> int:
        return self.now_ms

    def monotonic_ns(self) -> int:
        return self.now_ms * 1_000_000


@dataclass
class RememberingTargets:
    """Takes everything, or refuses with the next of `errors`."""

    invoked: list[tuple[int, str]] = field(default_factory=list)
    messages: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    errors: list[TargetError] = field(default_factory=list)

    async def invoke(self, firing: Firing, target: Mapping[str, Any], payload: str) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.invoked.append((firing.scheduled_ms, payload))

    async def send_message(self, queue_arn: str, body: str, attributes: Mapping[str, str], firing: Firing) -> None:
        self.messages.append((queue_arn, body, dict(attributes)))


class World:
    """One installation's schedules. `restart` forgets what is in memory, as a crash does."""

    def __init__(self, directory: Path) -> None:
        self.clock = HandClock()
        self.records = open_records(directory)
        self._key = InstallationKey.open(directory / "keys")
        self.targets = RememberingTargets()
        self._feeding: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin with what the store has."""
        self.resources = Resources(self.records, self._key)
        holding = Holding(None, "me")
        self.timer = ScheduleTimer(self.resources, holding, self.clock, os.urandom)
        self.firings = Firings(self.resources, self.targets, holding, self.clock, os.urandom)
        self.operations = SchedulerOperations(self.resources, self.clock, os.urandom)
        self._feeding = asyncio.get_running_loop().create_task(self._feed())
        await self.resources.wait_filled()

    async def stop(self) -> None:
        """Forget everything that is not in the store."""
        assert self._feeding is not None
        self._feeding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._feeding

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def pass_to(self, moment_ms: int, *, step_ms: int = 30_000) -> None:
        """Let time pass in steps, and do what is due at each."""
        while self.clock.now_ms < moment_ms:
            self.clock.now_ms = min(moment_ms, self.clock.now_ms + step_ms)
            await self.do_due()

    async def do_due(self) -> None:
        """Do what is due now."""
        await self.timer.fire_due()
        for key in self.firings._due.take_due(1_000):
            await self.firings.attempt(key)

    async def create(self, name: str = "s", **members: Any) -> str:
        """Make a schedule whose target is a queue; return its ARN."""
        request = {
            "Name": name,
            "ScheduleExpression": "rate(1 minute)",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": QUEUE, "RoleArn": "arn:aws:iam::000000000000:role/r", "Input": "hi"},
            **members,
        }
        return str((await self.operations.create_schedule(CALLER, request))["ScheduleArn"])

    async def schedule(self, name: str = "s", group: str = "default") -> Schedule | None:
        return await self.resources.get(Schedule, "000000000000", "us-east-1", name, group)

    async def add_rule(self, expression: str, *targets: dict[str, Any], name: str = "r") -> ScheduledRule:
        """Put a rule into the store as the rule book would."""
        from lambent.triggers.schedules.times import plans

        rule = ScheduledRule(
            "000000000000",
            "us-east-1",
            name,
            "1",
            f"arn:aws:events:us-east-1:000000000000:rule/{name}",
            expression,
            "ENABLED",
            tuple(json.dumps(target) for target in targets),
            self.clock.now_ms,
        )
        rule = replace(rule, next_ms=plans.first_of_rule_ms(rule, self.clock.now_ms))
        await self.resources.commit(self.resources.put_new(rule))
        return rule

    async def _feed(self) -> None:
        async for batch in self.resources.changes():
            for change in batch:
                if change.resource in (Schedule, ScheduledRule):
                    self.timer.changed(change.key, change.value)
                elif change.resource is Firing:
                    self.firings.changed(change.key, change.value)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.start()
    yield made
    await made.stop()
    await made.records.close()
