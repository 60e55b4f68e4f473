"""States: failure with a reason, recovery by an update, and what a crash left."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from lambent.functions import ControlPlaneRules, transitions
from lambent.model.errors import UnavailableError
from lambent.model.function import CodeReference, FunctionState, FunctionVersion
from lambent.store import FunctionStore, InstallationKey, Resources, open_records
from tests.unit.functions.conftest import ROLE, open_scene

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tests.unit.functions.conftest import Scene

REASON = "No interpreter for java21 was found: install a JDK 21."


async def test_a_function_that_cannot_run_is_failed_and_says_why(scene: Scene) -> None:
    scene.failure[0] = REASON
    failed = await scene.create_settled()
    assert (failed["State"], failed["StateReason"], failed["StateReasonCode"]) == ("Failed", REASON, "InvalidRuntime")

    scene.failure[0] = None
    await scene.call("update_function_configuration", FunctionName="f", Description="again")
    mended = await scene.settled()
    assert (mended["State"], mended["LastUpdateStatus"]) == ("Active", "Successful")
    assert "StateReason" not in mended


async def test_a_failed_update_leaves_the_state(scene: Scene) -> None:
    await scene.create_settled()
    scene.failure[0] = REASON
    await scene.call("update_function_configuration", FunctionName="f", Runtime="java21")
    failed = await scene.settled()
    assert (failed["State"], failed["LastUpdateStatus"], failed["LastUpdateStatusReason"]) == (
        "Active",
        "Failed",
        REASON,
    )


async def test_a_function_deleted_while_pending_stays_deleted(scene: Scene) -> None:
    scene.gate.clear()
    await scene.create()
    await scene.call("delete_function", FunctionName="f")
    scene.gate.set()
    await scene.create_settled("g")
    assert [f["FunctionName"] for f in (await scene.call("list_functions"))["Functions"]] == ["g"]


async def test_what_a_crash_left_is_settled_at_the_next_start(tmp_path: Path) -> None:
    rules = ControlPlaneRules()
    with ThreadPoolExecutor(1) as executor:
        # The first control plane never runs: its function stays Pending, as after a crash.
        before, close = open_scene(tmp_path, rules, executor)
        await before.create()
        await close()
        after, close = open_scene(tmp_path, rules, executor)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(after.plane.run())
            assert (await after.settled())["State"] == "Active"
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        await close()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FunctionStore]:
    """A store without a control plane."""
    records = open_records(tmp_path)
    yield FunctionStore(Resources(records, InstallationKey.open(tmp_path / "keys")))
    await records.close()


PENDING = FunctionVersion(
    account_id="0" * 12,
    region="us-east-1",
    name="f",
    role=ROLE,
    code=CodeReference("0" * 64, 1, 1),
    configuration_id="c",
    revision_id="r",
    last_modified_ms=1,
    state=FunctionState.PENDING,
)


async def wait_settled(store: FunctionStore) -> FunctionState:
    async with asyncio.timeout(10):
        while True:
            function = await store.get(PENDING.arn)
            assert function is not None
            if function.state is not FunctionState.PENDING:
                return function.state
            await asyncio.sleep(0.01)


async def test_what_another_daemon_left_is_settled_too(store: FunctionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transitions, "_LOOK_SECONDS", 0.05)
    looked = asyncio.Event()

    class Watched(FunctionStore):
        async def list_unsettled(self) -> Sequence[FunctionVersion]:
            found = await super().list_unsettled()
            looked.set()
            return found

    async def prepare(_: FunctionVersion) -> None:
        return None

    async with asyncio.TaskGroup() as tasks:
        looking = transitions.Transitions(Watched(store.resources), prepare, lambda: secrets.token_hex(4))
        running = tasks.create_task(looking.run())
        await looked.wait()
        # Committed, and never begun here.
        await store.insert(PENDING, {})
        assert await wait_settled(store) is FunctionState.ACTIVE
        running.cancel()


async def test_a_store_that_is_away_is_no_fault_of_the_function(
    store: FunctionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transitions, "_TRY_AGAIN_SECONDS", 0.01)
    failures = [UnavailableError("away"), UnavailableError("away")]

    async def prepare(_: FunctionVersion) -> None:
        if failures:
            raise failures.pop()

    await store.insert(PENDING, {})
    async with asyncio.TaskGroup() as tasks:
        settling = transitions.Transitions(store, prepare, lambda: secrets.token_hex(4))
        running = tasks.create_task(settling.run())
        assert await wait_settled(store) is FunctionState.ACTIVE
        running.cancel()
    assert failures == []
