"""The operations of EventBridge Scheduler on groups of schedules and their tags."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from lambent.model.configs.schedule import Schedule, ScheduleGroup
from lambent.model.errors import LambdaError
from lambent.store.contracts import CommitRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lambent.clock import Clock
    from lambent.model.caller import Caller
    from lambent.store import Resources
    from lambent.store.contracts import Write

DEFAULT = "default"
_PAGE_MAX = 100
_TAGS_MAX = 50
_DELETED_AT_ONCE = 100


class ScheduleGroups:
    """Scope: cluster; keeps no state, the store does. The group `default` is there before anybody made it."""

    def __init__(self, resources: Resources, clock: Clock, new_id: Callable[[], str]) -> None:
        self._resources = resources
        self._clock = clock
        self._new_revision = new_id

    async def create_schedule_group(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Make a group. Raises ConflictException."""
        group = replace(
            self.made_group(caller, request["Name"]),
            tags=tuple(_tags(request.get("Tags") or ()).items()),
            client_token=request.get("ClientToken", ""),
        )
        known = await self._kept(caller, group.name)
        if group.name == DEFAULT or (known is not None and not _is_same_request(known, group)):
            raise conflict("Schedule group", group.name)
        if known is None:
            try:
                await self._resources.commit(self._resources.put_new(group))
            except CommitRefusedError as error:
                raise conflict("Schedule group", group.name) from error
        return {"ScheduleGroupArn": group.arn}

    def made_group(self, caller: Caller, name: str) -> ScheduleGroup:
        """Return a new group, which is not kept yet."""
        now_ms = self._clock.time_ms()
        return ScheduleGroup(caller.account_id, caller.region, name, self._new_revision(), now_ms, now_ms)

    async def get_schedule_group(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a group. Raises ResourceNotFoundException."""
        return _described(await self.group(caller, request["Name"]))

    async def list_schedule_groups(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a page of groups, by name."""
        limit = page_size(request)
        place = place_of(request.get("NextToken"), 1)
        last = None if place is None else place[0]
        prefix = request.get("NamePrefix", "")
        found = [] if last is not None and last >= DEFAULT else [_default(caller)]
        after = None if last is None else (last, "")
        while True:
            page = await self._resources.page(
                ScheduleGroup, caller.account_id, caller.region, after=after, limit=_PAGE_MAX
            )
            found += [group for group in page if group.name != DEFAULT]
            if len(page) < _PAGE_MAX or len(found) > limit + 1:
                break
            after = (page[-1].name, "")
        meant = sorted((group for group in found if group.name.startswith(prefix)), key=lambda group: group.name)
        token = token_of(meant[limit - 1].name) if len(meant) > limit else None
        return {"ScheduleGroups": [_described(group) for group in meant[:limit]], "NextToken": token}

    async def delete_schedule_group(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Remove a group and all its schedules. Raises ResourceNotFoundException."""
        name = request["Name"]
        if name == DEFAULT:
            raise LambdaError("The default schedule group cannot be deleted.", code="ValidationException")
        group = await self.group(caller, name)
        # The group first: no schedule can come into it while its own are removed.
        await self._resources.commit(self._resources.delete(group, is_any_revision=True))
        while schedules := await self._resources.page_of_qualifier(
            Schedule, caller.account_id, caller.region, name, after_name=None, limit=_DELETED_AT_ONCE
        ):
            for schedule in schedules:
                writes: list[Write] = [self._resources.delete(schedule, is_any_revision=True)]
                try:
                    await self._resources.commit(*writes)
                except CommitRefusedError:
                    continue
        return {}

    async def tag_resource(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Add tags to a group. Raises ResourceNotFoundException."""
        added = _tags(request["Tags"])
        await self._retag(caller, request["ResourceArn"], lambda tags: {**tags, **added})
        return {}

    async def untag_resource(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Remove tags of a group. Raises ResourceNotFoundException."""
        gone = set(request["TagKeys"])
        await self._retag(
            caller, request["ResourceArn"], lambda tags: {key: tags[key] for key in tags if key not in gone}
        )
        return {}

    async def list_tags_for_resource(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the tags of a group. Raises ResourceNotFoundException."""
        group = await self.group(caller, _group_name(request["ResourceArn"]))
        return {"Tags": [{"Key": key, "Value": value} for key, value in group.tags]}

    async def group(self, caller: Caller, name: str | None) -> ScheduleGroup:
        """Return a group. Raises ResourceNotFoundException."""
        name = name or DEFAULT
        found = await self._kept(caller, name)
        if found is None and name == DEFAULT:
            return _default(caller)
        if found is None:
            raise missing("Schedule group", name)
        return found

    async def _kept(self, caller: Caller, name: str) -> ScheduleGroup | None:
        return await self._resources.get(ScheduleGroup, caller.account_id, caller.region, name)

    async def _retag(self, caller: Caller, arn: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        group = await self.group(caller, _group_name(arn))
        tags = change(dict(group.tags))
        if len(tags) > _TAGS_MAX:
            raise LambdaError(f"A resource can have at most {_TAGS_MAX} tags.", code="ServiceQuotaExceededException")
        changed = replace(
            group, tags=tuple(tags.items()), modified_ms=self._clock.time_ms(), revision_id=self._new_revision()
        )
        try:
            await self._resources.commit(self._resources.put_over(changed, group.revision_id or "*"))
        except CommitRefusedError as error:
            raise LambdaError(f"Schedule group {group.name} is being changed.", code="ConflictException") from error


def missing(what: str, name: str) -> LambdaError:
    """Return the error about something that is not there. Source: recorded by others against AWS (get_schedule)."""
    return LambdaError(f"{what} {name} does not exist.", code="ResourceNotFoundException")


def conflict(what: str, name: str) -> LambdaError:
    """Return the error about something that is there already."""
    return LambdaError(f"{what} {name} already exists.", code="ConflictException")


def page_size(request: Mapping[str, Any]) -> int:
    """Return how many items an answer may have."""
    return min(int(request.get("MaxResults") or _PAGE_MAX), _PAGE_MAX)


def token_of(*place: str) -> str:
    """Return the token of the page after `place`."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def place_of(token: str | None, length: int) -> tuple[str, ...] | None:
    """Return what `token_of` was given, None without a token. Raises ValidationException."""
    if token is None:
        return None
    try:
        place = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        place = None
    if not isinstance(place, list) or len(place) != length or not all(isinstance(one, str) for one in place):
        raise LambdaError("Invalid NextToken.", code="ValidationException")
    return tuple(place)


def _default(caller: Caller) -> ScheduleGroup:
    return ScheduleGroup(caller.account_id, caller.region, DEFAULT, "", 0, 0)


def _described(group: ScheduleGroup) -> dict[str, Any]:
    return {
        "Arn": group.arn,
        "Name": group.name,
        "State": group.state,
        "CreationDate": group.created_ms / 1_000,
        "LastModificationDate": group.modified_ms / 1_000,
    }


def _is_same_request(known: ScheduleGroup, group: ScheduleGroup) -> bool:
    return bool(group.client_token) and known.client_token == group.client_token


def _group_name(arn: str) -> str:
    return arn.rpartition("/")[2]


def _tags(given: Any) -> dict[str, str]:  # noqa: ANN401
    return {tag["Key"]: tag["Value"] for tag in given}
