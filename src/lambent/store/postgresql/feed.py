"""The change feed: what was there when a reader came, then every commit of every daemon, in order, from the log.

    own commit ──────────────── offer ───┐
    LISTEN, may be lost ─────── poke ────┼──►  reader: the next sequence from what was offered, else from the log
    a second has gone by ────────────────┘

A reader that finds the sequence it needs cut from the log reads the whole content again and tells the difference.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING
from weakref import WeakSet

from lambent.store.contracts import Change, ChangeBatch
from lambent.store.postgresql import queries
from lambent.store.postgresql.connection import ANY_FAILURE
from lambent.store.postgresql.rows import key_of, record_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import asyncpg

    from lambent.store.contracts import RecordKey
    from lambent.store.postgresql.connection import Database

# A change whose notification was lost is seen after so long; also the pause before a lost database is tried again.
_POLL_SECONDS = 0.9
_LISTENING_SECONDS = 30.0
_COMMITS_AT_ONCE = 256
# Of the content: a start holds no more records at a time, however many there are.
_PIECE = 512
_EVERYTHING = 2**31 - 1
# How long a read waits for a feed that is behind what it read.
_TOLD_SECONDS = 2.0


class Feed:
    """Wakes readers and knows how far they have come. Scope: node. After a crash: begun anew."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._readers: WeakSet[ChangeReader] = WeakSet()
        self._log = logging.getLogger(__name__)

    def reader(self) -> ChangeReader:
        """Return a new reader, which begins with the whole content."""
        made = ChangeReader(self._database)
        self._readers.add(made)
        return made

    def offer(self, batches: Sequence[ChangeBatch]) -> None:
        """Hand commits of this daemon to the readers, in order."""
        for reader in list(self._readers):
            reader.offer(batches)

    async def wait_told(self, sequence: int) -> None:
        """Return when every reader was handed `sequence`, or soon when one does not read on."""
        for reader in list(self._readers):
            await reader.wait_told(sequence)

    async def listen(self) -> None:
        """Wake the readers at every notification, until cancelled; without the database, try again and again."""
        while True:
            try:
                await self._listen_once()
            except ANY_FAILURE as error:
                self._log.debug("no notifications at the moment: %s", error)
            await asyncio.sleep(_POLL_SECONDS)

    async def _listen_once(self) -> None:
        connection = await self._database.connect()
        try:
            ended = asyncio.Event()
            connection.add_termination_listener(lambda _: ended.set())
            await connection.add_listener(queries.CHANNEL, self._poke)
            self._poke()
            while not ended.is_set():
                try:
                    async with asyncio.timeout(_LISTENING_SECONDS):
                        await ended.wait()
                except TimeoutError:
                    # A connection that the network forgot says nothing by itself.
                    await connection.execute("SELECT 1")
        finally:
            connection.terminate()

    def _poke(self, *notification: object) -> None:
        for reader in list(self._readers):
            reader.poke()


