"""Pending → Active or Failed, InProgress → Successful or Failed: the only writer of State.

    CreateFunction    →  Pending                 →  Active  |  Failed (StateReason says what to install)
                      →  Active                     (answered as Pending: it has all that it needs)
    Update…           →  InProgress              →  Successful  |  Failed;  a Failed function that succeeds is Active
    idle for long     →  Inactive;  invoked: Pending  →  Active  |  Failed        (functions of images)

Both start with a commit of the operation itself and end with one of ours; every commit has a new RevisionId, as on AWS.
A small package is checked, unpacked and read before CreateFunction answers: there the second state is all that is
committed, and who looks right after the answer may see it, as one may on AWS.
What a crash leaves in between is found in the store and ended at the next start, or by another daemon.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from msgspec.structs import replace

from lambent.model.errors import (
    LambdaError,
    PreconditionFailedError,
    ResourceNotFoundError,
    ServiceError,
    StateReasonError,
    UnavailableError,
)
from lambent.model.function import FunctionState, PackageType, UpdateStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lambent.model.function import FunctionVersion
    from lambent.store import FunctionStore

# Source: recorded (test_function_lifecycle): the same words for a creation and for an update.
_REASON = "The function is being created."
_REASON_CODE = "Creating"
# Source: service description, StateReasonCode; the sentences are ours, as none were recorded.
_IDLE_REASON, _IDLE_CODE = "The function is idle.", "Idle"
_RESTORING_REASON, _RESTORING_CODE = "The function is being restored.", "Restoring"
# Source: service description, StateReasonCode and LastUpdateStatusReasonCode.
_UNAVAILABLE_CODE = "InvalidRuntime"

_CONCURRENT_MAX = 8
_PULLS_MAX = 4
_TRY_AGAIN_SECONDS = 1.0
_LOOK_SECONDS = 15.0


class Transitions:
    """Settles functions. Scope: node. After a crash: begun anew from the store."""

    def __init__(
        self,
        store: FunctionStore,
        prepare: Callable[[FunctionVersion], Awaitable[str | None]],
        new_revision_id: Callable[[], str],
        resolve_image: Callable[[FunctionVersion], Awaitable[str]] | None = None,
    ) -> None:
        self._store = store
        self._prepare = prepare
        self._resolve_image = resolve_image
        self._new_revision_id = new_revision_id
        self._log = logging.getLogger(__name__)
        # Holds each unsettled function once at most for every change, and a change needs a settled one.
        self._waiting: asyncio.Queue[tuple[FunctionVersion, ...]] = asyncio.Queue()
        self._slots = asyncio.Semaphore(_CONCURRENT_MAX)
        # A pull may take minutes: those who wait for a package do not wait for it.
        self._pulls = asyncio.Semaphore(_PULLS_MAX)

    def creating(self, function: FunctionVersion) -> FunctionVersion:
        """Return the value that CreateFunction commits."""
        return replace(
            function,
            state=FunctionState.PENDING,
            state_reason=_REASON,
            state_reason_code=_REASON_CODE,
            revision_id=self._new_revision_id(),
        )

    def created(self, function: FunctionVersion) -> FunctionVersion:
        """Return the value that CreateFunction commits of a function that has all it needs: what settling would."""
        return replace(
            function,
            state=FunctionState.ACTIVE,
            state_reason=None,
            state_reason_code=None,
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

    async def deactivate(self, function: FunctionVersion) -> None:
        """Active → Inactive: it was idle for so long that its image may go.

        Source: developer guide, "Lambda function states".
        """
        if function.state is not FunctionState.ACTIVE or function.is_unsettled:
            return
        idle = replace(
            function,
            state=FunctionState.INACTIVE,
            state_reason=_IDLE_REASON,
            state_reason_code=_IDLE_CODE,
            revision_id=self._new_revision_id(),
        )
        with contextlib.suppress(PreconditionFailedError, ResourceNotFoundError):
            await self._store.update(idle, expected_revision_id=function.revision_id)

    async def reactivate(self, function: FunctionVersion) -> None:
        """Inactive → Pending, and Active when its image is here again: somebody invoked it."""
        present = await self._store.get(function.arn.qualified(function.version))
        if present is None or present.state is not FunctionState.INACTIVE:
            return
        pending = replace(
            present,
            state=FunctionState.PENDING,
            state_reason=_RESTORING_REASON,
            state_reason_code=_RESTORING_CODE,
            revision_id=self._new_revision_id(),
        )
        with contextlib.suppress(PreconditionFailedError, ResourceNotFoundError):
            await self._store.update(pending, expected_revision_id=present.revision_id)
            self.begin(pending)

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
                if versions[0].package_type is PackageType.IMAGE:
                    tasks.create_task(self._run_pull(versions))
                    continue
                await self._slots.acquire()
                tasks.create_task(self._run_one(versions, self._slots))

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

    async def _run_pull(self, versions: tuple[FunctionVersion, ...]) -> None:
        await self._pulls.acquire()
        await self._run_one(versions, self._pulls)

    async def _run_one(self, versions: tuple[FunctionVersion, ...], slots: asyncio.Semaphore) -> None:
        is_settled = False
        try:
            for version in versions:
                await self._settle(version)
            is_settled = True
        except Exception:
            # The outermost frame of a task: one function's trouble must not end the others.
            self._log.exception("the state of %s could not be settled; trying again", versions[-1].arn)
        finally:
            slots.release()
        if not is_settled:
            await asyncio.sleep(_TRY_AGAIN_SECONDS)
            self.begin(*versions)

    async def _settle(self, committed: FunctionVersion) -> None:
        function: FunctionVersion | None = committed
        while function is not None and function.is_unsettled:
            reason, code, resolved = await self._reason_against(function)
            # What a reference means is committed before it is pulled: nothing that is not named survives a sweep.
            after = _settled(function, reason, code) if resolved is function else resolved
            after = replace(after, revision_id=self._new_revision_id())
            try:
                await self._store.update(after, expected_revision_id=function.revision_id)
            except PreconditionFailedError:
                function = await self._store.get(function.arn.qualified(function.version))
                continue
            except ResourceNotFoundError:
                return
            function = after

    async def _reason_against(self, function: FunctionVersion) -> tuple[str | None, str | None, FunctionVersion]:
        """Return why it cannot run, AWS's code for that, and the function, with its image's digest if that is new."""
        try:
            if self._resolve_image is not None and function.image_uri is not None and function.image_manifest is None:
                return None, None, replace(function, image_manifest=await self._resolve_image(function))
            reason = await self._prepare(function)
        except UnavailableError:
            # No fault of the function's: it is tried again.
            raise
        except StateReasonError as error:
            return error.message, error.reason_code, function
        except LambdaError as error:
            reason = error.message
        return reason, None if reason is None else _UNAVAILABLE_CODE, function


def _settled(function: FunctionVersion, reason: str | None, code: str | None) -> FunctionVersion:
    """Return the function after its creation or update; `reason` and `code` say why it cannot run."""
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
