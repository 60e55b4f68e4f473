"""Long work that somebody watches: it goes on when the watcher leaves."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING

from lambent.model.errors import LambdaError, TooManyRequestsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lambent.images.images import Progress

_log = logging.getLogger(__name__)

_WAITING_MAX = 100
_LINES_MAX = 1_000
# Told at most so often: a line for each megabyte of ten gigabytes would be many.
_BYTES_STEP = 4 << 20


class JobLines:
    """One job's lines of JSON, as they come; the last one has `Result` or `Error`."""

    def __init__(self) -> None:
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._told: dict[tuple[str, str], int] = {}

    def __aiter__(self) -> JobLines:
        return self

    async def __anext__(self) -> bytes:
        """Return the next line."""
        line = await self._lines.get()
        if line is None:
            raise StopAsyncIteration
        return line

    def tell(self, progress: Progress) -> None:
        """Add a line about how far it has come, unless the last one is not far behind or nobody reads."""
        key = (progress.phase, progress.digest)
        before = self._told.get(key)
        is_step = before is None or progress.bytes - before >= _BYTES_STEP or progress.bytes == progress.bytes_total
        if is_step and self._lines.qsize() < _LINES_MAX:
            self._told[key] = progress.bytes
            line = {
                "Phase": progress.phase,
                "Digest": f"sha256:{progress.digest}" if progress.digest else None,
                "Bytes": progress.bytes,
                "BytesTotal": progress.bytes_total,
            }
            self._lines.put_nowait(json.dumps(line).encode() + b"\n")

    def end(self, last: object) -> None:
        """Add the last line."""
        self._lines.put_nowait(json.dumps(last).encode() + b"\n")
        self._lines.put_nowait(None)


class Jobs:
    """Runs jobs side by side. Scope: node. After a crash: none; what they had brought is there."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[tuple[JobLines, Callable[[], Awaitable[object]]]] = asyncio.Queue(_WAITING_MAX)

    def begin(self, work: Callable[[Callable[[Progress], None]], Awaitable[object]]) -> JobLines:
        """Begin work soon; it is given what it tells its progress to. Raises TooManyRequestsError."""
        lines = JobLines()
        if self._waiting.full():
            raise TooManyRequestsError("Too many images are on their way.")
        self._waiting.put_nowait((lines, lambda: work(lines.tell)))
        return lines

    async def run(self) -> None:
        """Run jobs until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                lines, work = await self._waiting.get()
                tasks.create_task(self._run_one(lines, work))

    async def _run_one(self, lines: JobLines, work: Callable[[], Awaitable[object]]) -> None:
        try:
            lines.end({"Result": await work()})
        except LambdaError as error:
            lines.end({"Error": {"Type": error.code, "Message": error.message}})
        except Exception:
            # The outermost frame of a task: one job's trouble must not end the others.
            _log.exception("a job about images failed")
            lines.end({"Error": {"Type": "ServiceException", "Message": "It failed; the server's log says why."}})
