"""What became of all events: the conservation equation, and queues by function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.model.errors import InvalidParameterValueError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.events.delivery import Delivery
    from lambent.model.caller import Caller
    from lambent.store.events import EventStore
    from lambent.store.queues.contracts import QueueTotals

_TERMS = ("received", "queued", "in_flight", "succeeded", "dropped", "dead_lettered", "drift")


class EventFigures:
    """Answers about one caller's own account and region. Scope: cluster, what is `running` node."""

    def __init__(self, store: EventStore, delivery: Delivery) -> None:
        self._store = store
        self._delivery = delivery

    async def conservation(self, caller: Caller, query: Mapping[str, str]) -> dict[str, object]:
        """Return the terms of received = queued + in flight + succeeded + dropped + dead-lettered, and their drift.

        `queued` and `in_flight` are counted in the store at this moment, the others were summed up in the commits in
        which they happened; `drift` is what is missing in the equation, and 0. Parameter: `function`.

        Raises:
            InvalidParameterValueError: another parameter was given.
            ServiceError: the store cannot be read.
        """
        unknown = sorted(set(query) - {"function"})
        if unknown:
            raise InvalidParameterValueError(f"Unknown parameter: {unknown[0]}")
        mine = await self._mine(caller, query.get("function"))
        return {term: sum(getattr(totals, term) for totals in mine) for term in _TERMS}

    async def _mine(self, caller: Caller, function: str | None) -> list[QueueTotals]:
        return [
            totals
            for totals in await self._store.totals()
            if (totals.queue.account_id, totals.queue.region) == (caller.account_id, caller.region)
            and function in (None, totals.queue.name)
        ]
