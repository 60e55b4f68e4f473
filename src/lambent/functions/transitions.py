"""Pending → Active or Failed, InProgress → Successful or Failed: the only writer of State.

    CreateFunction    →  Pending                 →  Active  |  Failed (StateReason says what to install)
    Update…           →  InProgress              →  Successful  |  Failed;  a Failed function that succeeds is Active

Both start with a commit of the operation itself and end with one of ours; every commit has a new RevisionId, as on AWS.
What a crash leaves in between is found in the store and ended at the next start, or by another daemon.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from lambent.model.errors import (
    LambdaError,
    PreconditionFailedError,
    ResourceNotFoundError,
    ServiceError,
    UnavailableError,
)
from lambent.model.function import FunctionState, UpdateStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lambent.model.function import FunctionVersion
    from lambent.store import FunctionStore

# Source: recorded (test_function_lifecycle): the same words for a creation and for an update.
_REASON = "The function is being created."
_REASON_CODE = "Creating"
# Source: service description, StateReasonCode and LastUpdateStatusReasonCode.
_UNAVAILABLE_CODE = "InvalidRuntime"

_CONCURRENT_MAX = 8
_TRY_AGAIN_SECONDS = 1.0
_LOOK_SECONDS = 15.0


class Transitions:
    """Settles functions. Scope: node. After a crash: begun anew from the store."""

    def __init__(
        self,
        store: FunctionStore,
        prepare: Callable[[FunctionVersion], Awaitable[str | None]],
        new_revision_id: Callable[[], str],
    ) -> None:
        self._store = store
        self._prepare = prepare
        self._new_revision_id = new_revision_id
        self._log = logging.getLogger(__name__)
        # Holds each unsettled function once at most for every change, and a change needs a settled one.
        self._waiting: asyncio.Queue[tuple[FunctionVersion, ...]] = asyncio.Queue()
        self._slots = asyncio.Semaphore(_CONCURRENT_MAX)

    def creating(self, function: FunctionVersion) -> FunctionVersion:
        """Return the value that CreateFunction commits."""
        return replace(
            function,
            state=FunctionState.PENDING,
            state_reason=_REASON,
            state_reason_code=_REASON_CODE,
            revision_id=self._new_revision_id(),
        )

    def updating(self, function: FunctionVersion) -> FunctionVersion:
        """Return the value that an update commits."""
        return replace(
            function,
            last_update_status=UpdateStatus.IN_PROGRESS,
            last_update_status_reason=_REASON,
            last_update_status_reason_code=_REASON_CODE,
            revision_id=self._new_revision_id(),
        )

    def begin(self, *versions: FunctionVersion) -> None:
        """Settle versions soon, in this order; they were committed unsettled before.

        Who waits for a function to be active finds the version that was published with it active too: it is first.
        """
        self._waiting.put_nowait(versions)

    async def run(self) -> None:
        """Settle what a crash left, then whatever is begun, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._find_left())
            while True:
                versions = await self._waiting.get()
                await self._slots.acquire()
                tasks.create_task(self._run_one(versions))

    async def _find_left(self) -> None:
        """Begin what a crash left: at the start all there is, later what nobody has settled between two looks.

        That is another daemon's on the same database, which died. One that lives and is slow loses nothing: of two
        that settle the same change one commits.
        """
        before: frozenset[str] | None = None
        while True:
            try:
                found = {function.revision_id: function for function in await self._store.list_unsettled()}
            except ServiceError as error:
                self._log.warning("unsettled functions could not be looked for: %s", error)
            else:
                for revision_id, function in found.items():
                    if before is None or revision_id in before:
                        self.begin(function)
                before = frozenset(found)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _run_one(self, versions: tuple[FunctionVersion, ...]) -> None:
        is_settled = False
        try:
            for version in versions:
                await self._settle(version)
            is_settled = True
        except Exception:
            # The outermost frame of a task: one function's trouble must not end the others.
            self._log.exception("the state of %s could not be settled; trying again", versions[-1].arn)
        finally:
            self._slots.release()
        if not is_settled:
            await asyncio.sleep(_TRY_AGAIN_SECONDS)
            self.begin(*versions)

    async def _settle(self, committed: FunctionVersion) -> None:
        function: FunctionVersion | None = committed
        while function is not None and function.is_unsettled:
            reason = await self._reason_against(function)
            settled = replace(_settled(function, reason), revision_id=self._new_revision_id())
            try:
                await self._store.update(settled, expected_revision_id=function.revision_id)
            except PreconditionFailedError:
                function = await self._store.get(function.arn.qualified(function.version))
                continue
            except ResourceNotFoundError:
                return
            return

    async def _reason_against(self, function: FunctionVersion) -> str | None:
        try:
            return await self._prepare(function)
        except UnavailableError:
            # No fault of the function's: it is tried again.
            raise
        except LambdaError as error:
            return error.message


def _settled(function: FunctionVersion, reason: str | None) -> FunctionVersion:
    """Return the function after its creation or update; `reason` says why it cannot run."""
    code = None if reason is None else _UNAVAILABLE_CODE
    if function.state is FunctionState.PENDING:
        state = FunctionState.ACTIVE if reason is None else FunctionState.FAILED
        return replace(function, state=state, state_reason=reason, state_reason_code=code)
    updated = replace(
        function,
        last_update_status=UpdateStatus.SUCCESSFUL if reason is None else UpdateStatus.FAILED,
        last_update_status_reason=reason,
        last_update_status_reason_code=code,
    )
    if reason is None:
        return replace(updated, state=FunctionState.ACTIVE, state_reason=None, state_reason_code=None)
    return updated
