"""States: failure with a reason, recovery by an update, and what a crash left."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from lambent.functions import ControlPlaneRules
from tests.unit.functions.conftest import open_scene

if TYPE_CHECKING:
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
