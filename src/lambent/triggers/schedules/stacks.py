"""Schedules and groups that stacks make: the embedded CloudFormation knows its own Scheduler, so they are taken over.

What a stack says counts when the stack says it; what its owner changes by the API meanwhile stays so until then.
"""

from __future__ import annotations

import hashlib
import json
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from lambent.model.caller import Caller
from lambent.model.configs.schedule import Schedule, ScheduleGroup
from lambent.model.errors import LambdaError
from lambent.store.contracts import CommitRefusedError
from lambent.triggers.schedules.control.groups import DEFAULT
from lambent.wire.client import CallError, Principal
from lambent.wire.error_forms import NeighbourError

if TYPE_CHECKING:
    from lambent.store import Resources
    from lambent.store.contracts import Write
    from lambent.triggers.schedules.control.operations import SchedulerOperations
    from lambent.wire.client import OutwardClient

_log = logging.getLogger(__name__)

_SCHEDULER = "scheduler"
_PAGE = 100
_SCHEDULES_MAX = 10_000
_DATES = ("StartDate", "EndDate")
_OWN = frozenset({"Arn", "CreationDate", "LastModificationDate"})


class StackedSchedules:
    """Scope: process; keeps nothing, the store does. After a crash: compared again with the next look."""

    def __init__(self, resources: Resources, client: OutwardClient, operations: SchedulerOperations) -> None:
        self._resources = resources
        self._client = client
        self._operations = operations

    async def learn(self, principal: Principal) -> None:
        """Compare what stacks have made with what is here.

        Raises:
            CallError, NeighbourError: the embedded Scheduler does not tell.
            LambdaError: the store does not take it.
        """
        groups, schedules = await self._groups(principal), await self._schedules(principal)
        await self._take_groups(principal, groups)
        await self._take_schedules(principal, schedules)

    async def forget(self, schedule: Schedule) -> None:
        """Remove a schedule of a stack there too, so that it does not come back; what prevents it is logged."""
        principal = Principal(schedule.account_id, schedule.region)
        query = {"groupName": schedule.group}
        try:
            await self._client.rest(_SCHEDULER, "DELETE", f"/schedules/{schedule.name}", query, principal)
        except (CallError, NeighbourError) as error:
            _log.warning("the stack's schedule %s comes back with its next change: %s", schedule.arn, error)

    async def _take_groups(self, principal: Principal, told: dict[str, dict[str, Any]]) -> None:
        kept = {group.name: group for group in await self._kept(ScheduleGroup, principal)}
        caller = _caller(principal)
        for name in told.keys() - kept.keys():
            made = self._operations.made_group(caller, name)
            await self._commit(self._resources.put_new(replace(made, is_stacked=True)))
        for name, group in kept.items():
            if group.is_stacked and name not in told:
                await self._operations.delete_schedule_group(caller, {"Name": name})

    async def _take_schedules(self, principal: Principal, told: dict[tuple[str, str], dict[str, Any]]) -> None:
        kept = {(one.group, one.name): one for one in await self._kept(Schedule, principal)}
        for key, members in told.items():
            mark = hashlib.sha256(json.dumps(members, sort_keys=True).encode()).hexdigest()[:16]
            known = kept.get(key)
            if known is not None and known.stacked == mark:
                continue
            try:
                made = self._operations.made_schedule(_caller(principal), members, known)
            except (LambdaError, ValueError, KeyError) as error:
                _log.warning("the stack's schedule %s/%s means nothing here: %s", *key, error)
                continue
            await self._commit(self._resources.put_over(replace(made, stacked=mark)))
        for key, schedule in kept.items():
            if schedule.stacked and key not in told:
                await self._commit(self._resources.delete(schedule, is_any_revision=True))

    async def _commit(self, write: Write) -> None:
        try:
            await self._resources.commit(write)
        except CommitRefusedError:
            _log.info("a stack's schedule was changed in the moment that it was read")

    async def _kept(self, resource: type[Any], principal: Principal) -> list[Any]:
        found: list[Any] = []
        after: tuple[str, str] | None = None
        while True:
            page = await self._resources.page(
                resource, principal.account_id, principal.region, after=after, limit=_PAGE
            )
            found += page
            if len(page) < _PAGE:
                return found
            after = (page[-1].name, page[-1].group if resource is Schedule else "")

    async def _groups(self, principal: Principal) -> dict[str, dict[str, Any]]:
        listed = await self._all("/schedule-groups", "ScheduleGroups", principal)
        return {one["Name"]: one for one in listed if one["Name"] != DEFAULT}

    async def _schedules(self, principal: Principal) -> dict[tuple[str, str], dict[str, Any]]:
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for one in await self._all("/schedules", "Schedules", principal):
            name, group = one["Name"], one.get("GroupName", DEFAULT)
            answer = await self._client.rest(_SCHEDULER, "GET", f"/schedules/{name}", {"groupName": group}, principal)
            members = {member: value for member, value in answer.items() if value and member not in _OWN}
            for date in _DATES:
                if isinstance(members.get(date), str):
                    members[date] = datetime.fromisoformat(members[date]).timestamp()
            found[group, name] = members
        return found

    async def _all(self, path: str, member: str, principal: Principal) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        asked: dict[str, str] = {}
        while len(found) < _SCHEDULES_MAX:
            answer = await self._client.rest(_SCHEDULER, "GET", path, asked, principal)
            found += answer.get(member) or []
            if not answer.get("NextToken"):
                break
            asked = {"NextToken": answer["NextToken"]}
        return found


def _caller(principal: Principal) -> Caller:
    root = f"arn:aws:iam::{principal.account_id}:root"
    return Caller(principal.account_id, principal.region, root, "", "")