class ChangeReader:
    """One reader's place in the log; an asynchronous iterator of ChangeBatch. Scope: process.

    It never ends by itself and raises nothing: while the database is away it waits. It remembers the keys that it has
    told, so that a reader who fell behind what the log keeps is told of removals too.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._woken = asyncio.Event()
        self._told = asyncio.Condition()
        self._ready: deque[ChangeBatch] = deque()
        self._offered: dict[int, ChangeBatch] = {}
        self._keys: set[RecordKey] = set()
        self._pieces: AsyncIterator[ChangeBatch] | None = None
        self._read_to: int | None = None
        self._told_to: int | None = None
        self._is_away = False
        self._is_stuck = False
        self._log = logging.getLogger(__name__)

    def __aiter__(self) -> ChangeReader:
        return self

    async def __anext__(self) -> ChangeBatch:
        """Return the next commit, or what stands for many; waits for one."""
        while not self._ready:
            await self._read_on()
        batch = self._ready.popleft()
        if batch.is_whole:
            async with self._told:
                self._told_to = batch.sequence
                self._is_stuck = False
                self._told.notify_all()
        return batch

    async def aclose(self) -> None:
        """Nobody reads on: nobody waits for this reader."""
        async with self._told:
            self._told_to = None
            self._told.notify_all()

    def offer(self, batches: Sequence[ChangeBatch]) -> None:
        """Take commits that need not be read from the log."""
        if self._read_to is not None:
            self._offered.update((batch.sequence, batch) for batch in batches)
        self.poke()

    def poke(self) -> None:
        """Look at the log now."""
        self._woken.set()

    async def wait_told(self, sequence: int) -> None:
        """Return when `sequence` was handed out, when nobody reads, or after a bounded time."""
        if self._told_to is None or self._told_to >= sequence or self._is_stuck:
            return
        self.poke()
        try:
            async with asyncio.timeout(_TOLD_SECONDS), self._told:
                await self._told.wait_for(lambda: self._told_to is None or self._told_to >= sequence)
        except TimeoutError:
            self._is_stuck = True
            self._log.warning(
                "the change feed is more than %s s behind; nobody waits for it until it goes on", _TOLD_SECONDS
            )

    async def _read_on(self) -> None:
        if self._take_offered():
            return
        try:
            is_more = await self._read_some()
        except ANY_FAILURE as error:
            self._pieces = None
            self._say_away(error)
            await asyncio.sleep(_POLL_SECONDS)
            return
        if self._is_away:
            self._is_away = False
            self._log.warning("the database is back")
        if not is_more:
            await self._wait_woken()

    async def _wait_woken(self) -> None:
        if not self._offered:
            try:
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._woken.wait()
            except TimeoutError:
                pass
        self._woken.clear()

    def _say_away(self, error: BaseException) -> None:
        if not self._is_away:
            self._is_away = True
            self._log.error("the database is away, changes are not seen until it is back: %s", error)

    def _take_offered(self) -> bool:
        if self._read_to is None or self._pieces is not None:
            return False
        while (batch := self._offered.pop(self._read_to + 1, None)) is not None:
            self._hand_out(batch)
        for sequence in [sequence for sequence in self._offered if sequence <= self._read_to]:
            del self._offered[sequence]
        return bool(self._ready)

    async def _read_some(self) -> bool:
        """Read on in the content or the log; return whether there may be more."""
        if self._pieces is None and self._read_to is None:
            self._pieces = self._content()
        if self._pieces is None:
            assert self._read_to is not None
            return await self._read_log(self._read_to)
        piece = await anext(self._pieces, None)
        if piece is None:
            self._pieces = None
        else:
            self._hand_out(piece)
        return True

    async def _read_log(self, after: int) -> bool:
        async with self._database.connection() as connection:
            rows = await connection.fetch(queries.LOG_AFTER, after, _COMMITS_AT_ONCE)
        last = rows[0]["last_sequence"]
        if last == after:
            return False
        if last < after or rows[0]["sequence"] != after + 1:
            # The log was cut, or an older copy of the database was brought back.
            self._offered.clear()
            self._pieces = self._content()
            return True
        for batch in _batches(rows):
            self._hand_out(batch)
        return True

    async def _content(self) -> AsyncIterator[ChangeBatch]:
        """Yield the whole content as one moment has it, in pieces; the last tells what is there no more."""
        seen: set[RecordKey] = set()
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            last: int = await connection.fetchval(queries.LAST_SEQUENCE)
            cursor = await connection.cursor(queries.ALL)
            # Who works with an older content meanwhile gets the new one as a whole: no alias comes before its version.
            size = _EVERYTHING if self._keys else _PIECE
            following = await cursor.fetch(size)
            is_whole = False
            while not is_whole:
                changes = [Change(record.key, record) for record in map(record_of, following)]
                following = await cursor.fetch(size)
                is_whole = not following
                seen.update(change.key for change in changes)
                if is_whole:
                    changes += [Change(key, None) for key in sorted(self._keys - seen)]
                yield ChangeBatch(last, changes, is_whole)

    def _hand_out(self, batch: ChangeBatch) -> None:
        for change in batch.changes:
            if change.record is None:
                self._keys.discard(change.key)
            else:
                self._keys.add(change.key)
        if batch.is_whole:
            self._read_to = batch.sequence
        self._ready.append(batch)


def _batches(rows: Sequence[asyncpg.Record]) -> list[ChangeBatch]:
    found: dict[int, list[Change]] = {}
    for row in rows:
        record = None if row["revision_id"] is None else record_of(row)
        found.setdefault(row["sequence"], []).append(Change(key_of(row), record))
    return [ChangeBatch(sequence, changes) for sequence, changes in found.items()]
