"""The operations of EventBridge Scheduler on schedules. Those on groups and tags are in groups.py."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from lambent.model.configs.schedule import Schedule
from lambent.model.errors import LambdaError
from lambent.store.contracts import CommitRefusedError
from lambent.triggers.schedules.control.checks import check_members
from lambent.triggers.schedules.control.groups import (
    DEFAULT,
    ScheduleGroups,
    conflict,
    missing,
    page_size,
    place_of,
    token_of,
)
from lambent.triggers.schedules.times import plans

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from lambent.clock import Clock
    from lambent.model.caller import Caller
    from lambent.store import Resources

_TRIES = 5


class SchedulerOperations(ScheduleGroups):
    """All operations of EventBridge Scheduler. Scope: cluster; keeps no state, the store does.

    Requests and answers are AWS's JSON members by AWS's names. `forget` is told of schedules that a stack has made and
    somebody deletes.
    """

    def __init__(self, resources: Resources, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        super().__init__(resources, clock, self._new_id)
        self._random_bytes = random_bytes
        self.forget: Callable[[Schedule], Awaitable[None]] = _forget_nothing

    async def create_schedule(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Make a schedule; its timer runs when this returns.

        Raises:
            LambdaError: ValidationException, ConflictException, ResourceNotFoundException (no such group).
        """
        now_ms = self._clock.time_ms()
        check_members(request, now_ms)
        group = await self.group(caller, request.get("GroupName"))
        schedule = self._schedule(caller, request, group.name, now_ms)
        condition = [] if group.name == DEFAULT else [self._resources.require(group, is_any_revision=True)]
        try:
            await self._resources.commit(self._resources.put_new(schedule), *condition)
        except CommitRefusedError as error:
            known = await self._found(caller, schedule.name, group.name)
            if known is None:
                raise missing("Schedule group", group.name) from error
            # Source: API reference, ClientToken: the same request once more is the same schedule.
            if not (known.client_token and known.client_token == schedule.client_token):
                raise conflict("Schedule", schedule.name) from error
        return {"ScheduleArn": schedule.arn}

    async def get_schedule(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a schedule. Raises ResourceNotFoundException."""
        schedule = await self._existing(caller, request)
        return {
            **_summary(schedule),
            "ScheduleExpression": schedule.expression,
            "ScheduleExpressionTimezone": schedule.timezone,
            "StartDate": _seconds(schedule.start_ms),
            "EndDate": _seconds(schedule.end_ms),
            "Description": schedule.description,
            "KmsKeyArn": schedule.kms_key_arn,
            "Target": json.loads(schedule.target),
            "FlexibleTimeWindow": _window(schedule),
            "ActionAfterCompletion": schedule.action_after_completion,
        }

    async def update_schedule(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Replace a schedule; what is not said gets its default. Raises as create_schedule.

        Source: user guide, "Updating a schedule": all members are overridden.
        """
        now_ms = self._clock.time_ms()
        check_members(request, now_ms)
        for _ in range(_TRIES):
            known = await self._existing(caller, request)
            changed = self._changed(known, self._schedule(caller, request, known.group, now_ms))
            try:
                await self._resources.commit(self._resources.put_over(changed, known.revision_id))
            except CommitRefusedError:
                # The timer moved it on.
                continue
            return {"ScheduleArn": changed.arn}
        raise LambdaError(f"Schedule {request['Name']} is being changed.", code="ConflictException")

    async def delete_schedule(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Remove a schedule. Raises ResourceNotFoundException."""
        schedule = await self._existing(caller, request)
        try:
            await self._resources.commit(self._resources.delete(schedule, is_any_revision=True))
        except CommitRefusedError as error:
            raise missing("Schedule", schedule.name) from error
        if schedule.stacked:
            await self.forget(schedule)
        return {}

    async def list_schedules(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a page of schedules, by name. Raises ResourceNotFoundException (no such group)."""
        group_name = request.get("GroupName")
        if group_name is not None:
            await self.group(caller, group_name)
        limit = page_size(request)
        place = place_of(request.get("NextToken"), 2)
        found: list[Schedule] = []
        while len(found) <= limit:
            page = await self._page(caller, group_name, place)
            found += [schedule for schedule in page if _is_meant(schedule, request)]
            if not page:
                break
            place = (page[-1].name, page[-1].group)
        shown = found[:limit]
        token = token_of(shown[-1].name, shown[-1].group) if len(found) > limit else None
        schedules = [{**_summary(one), "Target": {"Arn": json.loads(one.target)["Arn"]}} for one in shown]
        return {"Schedules": schedules, "NextToken": token}

    def made_schedule(self, caller: Caller, request: Mapping[str, Any], known: Schedule | None) -> Schedule:
        """Return the schedule that a request means, in place of a known one. Raises ValidationException."""
        now_ms = self._clock.time_ms()
        # What a stack says may be older than a start date may be.
        check_members(request, now_ms, is_new=False)
        schedule = self._schedule(caller, request, request.get("GroupName", DEFAULT), now_ms)
        return schedule if known is None else self._changed(known, schedule)

    @staticmethod
    def _changed(known: Schedule, changed: Schedule) -> Schedule:
        changed = replace(changed, created_ms=known.created_ms, stacked=known.stacked)
        if _is_alike(known, changed):
            # A rate goes on counting from where it began, and what is due stays so.
            changed = replace(changed, anchor_ms=known.anchor_ms, next_ms=known.next_ms)
        return changed

    async def _page(self, caller: Caller, group: str | None, place: tuple[str, ...] | None) -> list[Schedule]:
        account_id, region = caller.account_id, caller.region
        if group is None:
            after = None if place is None else (place[0], place[1])
            return await self._resources.page(Schedule, account_id, region, after=after, limit=100)
        name = None if place is None else place[0]
        return await self._resources.page_of_qualifier(Schedule, account_id, region, group, after_name=name, limit=100)

    async def _existing(self, caller: Caller, request: Mapping[str, Any]) -> Schedule:
        name = request["Name"]
        group = await self.group(caller, request.get("GroupName"))
        found = await self._found(caller, name, group.name)
        if found is None:
            raise missing("Schedule", name)
        return found

    async def _found(self, caller: Caller, name: str, group: str) -> Schedule | None:
        return await self._resources.get(Schedule, caller.account_id, caller.region, name, group)

    def _schedule(self, caller: Caller, request: Mapping[str, Any], group: str, now_ms: int) -> Schedule:
        window = request["FlexibleTimeWindow"]
        start_ms = _milliseconds(request.get("StartDate"))
        schedule = Schedule(
            account_id=caller.account_id,
            region=caller.region,
            name=request["Name"],
            group=group,
            revision_id=self._new_id(),
            expression=request["ScheduleExpression"],
            target=json.dumps(_with_defaults(request["Target"])),
            created_ms=now_ms,
            modified_ms=now_ms,
            # Source: user guide, "Rate-based schedules": without a StartDate it begins at once.
            anchor_ms=now_ms if start_ms is None else start_ms,
            timezone=request.get("ScheduleExpressionTimezone", "UTC"),
            start_ms=start_ms,
            end_ms=_milliseconds(request.get("EndDate")),
            description=request.get("Description"),
            state=request.get("State", "ENABLED"),
            kms_key_arn=request.get("KmsKeyArn"),
            window_minutes=window.get("MaximumWindowInMinutes", 0) if window["Mode"] == "FLEXIBLE" else 0,
            action_after_completion=request.get("ActionAfterCompletion", "NONE"),
            client_token=request.get("ClientToken", ""),
        )
        return replace(schedule, next_ms=plans.first_ms(schedule, now_ms))

    def _new_id(self) -> str:
        return str(uuid.UUID(bytes=self._random_bytes(16), version=4))


async def _forget_nothing(_schedule: Schedule) -> None:
    return None


def _summary(schedule: Schedule) -> dict[str, Any]:
    return {
        "Arn": schedule.arn,
        "Name": schedule.name,
        "GroupName": schedule.group,
        "State": schedule.state,
        "CreationDate": _seconds(schedule.created_ms),
        "LastModificationDate": _seconds(schedule.modified_ms),
    }


def _window(schedule: Schedule) -> dict[str, Any]:
    if not schedule.window_minutes:
        return {"Mode": "OFF"}
    return {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": schedule.window_minutes}


def _with_defaults(target: Mapping[str, Any]) -> dict[str, Any]:
    """Return a target as it is answered. Source: recorded by others against AWS (get_schedule)."""
    policy = target.get("RetryPolicy") or {}
    retries = {
        "MaximumEventAgeInSeconds": policy.get("MaximumEventAgeInSeconds", plans.EVENT_AGE_SECONDS),
        "MaximumRetryAttempts": policy.get("MaximumRetryAttempts", plans.RETRY_ATTEMPTS),
    }
    return {**target, "RetryPolicy": retries}


def _is_alike(known: Schedule, changed: Schedule) -> bool:
    """Return whether both are due at the same times."""
    members = ("expression", "timezone", "start_ms", "end_ms", "state", "window_minutes")
    return all(getattr(known, name) == getattr(changed, name) for name in members)


def _is_meant(schedule: Schedule, request: Mapping[str, Any]) -> bool:
    return schedule.name.startswith(request.get("NamePrefix", "")) and (
        request.get("State", schedule.state) == schedule.state
    )


def _seconds(at_ms: int | None) -> float | None:
    return None if at_ms is None else at_ms / 1_000


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1_000)
