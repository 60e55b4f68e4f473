"""What a kind of source gives to the loops that poll it, and what they hand on to a function."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class SourceRecord(Struct, frozen=True):
    """One record. `document` is it as the function's event shows it, `view` as filters see it.

    `item_id` is what a partial answer of the function names it by, `size_bytes` what it adds to the event.
    `receipt` is the source's own: what it needs to settle the record. `trace_header` is what its sender passed on.
    Of a stream, records of one `group` (partition key) stay in order, and `arrived_ms` (Unix epoch) tells their age.
    """

    document: Mapping[str, Any]
    view: Mapping[str, Any]
    item_id: str
    size_bytes: int
    receipt: str = ""
    trace_header: str | None = None
    group: str = ""
    arrived_ms: int = 0


class Trouble(StrEnum):
    """Why a source cannot be read until somebody changes something: the mapping's StateTransitionReason.

    Source: developer guide, "Troubleshoot Amazon MQ event source mapping errors".
    """

    CONFIG = "ESM_CONFIG_NOT_VALID"
    AUTHENTICATION = "EVENT_SOURCE_AUTHN_ERROR"
    AUTHORIZATION = "EVENT_SOURCE_AUTHZ_ERROR"


class SourceError(Exception):
    """A source refused, is not there, or does not answer. `is_lasting`: trying again soon will not help.

    With a `trouble` its mapping is shown as Disabled for that reason, until the source can be read.
    """

    def __init__(self, text: str, *, is_lasting: bool = False, trouble: Trouble | None = None) -> None:
        super().__init__(text)
        self.is_lasting = is_lasting
        self.trouble = trouble


class QueueSource(Protocol):
    """Where each record is taken, and then removed or left to come again. One for a mapping.

    `is_ordered`: records of one `group` come one after the other; while one of them is taken the next ones are hidden.
    """

    @property
    def is_ordered(self) -> bool:
        """See above."""

    async def receive(self, count_max: int, wait_seconds: int) -> Sequence[SourceRecord]:
        """Return up to `count_max` records once there is one, or none after `wait_seconds`. Raises SourceError."""

    async def remove(self, records: Sequence[SourceRecord]) -> None:
        """These have been dealt with. Raises SourceError."""

    async def keep(self, records: Sequence[SourceRecord]) -> None:
        """These are still waiting to be dealt with: nobody else shall get them meanwhile. Raises SourceError."""

    async def give_back(self, records: Sequence[SourceRecord]) -> None:
        """Nobody has dealt with these: the next who asks may have them at once. Raises SourceError."""

    def event(self, records: Sequence[SourceRecord]) -> dict[str, Any]:
        """Return the function's event."""

    @property
    def keep_seconds(self) -> float:
        """How often `keep` must be said."""
