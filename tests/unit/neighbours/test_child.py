"""The child's supervisor, with a small program in MiniStack's place."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from typing import TYPE_CHECKING

import pytest

from lambent.neighbours import ChildPlan, EmbeddedChild
from lambent.neighbours import child as module
from lambent.wire.error_forms import NeighbourError
from lambent.wire.http_client import ConnectionFailedError, HttpClient, OutwardRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.slow

_PROGRAM = """
import os, signal, socket, sys
if os.path.exists("fails"):
    print("told to fail")
    sys.exit(3)
listener = socket.socket(fileno=int(sys.argv[2]))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("started", os.environ["GATEWAY_PORT"], sys.flags.isolated, flush=True)
while True:
    connection, _ = listener.accept()
    connection.recv(65536)
    body = os.environ["MINISTACK_ACCOUNT_ID"].encode() + str(os.getpid()).encode()
    head = b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body)
    connection.sendall(head + body)
    connection.close()
"""


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ChildPlan:
    """A plan whose program is the one above."""
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    monkeypatch.setattr(module, "_PROGRAM", program)
    monkeypatch.setattr(module, "_PROBE_SECONDS", 0.05)
    (tmp_path / "packages" / "ministack").mkdir(parents=True)
    return ChildPlan(
        packages=tmp_path / "packages", directory=tmp_path / "neighbours", account_id="111122223333",
        region="eu-west-1", password="known", public_address=lambda: ("127.0.0.1", 4567), hung_seconds=0.3,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def running(plan: ChildPlan) -> AsyncIterator[EmbeddedChild]:
    child = EmbeddedChild(plan)
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(child.run())
        yield child
        task.cancel()


async def ask(child: EmbeddedChild) -> str:
    http = HttpClient()
    try:
        response = await http.send(await child.wait_ready(), OutwardRequest("GET", "/", (("host", "h"),)))
        return (await response.read(100)).decode()
    finally:
        http.close()


def is_alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


async def test_its_log_is_in_ours(plan: ChildPlan, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "lambent.neighbours.embedded"):
        async with running(plan) as child:
            await ask(child)
            while not caplog.messages:
                await asyncio.sleep(0.01)
    # Its port is the daemon's, of which addresses in answers are made; it sees no packages of ours.
    assert caplog.messages == ["started 4567 1"]


async def test_it_starts_at_the_first_call_and_ends_with_the_loop(plan: ChildPlan) -> None:
    async with running(plan) as child:
        await asyncio.sleep(0.01)
        assert child.statistics() == {"state": "not started", "starts": 0}
        assert (await ask(child)).startswith("111122223333")
        pid = int(child.statistics()["pid"])
        assert child.statistics() == {
            "state": "running", "starts": 1, "pid": pid, "port": (await child.wait_ready()).port
        }  # fmt: skip
    assert not is_alive(pid)


async def test_it_comes_back_at_the_same_port(plan: ChildPlan) -> None:
    async with running(plan) as child:
        first, port = await ask(child), (await child.wait_ready()).port
        os.kill(int(child.statistics()["pid"]), signal.SIGKILL)
        second = first
        while second == first:
            # A request may meet its death.
            with contextlib.suppress(ConnectionFailedError):
                second = await ask(child)
            await asyncio.sleep(0.01)
        assert (await child.wait_ready()).port == port
        assert child.statistics()["starts"] == 2


async def test_one_that_hangs_is_killed(plan: ChildPlan) -> None:
    async with running(plan) as child:
        await ask(child)
        os.kill(int(child.statistics()["pid"]), signal.SIGSTOP)
        while child.statistics()["starts"] != 2:
            await asyncio.sleep(0.01)
        await ask(child)


async def test_a_stopped_one_ends_too(plan: ChildPlan) -> None:
    async with running(plan) as child:
        await ask(child)
        pid = int(child.statistics()["pid"])
        os.kill(pid, signal.SIGSTOP)
    assert not is_alive(pid)


async def test_one_that_does_not_start_says_why(plan: ChildPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_START_SECONDS", 1.0)
    plan.directory.mkdir()
    (plan.directory / "fails").write_text("")
    async with running(plan) as child:
        with pytest.raises(NeighbourError, match="do not start: told to fail") as refused:
            await child.wait_ready()
        assert refused.value.status == 503
        # In a second, with pauses of 0.2, 0.4 and 0.8 s.
        assert 1 < int(child.statistics()["starts"]) <= 4
        (plan.directory / "fails").unlink()
        monkeypatch.setattr(module, "_START_SECONDS", 20.0)
        assert (await ask(child)).startswith("111122223333")


async def test_one_that_is_not_installed_is_said(plan: ChildPlan) -> None:
    (plan.packages / "ministack").rmdir()
    async with running(plan) as child:
        assert child.statistics()["state"] == "not installed"
        with pytest.raises(NeighbourError, match=r"scripts/setup") as refused:
            await child.wait_ready()
        assert refused.value.status == 501
