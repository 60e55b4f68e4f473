"""Events as `model` knows them over an EventQueue: how they lie in the store, and what of them is sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from lambent.model.arn import FunctionArn
from lambent.model.event import AsyncEvent, Condition, Destination, EventOutcome, Response, TargetKind
from lambent.store.queues.contracts import NewEvent, QueueKey, Settlement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lambent.model.event import EventFate
    from lambent.store.keys import InstallationKey
    from lambent.store.queues.contracts import ClaimedEvent, EventLease, EventQueue, QueueTotals


class _Head(msgspec.Struct, array_like=True):
    """What is kept beside the payload. New members come last and have a default: older events stay readable."""

    request_id: str
    qualifier: str | None
    partition: str
    accepted_ms: int
    trace_header: str | None
    attempts: int = 0
    setbacks: int = 0
    skipped_ms: int = 0
    response: tuple[int, bool, str | None, str | None, str] | None = None
    outcome: tuple[str, int, list[tuple[str, str]], bool, int] | None = None


class EventStore:
    """Typed events. Scope: cluster. Only writer: the room `events`. After a crash: see EventQueue.

    With `is_sealing` payloads, and answers that are kept with them, lie encrypted under the installation's key. Each
    event says whether it is, so the setting may change at any time.
    """

    def __init__(self, queue: EventQueue, key: InstallationKey, *, is_sealing: bool = False) -> None:
        self._queue = queue
        self._key = key
        self._is_sealing = is_sealing
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(_Head).decode

    @property
    def is_shared(self) -> bool:
        """See EventQueue.is_shared."""
        return self._queue.is_shared

    async def put(self, event: AsyncEvent, lease_ms: int = 0, once: str = "") -> EventLease | None:
        """Keep a new event durably; `once` as in NewEvent. Returns and raises as EventQueue.put."""
        payload = event.payload
        if self._is_sealing:
            payload = self._sealed(payload, event.request_id, "payload")
        return await self._queue.put(NewEvent(queue_of(event.function), self._head(event), payload, lease_ms, once))

    async def claim(
        self, key: QueueKey, limit: int, lease_ms: int
    ) -> tuple[list[tuple[EventLease, AsyncEvent]], int | None]:
        """Return the events claimed, and in how many ms the next is due. Raises as EventQueue.claim."""
        claim = await self._queue.claim(key, limit, lease_ms)
        return [(claimed.lease, self._event(claimed)) for claimed in claim.events], claim.next_ms

    async def extend(self, leases: Sequence[EventLease], lease_ms: int) -> Sequence[bool]:
        """See EventQueue.extend."""
        return await self._queue.extend(leases, lease_ms)

    async def remove(self, lease: EventLease, fate: EventFate) -> bool:
        """Let an event leave the queue; False when the lease was not current. Raises as EventQueue.settle."""
        return await self._queue.settle(Settlement(lease, fate))

    async def put_back(self, lease: EventLease, event: AsyncEvent, delay_ms: int) -> bool:
        """Let an event come back, as it is now; False when the lease was not current. Raises as EventQueue.settle."""
        record = None if event.response is None else event.response.payload
        if record is not None:
            # Whatever a function answered, the first byte tells plain from sealed.
            record = self._sealed(record, event.request_id, "record") if self._is_sealing else b"\x01" + record
        head = self._head(event)
        return await self._queue.settle(Settlement(lease, None, delay_ms, head, record))

    async def backlog(self) -> Sequence[tuple[QueueKey, int]]:
        """See EventQueue.backlog."""
        return await self._queue.backlog()

    async def totals(self) -> Sequence[QueueTotals]:
        """See EventQueue.totals."""
        return await self._queue.totals()

    async def peek(self, key: QueueKey, limit: int) -> list[AsyncEvent]:
        """See EventQueue.peek."""
        return [self._event(one) for one in await self._queue.peek(key, limit)]

    async def discard(self, key: QueueKey) -> int:
        """See EventQueue.discard."""
        return await self._queue.discard(key)

    def _head(self, event: AsyncEvent) -> bytes:
        response, outcome = event.response, event.outcome
        return self._encode(
            _Head(
                event.request_id,
                event.function.qualifier,
                event.function.partition,
                event.accepted_ms,
                event.trace_header,
                event.attempts,
                event.setbacks,
                event.skipped_ms,
                None if response is None else _response_row(response),
                None if outcome is None else _outcome_row(outcome),
            )
        )

    def _event(self, claimed: ClaimedEvent) -> AsyncEvent:
        head = self._decode(claimed.head)
        queue = claimed.lease.queue
        return AsyncEvent(
            FunctionArn(queue.account_id, queue.region, queue.name, head.qualifier, head.partition),
            head.request_id,
            self._opened(claimed.payload, head.request_id, "payload"),
            head.accepted_ms,
            head.trace_header,
            head.attempts,
            head.setbacks,
            head.skipped_ms,
            None if head.response is None else self._response(head, claimed.record),
            None if head.outcome is None else _outcome(head.outcome),
        )

    def _response(self, head: _Head, record: bytes | None) -> Response:
        assert head.response is not None
        status_code, has_payload, version, error, message = head.response
        payload = None
        if has_payload:
            payload = self._opened(record or b"", head.request_id, "record").removeprefix(b"\x01")
        return Response(status_code, payload, version, error, message)

    def _sealed(self, content: bytes, request_id: str, what: str) -> bytes:
        return b"\x00" + self._key.seal(content, _context(request_id, what))

    def _opened(self, content: bytes, request_id: str, what: str) -> bytes:
        # JSON text cannot begin as what was sealed does, so each part says itself whether it is: the setting may
        # have changed between the two.
        return self._key.unseal(content[1:], _context(request_id, what)) if content[:1] == b"\x00" else content


def queue_of(function: FunctionArn) -> QueueKey:
    """Return the queue of a function's events."""
    return QueueKey(function.account_id, function.region, function.name)


def _context(request_id: str, what: str) -> str:
    return f"event/{request_id}/{what}"


def _response_row(response: Response) -> tuple[int, bool, str | None, str | None, str]:
    has_payload = response.payload is not None
    return response.status_code, has_payload, response.executed_version, response.function_error, response.message


def _outcome_row(outcome: EventOutcome) -> tuple[str, int, list[tuple[str, str]], bool, int]:
    targets = [(target.kind.value, target.arn) for target in outcome.targets]
    return outcome.condition.value, outcome.at_ms, targets, outcome.is_delivered, outcome.tries


def _outcome(row: tuple[str, int, list[tuple[str, str]], bool, int]) -> EventOutcome:
    condition, at_ms, targets, is_delivered, tries = row
    kept = tuple(Destination(TargetKind(kind), arn) for kind, arn in targets)
    return EventOutcome(Condition(condition), at_ms, kept, is_delivered, tries)
