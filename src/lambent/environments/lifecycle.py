"""The life of an execution environment as a pure table.

Theory. AWS names three phases: Init, Invoke and Shutdown. Our states cut them where something must be awaited:

    COLD       the sandbox is specialised, the runtime process was started, it has not asked for work yet (Init)
    IDLE       the runtime waits in GET next; its processes may be frozen
    INVOKE     an invocation was delivered and has no answer yet
    SETTLING   the answer was taken; the runtime has not come back for the next one
    BROKEN     the runtime failed, exited or ran out of time; nothing runs inside, /tmp and code are still there
    RESTARTING the runtime process was started again; its Init is part of the next invocation ("suppressed" Init)
    SHUTDOWN   SIGTERM was sent, the grace runs
    ENDED      the sandbox is gone

A runtime that fails its first Init goes to BROKEN, and Init is repeated inside the first invocation under the
function's own time-out, as on AWS. A missing entry IS an illegal transition: from inside it is answered with
InvalidStateTransition, from our own code it is a bug.
"""

from __future__ import annotations

from enum import StrEnum


class EnvironmentState(StrEnum):
    """Where in its life an environment is."""

    COLD = "Cold"
    IDLE = "Idle"
    INVOKE = "Invoke"
    SETTLING = "Settling"
    BROKEN = "Broken"
    RESTARTING = "Restarting"
    SHUTDOWN = "Shutdown"
    ENDED = "Ended"


class EnvironmentEvent(StrEnum):
    """What can happen to it."""

    RUNTIME_NEXT = "runtime asks for the next invocation"
    INVOKED = "invocation delivered"
    ANSWERED = "response or error received"
    RUNTIME_FAILED = "init error, exit, or time-out"
    RESTARTED = "runtime started again"
    SHUTDOWN_BEGUN = "shutdown begun"
    SANDBOX_GONE = "sandbox gone"


class IllegalTransitionError(Exception):
    """The event is not allowed in this state."""

    def __init__(self, state: EnvironmentState, event: EnvironmentEvent) -> None:
        super().__init__(f"{event.value} is not allowed in state {state.value}")
        self.state = state
        self.event = event


_S = EnvironmentState
_E = EnvironmentEvent

TRANSITIONS: dict[EnvironmentState, dict[EnvironmentEvent, EnvironmentState]] = {
    _S.COLD: {
        _E.RUNTIME_NEXT: _S.IDLE,
        _E.RUNTIME_FAILED: _S.BROKEN,
        _E.SHUTDOWN_BEGUN: _S.SHUTDOWN,
        _E.SANDBOX_GONE: _S.ENDED,
    },
    _S.IDLE: {
        _E.INVOKED: _S.INVOKE,
        _E.RUNTIME_FAILED: _S.BROKEN,
        _E.SHUTDOWN_BEGUN: _S.SHUTDOWN,
        _E.SANDBOX_GONE: _S.ENDED,
    },
    _S.INVOKE: {
        _E.ANSWERED: _S.SETTLING,
        _E.RUNTIME_FAILED: _S.BROKEN,
        _E.SHUTDOWN_BEGUN: _S.SHUTDOWN,
        _E.SANDBOX_GONE: _S.ENDED,
    },
    _S.SETTLING: {
        _E.RUNTIME_NEXT: _S.IDLE,
        _E.RUNTIME_FAILED: _S.BROKEN,
        _E.SHUTDOWN_BEGUN: _S.SHUTDOWN,
        _E.SANDBOX_GONE: _S.ENDED,
    },
    _S.BROKEN: {
        _E.RESTARTED: _S.RESTARTING,
        _E.SHUTDOWN_BEGUN: _S.SHUTDOWN,
        _E.SANDBOX_GONE: _S.ENDED,
    },
    _S.RESTARTING: {
        _E.RUNTIME_NEXT: _S.IDLE,
        _E.RUNTIME_FAILED: _S.BROKEN,
        _E.SHUTDOWN_BEGUN: _S.SHUTDOWN,
        _E.SANDBOX_GONE: _S.ENDED,
    },
    _S.SHUTDOWN: {
        _E.SANDBOX_GONE: _S.ENDED,
    },
    _S.ENDED: {},
}


def next_state(state: EnvironmentState, event: EnvironmentEvent) -> EnvironmentState:
    """Return the state after `event`.

    Raises:
        IllegalTransitionError: the table has no such entry.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalTransitionError(state, event) from None
