"""The state table: what is legal, what never is, and that every life ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.environments.lifecycle import (
    TRANSITIONS,
    EnvironmentEvent,
    EnvironmentState,
    IllegalTransitionError,
    next_state,
)


def test_every_state_has_a_row() -> None:
    assert set(TRANSITIONS) == set(EnvironmentState)


def test_an_ordinary_life() -> None:
    state = EnvironmentState.COLD
    for event in (
        EnvironmentEvent.RUNTIME_NEXT,
        EnvironmentEvent.INVOKED,
        EnvironmentEvent.ANSWERED,
        EnvironmentEvent.RUNTIME_NEXT,
        EnvironmentEvent.SHUTDOWN_BEGUN,
        EnvironmentEvent.SANDBOX_GONE,
    ):
        state = next_state(state, event)
    assert state is EnvironmentState.ENDED


@given(st.lists(st.sampled_from(EnvironmentEvent)))
def test_random_events_either_move_along_the_table_or_are_refused(events: list[EnvironmentEvent]) -> None:
    state = EnvironmentState.COLD
    for event in events:
        allowed = TRANSITIONS[state]
        if event in allowed:
            state = next_state(state, event)
        else:
            with pytest.raises(IllegalTransitionError) as refused:
                next_state(state, event)
            assert (refused.value.state, refused.value.event) == (state, event)


@pytest.mark.parametrize("state", [state for state in EnvironmentState if state is not EnvironmentState.ENDED])
def test_every_living_state_can_lose_its_sandbox(state: EnvironmentState) -> None:
    assert next_state(state, EnvironmentEvent.SANDBOX_GONE) is EnvironmentState.ENDED


def test_no_invocation_reaches_a_runtime_that_is_not_idle() -> None:
    takers = [state for state, row in TRANSITIONS.items() if EnvironmentEvent.INVOKED in row]
    assert takers == [EnvironmentState.IDLE]
