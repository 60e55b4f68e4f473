"""Firings on their way to their targets: tried as their retry policy says, then kept in their dead-letter queue."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from msgspec.structs import replace

from lambent.model.configs.schedule import Schedule
from lambent.model.errors import LambdaError
from lambent.store.contracts import CommitRefusedError
from lambent.triggers.schedules.inputs import schedule_event, time_text, with_context
from lambent.triggers.schedules.names import execution_id
from lambent.triggers.schedules.targets import TargetError
from lambent.triggers.schedules.times import plans
from lambent.triggers.schedules.times.due import DueQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lambent.clock import Clock
    from lambent.model.configs.schedule import Firing
    from lambent.store import Resources
    from lambent.store.contracts import RecordKey, Write
    from lambent.triggers.schedules.holding import Holding

_log = logging.getLogger(__name__)

_RUNNING_MAX = 64
_TAKEN_MAX = 256
_DELAY_MS = 1_000
_DELAY_MS_MAX = 300_000
_AGAIN_MS = 1_000
# Source: Amazon SQS developer guide: a message has at most 262,144 bytes; attributes count.
_BODY_BYTES_MAX = 250_000


class Targets(Protocol):
    """Who invokes targets."""

    async def invoke(self, firing: Firing, target: Mapping[str, Any], payload: str) -> None:
        """Invoke a firing's target. Raises TargetError."""

    async def send_message(self, queue_arn: str, body: str, attributes: Mapping[str, str], firing: Firing) -> None:
        """Send a message to a queue. Raises TargetError."""


class _Failure(NamedTuple):
    """Why a firing is given up. `condition`: which bound of the retry policy is used up, or "" for none."""

    error: TargetError
    condition: str


