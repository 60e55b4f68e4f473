"""Shapes to kept types and back."""

from __future__ import annotations

from lambent.model.configs.event_source import EventSourceMapping, Filter, FilterCriteria, SelfManagedEventSource
from lambent.wire.conversion import copied, given_members
from lambent.wire.generated import shared as shapes
from lambent.wire.generated.get_event_source_mapping import GetEventSourceMappingRequest


def test_nested_members_go_there_and_back() -> None:
    shape = shapes.EventSourceMappingConfiguration(
        uuid="u",
        batch_size=3,
        topics=["t"],
        filter_criteria=shapes.FilterCriteria(filters=[shapes.Filter(pattern="{}")]),
        self_managed_event_source=shapes.SelfManagedEventSource(endpoints={"K": ["a:1", "b:2"]}),
    )
    others = {"account_id": "", "region": "", "revision_id": "", "function_arn": "a", "last_modified_ms": 0}
    kept = copied(shape, EventSourceMapping, **others)
    assert (kept.uuid, kept.batch_size, kept.topics) == ("u", 3, ("t",))
    assert kept.filter_criteria == FilterCriteria((Filter("{}"),))
    assert kept.self_managed_event_source == SelfManagedEventSource({"K": ("a:1", "b:2")})
    back = copied(kept, shapes.EventSourceMappingConfiguration)
    assert back == copied(shape, shapes.EventSourceMappingConfiguration, function_arn="a")


def test_what_was_given() -> None:
    assert given_members(GetEventSourceMappingRequest(uuid="u")) == {"UUID": "u"}
