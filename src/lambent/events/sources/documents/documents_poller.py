"""The loop over a change stream: that over streams, which leaves its connection when it ends and says what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.events.sources.documents.change_stream import ChangeStream
from lambent.events.sources.streams.stream_poller import StreamPoller

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.events.sources.pollers import Tell
    from lambent.events.sources.streams.stream_poller import StreamParts
    from lambent.model.configs.event_source import EventSourceMapping
    from lambent.wire.client import OutwardClient


class DocumentsPoller:
    """Polls one change stream for one mapping. Scope: process. After a crash: behind the last token that was kept."""

    def __init__(
        self,
        mapping: EventSourceMapping,
        client: OutwardClient,
        brokers: Mapping[str, str],
        parts: StreamParts,
        tell: Tell,
    ) -> None:
        self._tell = tell
        self._source = ChangeStream(mapping, client, brokers, lambda: tell(None))
        self._poller = StreamPoller(mapping, self._source, parts, self._told)

    @property
    def is_ready(self) -> bool:
        """Whether a cursor was opened."""
        return self._poller.is_ready

    def change(self, mapping: EventSourceMapping) -> None:
        """Go on with other members of the same mapping."""
        self._poller.change(mapping)

    def stop(self) -> None:
        """Read nothing more."""
        self._poller.stop()

    async def run(self) -> None:
        """Poll until stopped. Never raises."""
        try:
            await self._poller.run()
        finally:
            await self._source.close()

    def _told(self, text: str) -> None:
        self._tell(text, self._source.trouble)
