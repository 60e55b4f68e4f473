"""How many members a group has: never outside the bounds, more while behind, fewer when idle."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from lambent.events.sources.kafka.scaling import Scaling
from lambent.model.configs.event_source import EventSourceMapping, ProvisionedPollers

MAPPING = EventSourceMapping("1", "r", "u", "v", "f", 0, batch_size=10)


def provisioned(least: int, most: int) -> EventSourceMapping:
    """Return a mapping with these bounds."""
    return replace(MAPPING, provisioned_poller_config=ProvisionedPollers(least, most))


def test_without_provisioned_mode_there_is_one() -> None:
    assert Scaling().wanted(MAPPING, 1, 1_000_000, 100) == 1


def test_more_while_records_wait_and_fewer_when_none_do() -> None:
    scaling, mapping, running = Scaling(), provisioned(1, 6), 1
    steps = []
    for lag in [1_000] * 8 + [0] * 60:
        running = scaling.wanted(mapping, running, lag, 100)
        steps.append(running)
    assert steps[:8] == [1, 2, 2, 4, 4, 6, 6, 6]
    assert steps[-1] == 1


def test_no_more_than_there_are_partitions_unless_asked_for() -> None:
    scaling = Scaling()
    assert [scaling.wanted(provisioned(1, 200), 2, 10_000, 3) for _ in range(2)] == [2, 3]
    assert Scaling().wanted(provisioned(5, 9), 1, 0, 2) == 5


@given(st.integers(1, 50), st.integers(0, 50), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 100))))
def test_the_bounds_hold(least: int, more: int, looks: list[tuple[int, int]]) -> None:
    scaling, running = Scaling(), 1
    for lag, partitions in looks:
        running = scaling.wanted(provisioned(least, least + more), running, lag, partitions)
        assert least <= running <= least + more