class Firings:
    """Scope: cluster, through `holding`. After a crash: what was not done is tried again.

    A function's event is put into its queue under the firing's name, which the queue takes once; what other services
    get may come twice when the daemon ends between their answer and the next commit.
    """

    def __init__(
        self,
        resources: Resources,
        targets: Targets,
        holding: Holding,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._resources = resources
        self._targets = targets
        self._holding = holding
        self._clock = clock
        self._random_bytes = random_bytes
        self._firings: dict[RecordKey, Firing] = {}
        self._due: DueQueue[RecordKey] = DueQueue(clock)
        # For each service by itself: one that hangs keeps no other one's targets waiting.
        self._places: dict[str, asyncio.Semaphore] = {}

    def changed(self, key: RecordKey, firing: Firing | None) -> None:
        """A firing was made, put back, or (None) done."""
        if firing is None:
            self._firings.pop(key, None)
            self._due.remove(key)
        else:
            self._firings[key] = firing
            self._due.put(key, firing.due_ms)

    async def run(self) -> None:
        """Do what is due until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._holding.wait()
                await self._due.wait()
                for key in self._due.take_due(_TAKEN_MAX):
                    tasks.create_task(self._run_one(key))

    async def attempt(self, key: RecordKey) -> None:
        """Try a firing once, and settle it."""
        firing = self._firings.get(key)
        if firing is None:
            return
        target: dict[str, Any] = json.loads(firing.target)
        payload = self._payload(firing, target)
        try:
            await self._targets.invoke(firing, target, payload)
        except TargetError as error:
            failure = self._given_up(firing, error)
            if failure is None:
                await self._put_back(firing)
                return
            _log.warning("%s: %s was not invoked: %s", firing.source, target.get("Arn"), error)
            if not await self._dead_letter(firing, target, payload, failure):
                await self._put_back(replace(firing, attempts=max(0, firing.attempts - 1)))
                return
        await self._settle(firing)

    async def _run_one(self, key: RecordKey) -> None:
        firing = self._firings.get(key)
        if firing is None:
            return
        try:
            async with self._places.setdefault(_service(firing), asyncio.Semaphore(_RUNNING_MAX)):
                await self.attempt(key)
        except LambdaError as error:
            _log.warning("a firing cannot be settled yet: %s", error.message)
            if key in self._firings:
                self._due.put(key, self._clock.time_ms() + _AGAIN_MS)
        except Exception:
            # A task that raises would end all others.
            _log.exception("the firing %s failed", key.name)

    def _payload(self, firing: Firing, target: Mapping[str, Any]) -> str:
        if is_of_rule(firing):
            return str(target.get("Input", ""))
        if target.get("Input") is None:
            return schedule_event(firing)
        return with_context(str(target["Input"]), firing, execution_id(firing.name, str(firing.attempts)))

    def _given_up(self, firing: Firing, error: TargetError) -> _Failure | None:
        limits = plans.limits_of(firing.target)
        if error.is_final:
            return _Failure(error, "")
        if firing.attempts >= limits.attempts:
            return _Failure(error, "MaximumRetryAttempts")
        if self._clock.time_ms() + _delay_ms(firing) - firing.made_ms > limits.age_ms:
            return _Failure(error, "MaximumEventAgeInSeconds")
        return None

    async def _put_back(self, firing: Firing) -> None:
        due_ms = self._clock.time_ms() + _delay_ms(firing)
        waiting = replace(firing, attempts=firing.attempts + 1, due_ms=due_ms, revision_id=self._new_id())
        try:
            await self._resources.commit(self._resources.put_over(waiting, firing.revision_id))
        except CommitRefusedError:
            _log.info("the firing %s is another daemon's", firing.name)

    async def _settle(self, firing: Firing) -> None:
        """Remove a firing that is done, and its schedule if that was all it had to do."""
        writes: list[Write] = [self._resources.delete(firing, is_any_revision=True)]
        ended = None
        if firing.schedule:
            ended = await self._resources.get(Schedule, firing.account_id, firing.region, firing.schedule, firing.group)
        if ended is not None and ended.next_ms is None and ended.action_after_completion == "DELETE":
            writes.append(self._resources.delete(ended))
        try:
            await self._resources.commit(*writes)
        except CommitRefusedError:
            # The schedule was changed meanwhile, so it stays; or the firing is gone already.
            if len(writes) > 1:
                await self._settle(replace(firing, schedule=""))

    async def _dead_letter(self, firing: Firing, target: Mapping[str, Any], payload: str, failure: _Failure) -> bool:
        """Send a firing that is given up to its queue, if it has one; False when that is to be tried again."""
        queue_arn = (target.get("DeadLetterConfig") or {}).get("Arn")
        if not queue_arn:
            return True
        body = payload.encode()[:_BODY_BYTES_MAX].decode("utf-8", "ignore")
        is_cut = len(body) < len(payload)
        attributes = _attributes(firing, target, failure, is_cut=is_cut)
        try:
            await self._targets.send_message(queue_arn, body, attributes, firing)
        except TargetError as error:
            _log.warning("%s: the dead-letter queue %s took nothing: %s", firing.source, queue_arn, error)
            is_old = self._clock.time_ms() - firing.made_ms > plans.limits_of(firing.target).age_ms
            return error.is_final or is_old
        return True

    def _new_id(self) -> str:
        return str(uuid.UUID(bytes=self._random_bytes(16), version=4))


def is_of_rule(firing: Firing) -> bool:
    """Return whether a rule of EventBridge set it off, and no schedule of EventBridge Scheduler."""
    return firing.source.split(":", 3)[2] == "events"


def _rule_error_code(code: str) -> str:
    """Return what EventBridge calls an error. Source: user guide, "Using dead-letter queues"."""
    if "NotFound" in code or "NonExistent" in code:
        return "RESOURCE_NOT_FOUND"
    if "Throttl" in code or code == "TooManyRequestsException":
        return "THROTTLING"
    return code if code in ("NO_PERMISSIONS", "INVALID_PARAMETER") else "SDK_CLIENT_ERROR"


def _service(firing: Firing) -> str:
    """Return which service a firing's target is of; of a universal target that service."""
    parts = str(json.loads(firing.target).get("Arn", "")).split(":")
    return ":".join(parts[5:7]) if parts[2:3] == ["scheduler"] else "".join(parts[2:3])


def _delay_ms(firing: Firing) -> int:
    return min(_DELAY_MS << min(firing.attempts, 20), _DELAY_MS_MAX)


def _attributes(firing: Firing, target: Mapping[str, Any], failure: _Failure, *, is_cut: bool) -> dict[str, str]:
    """Return the attributes of a message to a dead-letter queue.

    Source: EventBridge Scheduler user guide, "Configuring a schedule's dead-letter queue"; EventBridge user guide,
    "Using dead-letter queues".
    """
    error = failure.error
    said = {
        "ERROR_CODE": error.code,
        "ERROR_MESSAGE": str(error),
        "RETRY_ATTEMPTS": str(firing.attempts),
        "TARGET_ARN": str(target.get("Arn", "")),
    }
    if is_of_rule(firing):
        exhausted = {"EXHAUSTED_RETRY_CONDITION": failure.condition} if failure.condition else {}
        return {**said, "RULE_ARN": firing.source, "ERROR_CODE": _rule_error_code(error.code), **exhausted}
    return {
        **said,
        "EXECUTION_ID": execution_id(firing.name, str(firing.attempts)),
        "EXHAUSTED_RETRY_CONDITION": failure.condition or "MaximumRetryAttempts",
        "IS_PAYLOAD_TRUNCATED": "true" if is_cut else "false",
        "SCHEDULED_TIME": time_text(firing.scheduled_ms),
        "SCHEDULE_ARN": firing.source,
    }
