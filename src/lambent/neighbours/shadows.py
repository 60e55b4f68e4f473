"""Shadows: what the embedded services know of our functions, so that they can be told to call them."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Protocol

from lambent.wire.client import PROOF_HEADER
from lambent.wire.http_client import ConnectionFailedError, OutwardRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lambent.model.arn import FunctionArn
    from lambent.model.function import FunctionVersion
    from lambent.wire.http_client import HttpClient, Origin

_log = logging.getLogger(__name__)

_PATH = "/_lambent/functions"
_ANSWER_BYTES_MAX = 65_536
# In one request: some hundred KiB, which the child reads in a few milliseconds.
_BATCH = 500
# What is for the child waits so long for the shadows of what was created just before.
_WAIT_SECONDS = 2.0
_PAUSE_SECONDS = 0.2


class KnowsFunctions(Protocol):
    """What the data plane knows of functions; see Catalog."""

    def functions(self) -> Iterable[FunctionArn]:
        """Return every function, without qualifiers."""

    def qualifiers(self, function: FunctionArn) -> tuple[Mapping[str, FunctionVersion], Iterable[str]]:
        """Return the versions by their numbers, and the names of the aliases; nothing of a function that is gone."""


class ShadowFunctions:
    """Keeps the child's shadows as our functions are. Scope: process; keeps only the names of what has changed.

    While no child runs nothing is kept or sent: a child that starts is told everything before it is used. Nobody who
    changes a function waits for this; whoever asks the child for something waits until it knows of the changes before.
    """

    def __init__(self, known: KnowsFunctions, http: HttpClient, password: str) -> None:
        self._known = known
        self._http = http
        self._proof = (PROOF_HEADER, password)
        self._origin: Origin | None = None
        self._changed: dict[FunctionArn, None] = {}
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._turn = asyncio.Lock()

    def changed(self, function: FunctionArn) -> None:
        """Note that a function, a version or an alias of it has come, changed or gone."""
        if self._origin is not None:
            self._changed[function.unqualified] = None
            self._settled.clear()
            self._wake.set()

    async def greet(self, origin: Origin) -> None:
        """Tell a child that has just started of every function. Raises ConnectionFailedError."""
        async with self._turn:
            # From now on changes are noted; those before are in what follows.
            self._origin = origin
            self._changed.clear()
            try:
                await self._send(origin, list(self._known.functions()), is_whole=True)
            except ConnectionFailedError:
                self._origin = None
                raise
            finally:
                self._settle()

    async def wait_settled(self) -> None:
        """Return when the child knows of every change so far, or after two seconds."""
        if self._settled.is_set():
            return
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await self._settled.wait()
        except TimeoutError:
            _log.warning("the embedded services have not yet been told of the newest changes of functions")

    async def tell(self, path: str, body: bytes) -> int:
        """Hand a body to a running child (PUT); return the answer's status, 503 when none runs."""
        if self._origin is None:
            return 503
        try:
            headers = (("host", "localhost"), self._proof)
            response = await self._http.send(self._origin, OutwardRequest("PUT", path, headers, body))
            await response.read(_ANSWER_BYTES_MAX)
        except ConnectionFailedError:
            return 503
        return response.status

    async def run(self) -> None:
        """Send changes until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not await self._send_changes():
                await asyncio.sleep(_PAUSE_SECONDS)
                self._wake.set()

    async def _send_changes(self) -> bool:
        """Send what has changed; return whether the child has taken it."""
        async with self._turn:
            functions = list(self._changed)
            self._changed.clear()
            try:
                if functions and self._origin is not None:
                    await self._send(self._origin, functions, is_whole=False)
            except ConnectionFailedError as error:
                # It has died, and is told everything when it is there again; or it was only slow.
                _log.info("the embedded services were not told of %d functions: %s", len(functions), error)
                self._changed = dict.fromkeys([*functions, *self._changed])
                return False
            self._settle()
            return True

    def _settle(self) -> None:
        if not self._changed:
            self._settled.set()

    async def _send(self, origin: Origin, functions: list[FunctionArn], *, is_whole: bool) -> None:
        for first in range(0, max(len(functions), 1), _BATCH):
            shadows = [self._shadow(function) for function in functions[first : first + _BATCH]]
            message = {
                "is_whole": is_whole and first == 0,
                "is_complete": first + _BATCH >= len(functions),
                "functions": shadows,
            }
            body = json.dumps(message).encode()
            headers = (("host", "localhost"), self._proof)
            response = await self._http.send(origin, OutwardRequest("POST", _PATH, headers, body))
            answer = await response.read(_ANSWER_BYTES_MAX)
            if response.status != 200:
                raise ConnectionFailedError(f"status {response.status}: {answer[:200].decode('utf-8', 'replace')}")

    def _shadow(self, function: FunctionArn) -> dict[str, object]:
        versions, aliases = self._known.qualifiers(function)
        described = {
            number: [version.runtime, version.handler, version.timeout_seconds, version.memory_mib, version.role]
            for number, version in versions.items()
        }
        account_id, region = function.account_id, function.region
        return {
            "account": account_id, "region": region, "name": function.name, "versions": described,
            "aliases": list(aliases),
        }  # fmt: skip
