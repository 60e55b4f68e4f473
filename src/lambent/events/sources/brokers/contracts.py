"""What the loop over brokers needs of a broker: a connection that is read, and ways to settle what came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lambent.events.sources.brokers.inbox import Inbox
    from lambent.events.sources.source import SourceRecord


class Broker(Protocol):
    """One connection to a queue, opened once. What is not settled when it closes goes back to the broker.

    `concurrency_max` is how many batches may be with the function at one time, `failed_seconds` how long one waits
    after the first, second … failure of the function in a row.
    """

    inbox: Inbox
    concurrency_max: int
    failed_seconds: Sequence[float]

    async def open(self) -> None:
        """Connect and subscribe. Raises SourceError."""

    async def watch(self) -> None:
        """Let the inbox have what comes, and know when the connection is lost; return then, or when closed."""

    async def remove(self, records: Sequence[SourceRecord]) -> None:
        """These have been dealt with. Raises SourceError."""

    async def refuse(self, records: Sequence[SourceRecord]) -> None:
        """These can never be dealt with: the broker's dead-letter queue may have them. Raises SourceError."""

    async def failed(self, records: Sequence[SourceRecord], tries: int) -> Sequence[SourceRecord] | None:
        """The function has failed with these, `tries` times in a row while they were here.

        Return them as they shall be tried again; None: they went back to the broker. Raises SourceError.
        """

    async def close(self) -> None:
        """Disconnect. Never raises; bounded in time."""

    def event(self, records: Sequence[SourceRecord]) -> dict[str, Any]:
        """Return the function's event."""
