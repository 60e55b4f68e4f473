"""The one timer: what is due is moved on and its targets are kept as firings, in one commit."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from lambent.model.configs.schedule import Firing, Schedule
from lambent.model.errors import LambdaError
from lambent.store.contracts import CommitRefusedError
from lambent.triggers.schedules.inputs import rule_event, rule_payload
from lambent.triggers.schedules.names import random_looking_id
from lambent.triggers.schedules.times import plans
from lambent.triggers.schedules.times.due import DueQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.clock import Clock
    from lambent.model.configs.schedule import ScheduledRule
    from lambent.store import Resources
    from lambent.store.contracts import RecordKey
    from lambent.triggers.schedules.holding import Holding

_log = logging.getLogger(__name__)

_AT_ONCE_MAX = 256
_AGAIN_MS = 1_000


class ScheduleTimer:
    """Scope: cluster, through `holding`: one daemon fires. After a crash: as committed, so nothing fires twice.

    Keeps in memory what the store's feed tells: schedules and scheduled rules, and when each is due.
    """

    def __init__(
        self, resources: Resources, holding: Holding, clock: Clock, random_bytes: Callable[[int], bytes]
    ) -> None:
        self._resources = resources
        self._holding = holding
        self._clock = clock
        self._random_bytes = random_bytes
        self._timed: dict[RecordKey, Schedule | ScheduledRule] = {}
        self._due: DueQueue[RecordKey] = DueQueue(clock)

    def changed(self, key: RecordKey, timed: Schedule | ScheduledRule | None) -> None:
        """A schedule or rule was made, changed, or (None) deleted."""
        due_ms = None if timed is None else plans.due_ms(timed)
        if timed is None or due_ms is None:
            self._timed.pop(key, None)
            self._due.remove(key)
        else:
            self._timed[key] = timed
            self._due.put(key, due_ms)

    async def run(self) -> None:
        """Fire what is due until cancelled."""
        while True:
            await self._holding.wait()
            await self._due.wait()
            await self.fire_due()

    async def fire_due(self) -> None:
        """Fire all that is due now."""
        while keys := self._due.take_due(_AT_ONCE_MAX):
            # Together, so that the store commits all of them at once.
            async with asyncio.TaskGroup() as tasks:
                for key in keys:
                    tasks.create_task(self._fire(key, self._timed[key]))

    async def _fire(self, key: RecordKey, timed: Schedule | ScheduledRule) -> None:
        now_ms = self._clock.time_ms()
        try:
            following = plans.following_ms(timed, now_ms)
            moved = replace(timed, next_ms=following, revision_id=self._new_id())
            firings: list[Firing] = []
            if not plans.is_missed(timed, now_ms):
                firings = self._firings(timed, now_ms, is_last=following is None)
            writes = [self._resources.put_over(moved, timed.revision_id)]
            writes += [self._resources.put_new(firing) for firing in firings]
            await self._resources.commit(*writes)
        except CommitRefusedError:
            # Changed or deleted meanwhile: the feed tells how.
            return
        except LambdaError as error:
            _log.warning("%s is due and cannot be fired yet: %s", key.name, error.message)
            self._due.put(key, now_ms + _AGAIN_MS)
        except (ValueError, KeyError, TypeError):
            # What a newer Lambent or another EventBridge wrote must not stop the others.
            _log.exception("%s cannot be fired", key.name)

    def _firings(self, timed: Schedule | ScheduledRule, now_ms: int, *, is_last: bool) -> list[Firing]:
        assert timed.next_ms is not None
        if isinstance(timed, Schedule):
            ends = is_last and timed.action_after_completion == "DELETE"
            return [self._firing(timed, timed.target, timed.next_ms, now_ms, "", timed if ends else None)]
        event = rule_event(timed, timed.next_ms)
        found = []
        for text in timed.targets:
            target: dict[str, Any] = json.loads(text)
            kept = {name: value for name, value in target.items() if name not in ("InputPath", "InputTransformer")}
            kept["Input"] = rule_payload(target, event, timed)
            found.append(self._firing(timed, json.dumps(kept), timed.next_ms, now_ms, str(target.get("Id", "")), None))
        return found

    def _firing(
        self,
        timed: Schedule | ScheduledRule,
        target: str,
        scheduled_ms: int,
        now_ms: int,
        target_id: str,
        ended: Schedule | None,
    ) -> Firing:
        return Firing(
            timed.account_id,
            timed.region,
            random_looking_id(timed.arn, target_id, str(scheduled_ms), str(timed.anchor_ms)),
            self._new_id(),
            timed.arn,
            target,
            scheduled_ms,
            now_ms,
            now_ms,
            group="" if ended is None else ended.group,
            schedule="" if ended is None else ended.name,
        )

    def _new_id(self) -> str:
        return str(uuid.UUID(bytes=self._random_bytes(16), version=4))
