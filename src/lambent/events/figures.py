"""The documented operations below /_lambent/v1/events: what became of all events, and what to do with the others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from lambent.model.errors import InvalidParameterValueError, InvalidRequestContentError
from lambent.store.queues.contracts import QueueKey

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from lambent.clock import Clock
    from lambent.events.redrive import Redrive
    from lambent.model.caller import Caller
    from lambent.model.event import AsyncEvent
    from lambent.store.events import EventStore
    from lambent.store.queues.contracts import QueueTotals

_TERMS = ("received", "queued", "in_flight", "succeeded", "dropped", "dead_lettered", "drift")
_PATH = "/_lambent/v1/events"
_PEEKED_MAX = 100
_REDRIVEN_MAX = 100_000


class EventCall(NamedTuple):
    """A request to one of these operations: who, `{name}`s of the path, the query, a JSON body or nothing."""

    caller: Caller
    parameters: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes = b""


Operation = tuple[str, str, "Callable[[EventCall], Awaitable[object]]"]


class EventFigures:
    """Answers about one caller's own account and region. Scope: cluster. Keeps no state: the store does."""

    def __init__(self, store: EventStore, redrive: Redrive, clock: Clock) -> None:
        self._store = store
        self._redrive = redrive
        self._clock = clock

    def operations(self) -> list[Operation]:
        """Return method, path and what answers, in JSON."""
        return [
            ("GET", f"{_PATH}/conservation", self.conservation),
            ("GET", f"{_PATH}/queues", self.queues),
            ("GET", f"{_PATH}/queues/{{function}}", self.peek),
            ("DELETE", f"{_PATH}/queues/{{function}}", self.drop),
            ("POST", f"{_PATH}/redrive", self.redrive),
        ]

    async def conservation(self, call: EventCall) -> dict[str, int]:
        """Return the terms of received = queued + in flight + succeeded + dropped + dead-lettered, and their drift.

        `queued` and `in_flight` are counted in the store at this moment, the others were summed up in the commits in
        which they happened; `drift` is what is missing in the equation, and 0. Parameter: `function`.

        Raises:
            InvalidParameterValueError: another parameter was given.
            ServiceError: the store cannot be read.
        """
        _check(call, {"function"})
        mine = await self._mine(call.caller, call.query.get("function"))
        return {term: sum(getattr(totals, term) for totals in mine) for term in _TERMS}

    async def queues(self, call: EventCall) -> dict[str, object]:
        """Return every function's counts, and the age in seconds of the first event of those that have any.

        Raises as `conservation`.
        """
        _check(call, set())
        queues = []
        for totals in await self._mine(call.caller, None):
            entry: dict[str, object] = {"function": totals.queue.name}
            entry |= {term: getattr(totals, term) for term in _TERMS}
            first = await self._store.peek(totals.queue, 1) if totals.queued + totals.in_flight else []
            entry["oldest_age_seconds"] = self._age_seconds(first[0]) if first else None
            queues.append(entry)
        return {"queues": queues}

    async def peek(self, call: EventCall) -> dict[str, object]:
        """Return up to `limit` (10) events of a function, those due first first; nothing changes.

        Raises:
            InvalidParameterValueError: `limit` is not a number from 1 to 100, or another parameter was given.
            ServiceError: the store cannot be read.
        """
        _check(call, {"limit"})
        text = call.query.get("limit", "10")
        if not text.isdecimal() or not 1 <= int(text) <= _PEEKED_MAX:
            raise InvalidParameterValueError(f"limit is a number from 1 to {_PEEKED_MAX}.")
        found = await self._store.peek(_key(call), int(text))
        return {"events": [self._shown(event) for event in found]}

    async def drop(self, call: EventCall) -> dict[str, int]:
        """Drop every event of a function that is not in flight; return how many. Raises as `conservation`."""
        _check(call, set())
        return {"dropped": await self._store.discard(_key(call))}

    async def redrive(self, call: EventCall) -> dict[str, int]:
        """Bring messages of a queue back: `{"queue": ARN, "function": NAME, "limit": 1000}`; return how many.

        Raises: see Redrive.redrive; InvalidRequestContentError: the body is no such object (400).
        """
        _check(call, set())
        try:
            members = json.loads(call.body)
            queue, function, limit = members["queue"], members.get("function"), members.get("limit", 1_000)
            is_right = isinstance(queue, str) and isinstance(function, str | None) and type(limit) is int
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            is_right = False
        if not is_right or not 1 <= limit <= _REDRIVEN_MAX:
            raise InvalidRequestContentError(
                'The body must be {"queue": ARN, "function": NAME or null, "limit": NUMBER}.'
            )
        return {"redriven": await self._redrive.redrive(call.caller, queue, function, limit)}

    async def _mine(self, caller: Caller, function: str | None) -> list[QueueTotals]:
        return [
            totals
            for totals in await self._store.totals()
            if (totals.queue.account_id, totals.queue.region) == (caller.account_id, caller.region)
            and function in (None, totals.queue.name)
        ]

    def _age_seconds(self, event: AsyncEvent) -> float:
        return max(0, self._clock.time_ms() - event.accepted_ms) / 1_000

    def _shown(self, event: AsyncEvent) -> dict[str, object]:
        return {
            "request_id": event.request_id,
            "function": str(event.function),
            "age_seconds": self._age_seconds(event),
            "attempts": event.attempts,
            "setbacks": event.setbacks,
            "last_status": None if event.response is None else event.response.status_code,
            "waits_for": [] if event.outcome is None else [target.arn for target in event.outcome.targets],
            "payload": event.payload.decode("utf-8", "replace"),
        }


def _key(call: EventCall) -> QueueKey:
    return QueueKey(call.caller.account_id, call.caller.region, call.parameters["function"])


def _check(call: EventCall, known: set[str]) -> None:
    unknown = sorted(set(call.query) - known)
    if unknown:
        raise InvalidParameterValueError(f"Unknown parameter: {unknown[0]}")
