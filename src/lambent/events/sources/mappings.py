"""Event source mappings: their configuration, as AWS validates and answers it.

A mapping of a source that nothing polls yet is shown as Disabled, with the reason, and never as Enabled: nobody shall
wait for records that nobody reads.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from lambent.events.sources.filtering.filter_keys import FilterKeyError
from lambent.events.sources.rules import RULES, check_mapping, check_members, check_required, with_defaults
from lambent.events.sources.rules_of_pollers import with_group_kept, with_poller_defaults
from lambent.model.arn import LATEST, FunctionArn, parse_function_name
from lambent.model.configs.event_source import EventSourceMapping, MappingClaim, SourceKind, claims_of, source_kind
from lambent.model.configs.tags import ResourceTags, check_tags
from lambent.model.errors import InvalidParameterValueError, ResourceConflictError, ResourceNotFoundError
from lambent.model.function import Alias, FunctionVersion
from lambent.store.contracts import CommitRefusedError
from lambent.wire.conversion import copied, given_members
from lambent.wire.generated import shared as shapes
from lambent.wire.generated.list_event_source_mappings import ListEventSourceMappingsResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from lambent.clock import Clock
    from lambent.events.sources.filtering.filter_keys import FilterKeys
    from lambent.events.sources.pollers import Progress
    from lambent.model.caller import Caller
    from lambent.store import Resources
    from lambent.store.contracts import Write
    from lambent.wire.generated.create_event_source_mapping import CreateEventSourceMappingRequest
    from lambent.wire.generated.delete_event_source_mapping import DeleteEventSourceMappingRequest
    from lambent.wire.generated.get_event_source_mapping import GetEventSourceMappingRequest
    from lambent.wire.generated.list_event_source_mappings import ListEventSourceMappingsRequest
    from lambent.wire.generated.update_event_source_mapping import UpdateEventSourceMappingRequest

NOT_POLLED = "Lambent does not poll this kind of event source yet: the mapping is kept, and nothing is read."

# Source: API reference, ListEventSourceMappings: at most 100 in a response, whatever is asked.
_PAGE_MAX = 100
# Records that a filtered list reads at a time.
_STEP = 200
# How often a change is tried when others of the same mapping come first.
_TRIES = 50
_MEMBERS = (
    "batch_size", "filter_criteria", "kms_key_arn", "metrics_config", "logging_config", "scaling_config",
    "maximum_batching_window_in_seconds", "parallelization_factor", "maximum_record_age_in_seconds",
    "bisect_batch_on_function_error", "maximum_retry_attempts", "tumbling_window_in_seconds",
    "source_access_configurations", "function_response_types", "amazon_managed_kafka_event_source_config",
    "self_managed_kafka_event_source_config", "document_db_event_source_config", "provisioned_poller_config",
)  # fmt: skip


async def _unchecked(_mapping: EventSourceMapping, _timeout_seconds: int) -> None:
    return None


class EventSourceMappings:
    """The five operations on mappings. Scope: cluster; keeps no state, the store does."""

    def __init__(
        self,
        resources: Resources,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        *,
        progress: Callable[[EventSourceMapping], Progress | None] = lambda _: None,
        check_source: Callable[[EventSourceMapping, int], Awaitable[None]] = _unchecked,
        filter_keys: FilterKeys | None = None,
    ) -> None:
        """`progress` tells how far the polling of a mapping is; None: it is not polled here.

        `check_source(mapping, timeout_seconds)` raises InvalidParameterValueError for a source that cannot be polled.
        `filter_keys` encrypt the filters of mappings with a KMS key; without them they are kept as they are.
        """
        self._filter_keys = filter_keys
        self._progress = progress
        self._check_source = check_source
        self._resources = resources
        self._clock = clock
        self._random_bytes = random_bytes

    async def create_event_source_mapping(
        self, caller: Caller, request: CreateEventSourceMappingRequest
    ) -> shapes.EventSourceMappingConfiguration:
        """Create a mapping.

        Raises:
            InvalidParameterValueError: no source, members that it has not, no such function (400).
            ResourceConflictError: the function has a mapping of this source (409).
        Source: recorded (TestLambdaEventSourceMappings).
        """
        kind = source_kind(request.event_source_arn, is_self_managed=request.self_managed_event_source is not None)
        if kind is None:
            raise InvalidParameterValueError("Unrecognized event source.")
        given = given_members(request)
        check_members(kind, given)
        check_required(kind, frozenset(given))
        tags = request.tags or {}
        check_tags(tags, is_system=caller.is_system)
        function, target, timeout_seconds = await self._function(caller, request.function_name)
        mapping = copied(
            request,
            EventSourceMapping,
            account_id=caller.account_id,
            region=caller.region,
            uuid=self._new_id(),
            revision_id=self._new_id(),
            function_arn=str(function),
            last_modified_ms=self._clock.time_ms(),
            is_enabled=request.enabled is not False,
        )
        mapping = _emptied(with_defaults(replace(mapping, on_failure=_on_failure(request.destination_config))))
        check_mapping(mapping)
        await self._check_source(mapping, timeout_seconds)
        await self._commit_new(await self._sealed(mapping), tags, target)
        return self._shown(mapping, "Creating" if mapping.is_enabled else "Disabled")

    async def update_event_source_mapping(
        self, caller: Caller, request: UpdateEventSourceMappingRequest
    ) -> shapes.EventSourceMappingConfiguration:
        """Change what is given. Raises as `create_event_source_mapping`, and ResourceNotFoundError (404)."""
        for _ in range(_TRIES):
            current = await self._existing(caller, request.uuid)
            check_members(current.kind, given_members(request))
            changed = replace(
                _changed(current, request), revision_id=self._new_id(), last_modified_ms=self._clock.time_ms()
            )
            writes: list[Write] = []
            if request.function_name is not None:
                function, target, _ = await self._function(caller, request.function_name)
                changed = replace(changed, function_arn=str(function))
                writes.append(target)
            writes += await self._moved_claims(current, changed)
            if self._filter_keys is not None:
                is_given = request.filter_criteria is not None
                changed = await self._filter_keys.changed(current, changed, is_given=is_given)
            check_mapping(changed)
            kept = changed if changed.filter_criteria_cipher is not None else await self._sealed(changed)
            try:
                await self._resources.commit(self._resources.put_over(kept, current.revision_id), *writes)
            except CommitRefusedError as error:
                await self._raise_conflict(changed, error)
                continue
            return await self._opened(changed, _updating(current, changed))
        raise _overtaken(request.uuid)

    async def get_event_source_mapping(
        self, caller: Caller, request: GetEventSourceMappingRequest
    ) -> shapes.EventSourceMappingConfiguration:
        """Return a mapping. Raises ResourceNotFoundError (404)."""
        return await self._opened(await self._existing(caller, request.uuid))

    async def delete_event_source_mapping(
        self, caller: Caller, request: DeleteEventSourceMappingRequest
    ) -> shapes.EventSourceMappingConfiguration:
        """Remove a mapping; functions that go leave theirs behind, as on AWS. Raises ResourceNotFoundError (404)."""
        resources = self._resources
        for _ in range(_TRIES):
            mapping = await self._existing(caller, request.uuid)
            writes: list[Write] = [resources.delete(mapping, is_any_revision=True)]
            found = [await self._claim(mapping, claim) for claim in claims_of(mapping)]
            tags = await resources.get(ResourceTags, mapping.account_id, mapping.region, _tagged(mapping))
            kept = [*(claim for claim in found if claim is not None and claim.uuid == mapping.uuid), tags]
            writes += [resources.delete(one, is_any_revision=True) for one in kept if one is not None]
            try:
                await resources.commit(*writes)
            except CommitRefusedError:
                continue
            return await self._opened(mapping, "Deleting")
        raise _overtaken(request.uuid)

    async def list_event_source_mappings(
        self, caller: Caller, request: ListEventSourceMappingsRequest
    ) -> ListEventSourceMappingsResponse:
        """Return a page of mappings, of one source or one function if asked; neither need exist."""
        function = None if request.function_name is None else _parsed(caller, request.function_name)
        limit = min(request.max_items or _PAGE_MAX, _PAGE_MAX)
        found: list[EventSourceMapping] = []
        after = _after(request.marker)
        while len(found) <= limit:
            page = await self._resources.page(
                EventSourceMapping, caller.account_id, caller.region, after=(after, "\U0010ffff"), limit=_STEP
            )
            found += [
                mapping
                for mapping in page
                if request.event_source_arn in (None, mapping.event_source_arn) and _is_of(mapping, function)
            ]
            if len(page) < _STEP:
                break
            after = page[-1].uuid
        return ListEventSourceMappingsResponse(
            event_source_mappings=[self._shown(mapping) for mapping in found[:limit]],
            next_marker=found[limit - 1].uuid if len(found) > limit else None,
        )

    async def _existing(self, caller: Caller, mapping_id: str) -> EventSourceMapping:
        found = await self._resources.get(EventSourceMapping, caller.account_id, caller.region, mapping_id)
        if found is None:
            raise ResourceNotFoundError("The resource you requested does not exist.")
        return found

    async def _function(self, caller: Caller, reference: str) -> tuple[FunctionArn, Write, int]:
        """Return the function as the mapping names it, the condition that it stays, and its time-out in seconds."""
        function = _parsed(caller, reference)
        missing = InvalidParameterValueError("Function does not exist")
        if (function.account_id, function.region) != (caller.account_id, caller.region):
            raise missing
        resources, name = self._resources, function.name
        scope = (function.account_id, function.region)
        target: FunctionVersion | Alias | None
        target = version = await resources.get(FunctionVersion, *scope, name, function.qualifier or LATEST)
        if target is None:
            target = alias = await resources.get(Alias, *scope, name, function.qualifier or LATEST)
            if alias is not None:
                version = await resources.get(FunctionVersion, *scope, name, alias.function_version)
        if target is not None and version is not None:
            return function, resources.require(target, is_any_revision=True), version.timeout_seconds
        raise missing

    async def _commit_new(self, mapping: EventSourceMapping, tags: Mapping[str, str], target: Write) -> None:
        resources = self._resources
        writes: list[Write] = [target, resources.put_new(mapping)]
        writes += [resources.put_new(_new_claim(mapping, claim)) for claim in claims_of(mapping)]
        if tags:
            kept = ResourceTags(mapping.account_id, mapping.region, _tagged(mapping), tags, mapping.revision_id)
            writes.append(resources.put_over(kept))
        try:
            await resources.commit(*writes)
        except CommitRefusedError as error:
            await self._raise_conflict(mapping, error)
            raise

    async def _moved_claims(self, current: EventSourceMapping, changed: EventSourceMapping) -> list[Write]:
        old, new = claims_of(current), claims_of(changed)
        writes: list[Write] = [self._resources.put_new(_new_claim(changed, claim)) for claim in new if claim not in old]
        for claim in old:
            kept = await self._claim(current, claim) if claim not in new else None
            if kept is not None:
                writes.append(self._resources.delete(kept, is_any_revision=True))
        return writes

    async def _claim(self, mapping: EventSourceMapping, claim: str) -> MappingClaim | None:
        return await self._resources.get(MappingClaim, mapping.account_id, mapping.region, _digest(claim))

    async def _raise_conflict(self, mapping: EventSourceMapping, error: CommitRefusedError) -> None:
        """Say which mapping stands in the way, or that the function went; do nothing when it was another change."""
        for claim in claims_of(mapping):
            kept = await self._claim(mapping, claim)
            if kept is not None and kept.uuid != mapping.uuid:
                raise _duplicate(mapping, kept.uuid)
        if error.found is None and error.key.name != mapping.uuid:
            raise InvalidParameterValueError("Function does not exist")

    async def _sealed(self, mapping: EventSourceMapping) -> EventSourceMapping:
        return mapping if self._filter_keys is None else await self._filter_keys.sealed(mapping)

    async def _opened(
        self, mapping: EventSourceMapping, state: str | None = None
    ) -> shapes.EventSourceMappingConfiguration:
        """Return the mapping as AWS answers it alone: with its filters, or with why they cannot be read.

        Source: service description, EventSourceMappingConfiguration: a list shows encrypted filters as null.
        """
        if self._filter_keys is None or mapping.filter_criteria_cipher is None:
            return self._shown(mapping, state)
        try:
            return self._shown(await self._filter_keys.opened(mapping), state)
        except FilterKeyError as error:
            return self._shown(mapping, state, shapes.FilterCriteriaError(error_code=error.code, message=str(error)))

    def _shown(
        self,
        mapping: EventSourceMapping,
        state: str | None = None,
        filter_error: shapes.FilterCriteriaError | None = None,
    ) -> shapes.EventSourceMappingConfiguration:
        """Return the mapping as AWS answers it; `state` is what an operation has just begun."""
        rules = RULES[mapping.kind]
        progress = self._progress(mapping)
        reason = NOT_POLLED if state is None and mapping.is_enabled and progress is None else rules.reason
        last_result = rules.last_result
        if progress is not None:
            state = state or progress.state
            last_result = last_result and (progress.last_result or last_result)
            reason = progress.reason or reason
        destination = None
        if mapping.on_failure is not None or rules.shows_destination:
            destination = shapes.DestinationConfig(on_failure=shapes.OnFailure(destination=mapping.on_failure))
        return copied(
            mapping,
            shapes.EventSourceMappingConfiguration,
            event_source_mapping_arn=mapping.arn,
            last_modified=mapping.last_modified_ms / 1000,
            last_processing_result=last_result,
            state=state or "Disabled",
            state_transition_reason=reason,
            destination_config=destination,
            filter_criteria_error=filter_error,
        )

    def _new_id(self) -> str:
        return str(uuid.UUID(bytes=self._random_bytes(16), version=4))


def _after(marker: str | None) -> str:
    """Return the id after which a page begins, as a marker says it. Raises InvalidParameterValueError (400)."""
    if not marker:
        return ""
    try:
        return str(uuid.UUID(marker))
    except ValueError:
        raise InvalidParameterValueError("Invalid marker.") from None


def _overtaken(mapping_id: str) -> ResourceConflictError:
    return ResourceConflictError(f"Other changes of {mapping_id} were faster; try again.")


def _parsed(caller: Caller, reference: str) -> FunctionArn:
    return parse_function_name(reference, account_id=caller.account_id, region=caller.region)


def _changed(mapping: EventSourceMapping, request: UpdateEventSourceMappingRequest) -> EventSourceMapping:
    asked = copied(
        request,
        EventSourceMapping,
        account_id="",
        region="",
        uuid="",
        revision_id="",
        function_arn="",
        last_modified_ms=0,
    )
    members: dict[str, Any] = {name: getattr(asked, name) for name in _MEMBERS if getattr(asked, name) is not None}
    if request.enabled is not None:
        members["is_enabled"] = request.enabled
    if request.destination_config is not None:
        members["on_failure"] = _on_failure(request.destination_config)
    return with_poller_defaults(_emptied(with_group_kept(replace(mapping, **members), mapping)))


def _emptied(mapping: EventSourceMapping) -> EventSourceMapping:
    """Return the mapping without members that say nothing: an empty one takes a setting away."""
    emptied: dict[str, Any] = {}
    if mapping.filter_criteria is not None and not mapping.filter_criteria.filters:
        emptied["filter_criteria"] = None
    if mapping.scaling_config is not None and mapping.scaling_config.maximum_concurrency is None:
        emptied["scaling_config"] = None
    if mapping.kms_key_arn == "":
        emptied["kms_key_arn"] = None
    return replace(mapping, **emptied)


def _on_failure(given: shapes.DestinationConfig | None) -> str | None:
    if given is None:
        return None
    if given.on_success is not None and given.on_success.destination:
        # Source: API reference, DestinationConfig: OnSuccess is not supported in event source mappings.
        raise InvalidParameterValueError("Unsupported OnSuccess parameter for given event source mapping type.")
    return (given.on_failure.destination or None) if given.on_failure is not None else None


def _updating(current: EventSourceMapping, changed: EventSourceMapping) -> str:
    # Source: recorded (test_fifo_message_group_parallelism, test_sqs_event_source_mapping_update).
    if current.is_enabled is changed.is_enabled:
        return "Updating"
    return "Enabling" if changed.is_enabled else "Disabling"


def _is_of(mapping: EventSourceMapping, function: FunctionArn | None) -> bool:
    if function is None:
        return True
    if function.qualifier is not None:
        return mapping.function_arn == str(function)
    return mapping.function_arn == str(function) or mapping.function_arn.startswith(f"{function}:")


def _duplicate(mapping: EventSourceMapping, other: str) -> ResourceConflictError:
    # Source: recorded (test_duplicate_event_source_mappings, test_create_event_source_self_managed).
    ending = f"already exists. Please update or delete the existing mapping with UUID {other}"
    if mapping.kind in (SourceKind.SELF_MANAGED_KAFKA, SourceKind.MSK):
        source = mapping.event_source_arn
        if mapping.self_managed_event_source is not None:
            endpoints = mapping.self_managed_event_source.endpoints or {}
            source = ",".join(server for group in endpoints.values() for server in group)
        topics = ",".join(mapping.topics or ())
        return ResourceConflictError(
            f'An event source mapping with event source ("{source}"), function ("{mapping.function_arn}"), '
            f'topics ("{topics}") {ending}'
        )
    name = mapping.function_arn.split(":")[6]
    return ResourceConflictError(
        f'The event source arn (" {mapping.event_source_arn} ") and function (" {name} ") provided mapping {ending}'
    )


def _new_claim(mapping: EventSourceMapping, claim: str) -> MappingClaim:
    return MappingClaim(mapping.account_id, mapping.region, _digest(claim), mapping.revision_id, mapping.uuid)


def _digest(claim: str) -> str:
    return hashlib.sha256(claim.encode()).hexdigest()


def _tagged(mapping: EventSourceMapping) -> str:
    return f"event-source-mapping:{mapping.uuid}"
