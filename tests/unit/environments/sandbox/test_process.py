"""The level 0 driver, with real processes."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lambent.environments.sandbox import process_table
from lambent.environments.sandbox.process import ProcessDriver
from lambent.environments.sandbox.sandbox import (
    Interpreter,
    RuntimeExit,
    RuntimeFamily,
    Sandbox,
    SandboxError,
    SandboxKind,
    Specialisation,
)
from lambent.model.environment import IsolationLevel
from tests.loops import run_apart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

EXEC = SandboxKind(RuntimeFamily.EXEC, "000000000000")

# A client that does what it reads from the code directory, so that a test says in one line what the runtime does.
PYTHON_CLIENT = """
import os, sys
def main(variables):
    sys.path.insert(0, variables["LAMBDA_TASK_ROOT"])
    exec(open(variables["_HANDLER"]).read(), {"variables": variables})
"""
NODE_CLIENT = """
import fs from "node:fs";
import net from "node:net";
const control = new net.Socket({ fd: 3 });
control.write("ready\\n");
control.on("data", (line) => {
  const { variables } = JSON.parse(line);
  process.chdir(variables.LAMBDA_TASK_ROOT);
  fs.writeSync(1, `${variables._HANDLER} in ${process.cwd()} with ${variables.TMPDIR}\\n`);
});
"""


def run(test: Coroutine[None, None, None]) -> None:
    run_apart(test)


@asynccontextmanager
async def driver_at(directory: Path) -> AsyncIterator[ProcessDriver]:
    driver = ProcessDriver(directory, directory / "run")
    async with asyncio.TaskGroup() as tasks:
        loop = tasks.create_task(driver.run())
        await driver.wait_ready()
        try:
            yield driver
        finally:
            loop.cancel()


def code(directory: Path, **files: str) -> str:
    task_root = directory / "code" / "f"
    task_root.mkdir(parents=True)
    for name, text in files.items():
        path = task_root / name
        path.write_text(text)
        path.chmod(0o755)
    return "code/f"


def specialisation(code_directory: str, *argv: str, memory_mib: int = 128, **variables: str) -> Specialisation:
    standard = {"LAMBDA_TASK_ROOT": "/var/task", "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin"}
    return Specialisation(code_directory, memory_mib, 512, standard | variables, argv=argv)


async def log_until(sandbox: Sandbox, is_enough: Callable[[str], bool]) -> str:
    """Read the log until it says enough; the test's own time-out bounds the wait."""
    loop = asyncio.get_running_loop()
    text = ""
    while not is_enough(text):
        arrived = asyncio.Event()
        loop.add_reader(sandbox.log_fd, arrived.set)
        await arrived.wait()
        loop.remove_reader(sandbox.log_fd)
        text += os.read(sandbox.log_fd, 65_536).decode()
    return text


async def log_line(sandbox: Sandbox) -> str:
    return await log_until(sandbox, lambda text: text.endswith("\n"))


def python_kind(directory: Path) -> SandboxKind:
    client = directory / "client"
    client.mkdir()
    (client / "lambent_runtime.py").write_text(PYTHON_CLIENT)
    interpreter = Interpreter(RuntimeFamily.PYTHON, sys.executable, "3")
    return SandboxKind(RuntimeFamily.PYTHON, "000000000000", interpreter, str(client))


def test_a_program_runs_in_its_code_directory_with_its_variables_only(tmp_path: Path) -> None:
    async def scenario() -> None:
        script = '#!/bin/sh\npwd; echo "$GREETING $LAMBDA_TASK_ROOT $PATH"; ls -d "$TMPDIR"; env | grep -c HOME\n'
        async with driver_at(tmp_path) as driver:
            sandbox = await driver.create(EXEC)
            await sandbox.specialise(
                specialisation(code(tmp_path, bootstrap=script), "/var/task/bootstrap", GREETING="hi")
            )
            assert await sandbox.wait_exited() == RuntimeExit(1, None)
            lines = (await log_line(sandbox)).splitlines()
            task_root = str(tmp_path / "code" / "f")
            layers = tmp_path / "run" / sandbox.sandbox_id / "opt"
            assert lines[0] == task_root
            assert lines[1] == f"hi {task_root} /usr/local/bin:/usr/bin:/bin:{layers}/bin"
            assert lines[2] == str(tmp_path / "run" / sandbox.sandbox_id / "tmp")
            assert lines[3] == "0"
            await sandbox.close()

    run(scenario())


def test_each_way_to_end_is_told_truly(tmp_path: Path) -> None:
    async def scenario() -> None:
        directory = code(tmp_path)
        async with driver_at(tmp_path) as driver:
            for command, expected in (
                ("exit 0", RuntimeExit(0, None)),
                ("exit 3", RuntimeExit(3, None)),
                ("kill -9 $$", RuntimeExit(None, 9)),
                ("kill -15 $$", RuntimeExit(None, 15)),
                ("kill -6 $$", RuntimeExit(None, 6)),
            ):
                sandbox = await driver.create(EXEC)
                await sandbox.specialise(specialisation(directory, "/bin/sh", "-c", command))
                assert await sandbox.wait_exited() == expected
                await sandbox.close()

    run(scenario())


def test_a_program_that_does_not_exist_ends_with_the_shells_code(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with driver_at(tmp_path) as driver:
            sandbox = await driver.create(EXEC)
            await sandbox.specialise(specialisation(code(tmp_path), "/var/task/bootstrap"))
            assert await sandbox.wait_exited() == RuntimeExit(127, None)
            await sandbox.close()

    run(scenario())


def test_python_runs_isolated_with_the_client(tmp_path: Path) -> None:
    async def scenario() -> None:
        kind = python_kind(tmp_path)
        handler = (
            "import sys, os\nprint(sys.flags.isolated, exit, os.getcwd(), 'pytest' in sys.path, sys.argv, flush=True)"
        )
        async with driver_at(tmp_path) as driver:
            sandbox = await driver.create(kind)
            await sandbox.specialise(specialisation(code(tmp_path, main=handler), _HANDLER="main"))
            line = await log_line(sandbox)
            assert line.startswith("1 Use exit() or Ctrl-D")
            assert str(tmp_path / "code" / "f") in line
            assert await sandbox.wait_exited() == RuntimeExit(0, None)
            await sandbox.close()
        assert sorted(path.name for path in (tmp_path / "code" / "f").iterdir()) == ["main"]

    run(scenario())


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on this machine")
@pytest.mark.slow
def test_node_waits_for_its_variables_and_starts_again_after_a_reset(tmp_path: Path) -> None:
    async def scenario() -> None:
        client = tmp_path / "client"
        client.mkdir()
        (client / "bootstrap.mjs").write_text(NODE_CLIENT)
        interpreter = Interpreter(RuntimeFamily.NODEJS, str(shutil.which("node")), "20")
        kind = SandboxKind(RuntimeFamily.NODEJS, "000000000000", interpreter, str(client), memory_mib=128)
        async with driver_at(tmp_path) as driver:
            sandbox = await driver.create(kind)
            await sandbox.specialise(specialisation(code(tmp_path), _HANDLER="a.b"))
            temp_directory = tmp_path / "run" / sandbox.sandbox_id / "tmp"
            expected = f"a.b in {tmp_path / 'code' / 'f'} with {temp_directory}\n"
            assert await log_line(sandbox) == expected
            await sandbox.reset()
            assert await log_line(sandbox) == expected
            await sandbox.close()

    run(scenario())


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on this machine")
def test_a_node_client_that_breaks_at_its_start_is_an_error(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / "bootstrap.mjs").write_text("process.exit(4)")
        interpreter = Interpreter(RuntimeFamily.NODEJS, str(shutil.which("node")), "20")
        kind = SandboxKind(RuntimeFamily.NODEJS, "000000000000", interpreter, str(tmp_path), memory_mib=128)
        async with driver_at(tmp_path) as driver:
            with pytest.raises(SandboxError, match="before it became ready"):
                await driver.create(kind)

    run(scenario())


def test_frozen_processes_stand_still_and_go_on_when_thawed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with driver_at(tmp_path) as driver:
            sandbox = await driver.create(EXEC)
            await sandbox.specialise(specialisation(code(tmp_path), "/bin/sh", "-c", "echo on; while :; do :; done"))
            await log_line(sandbox)
            sandbox.freeze()
            while _states(sandbox) != {"T"}:
                pass
            sandbox.thaw()
            while "T" in _states(sandbox):
                pass
            await sandbox.close()

    def _states(sandbox: Sandbox) -> set[str]:
        temp_directory = tmp_path / "run" / sandbox.sandbox_id / "tmp"
        mine = process_table.members(process_table.processes(), -1, temp_directory)
        return {Path(f"/proc/{entry.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] for entry in mine}

    run(scenario())


def test_a_frozen_sandbox_can_be_closed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with driver_at(tmp_path) as driver:
            sandbox = await driver.create(EXEC)
            await sandbox.specialise(specialisation(code(tmp_path), "/bin/sleep", "1000"))
            sandbox.freeze()
            await sandbox.close()
            assert await sandbox.wait_exited() == RuntimeExit(None, signal.SIGKILL)

    run(scenario())


def test_a_reset_kills_strays_keeps_tmp_and_starts_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        script = "cat $TMPDIR/note 2>/dev/null; echo kept > $TMPDIR/note; setsid sleep 1000 & echo $!; sleep 1000"
        async with driver_at(tmp_path) as driver:
            sandbox = await driver.create(EXEC)
            await sandbox.specialise(specialisation(code(tmp_path), "/bin/sh", "-c", script))
            stray = int(await log_line(sandbox))
            await sandbox.reset()
            assert all(entry.pid != stray for entry in process_table.processes())
            text = await log_until(sandbox, lambda text: text.count("\n") == 2)
            assert text.startswith("kept\n")
            await sandbox.close()
            assert process_table.strays(process_table.processes(), tmp_path / "run") == []

    run(scenario())


@pytest.mark.slow
def test_what_outgrows_its_memory_is_killed_as_out_of_memory(tmp_path: Path) -> None:
    async def scenario() -> None:
        kind = python_kind(tmp_path)
        handler = "hog = bytearray(300 << 20)\nhog[::4096] = b'x' * (300 << 8)\nimport time; time.sleep(1000)"
        async with driver_at(tmp_path) as driver:
            sandbox = await driver.create(kind)
            await sandbox.specialise(specialisation(code(tmp_path, main=handler), _HANDLER="main"))
            ending = await sandbox.wait_exited()
            assert ending == RuntimeExit(None, signal.SIGKILL, is_out_of_memory=True)
            assert sandbox.memory_peak_mib() > 128
            await sandbox.reset()
            assert await sandbox.wait_exited() == ending
            await sandbox.close()

    run(scenario())


def test_signals_reach_the_runtime_and_nothing_after_its_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with driver_at(tmp_path) as driver:
            sandbox = await driver.create(EXEC)
            script = "trap 'echo flushed; exit 5' TERM; echo on; while :; do sleep 0.01; done"
            await sandbox.specialise(specialisation(code(tmp_path), "/bin/sh", "-c", script))
            await log_line(sandbox)
            sandbox.signal_runtime(signal.SIGTERM)
            assert await sandbox.wait_exited() == RuntimeExit(5, None)
            assert await log_line(sandbox) == "flushed\n"
            for act in (sandbox.freeze, sandbox.thaw):
                act()
            sandbox.signal_runtime(signal.SIGTERM)
            await sandbox.close()
            await sandbox.close()

    run(scenario())


def test_closing_leaves_no_fd_no_process_and_no_directory(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with driver_at(tmp_path) as driver:
            directory = code(tmp_path)
            before = sorted(os.listdir("/proc/self/fd"))
            for _ in range(5):
                sandbox = await driver.create(EXEC)
                await sandbox.specialise(specialisation(directory, "/bin/sleep", "1000"))
                await sandbox.close()
            assert sorted(os.listdir("/proc/self/fd")) == before
            assert list((tmp_path / "run").iterdir()) == []

    run(scenario())


def test_limits_hold_inside(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with driver_at(tmp_path) as driver:
            sandbox = await driver.create(EXEC)
            await sandbox.specialise(specialisation(code(tmp_path), "/bin/sh", "-c", "ulimit -n; ulimit -c; ulimit -d"))
            await sandbox.wait_exited()
            assert (await log_line(sandbox)).split() == ["1024", "0", str((128 + 2048) * 1024)]
            await sandbox.close()

    run(scenario())


def test_listeners_answer_on_loopback(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with driver_at(tmp_path) as driver:
            sandbox = await driver.create(EXEC)
            assert sandbox.endpoint_address is not None
            for address in (sandbox.runtime_api_address, sandbox.endpoint_address):
                host, port = address.split(":")
                assert host == "127.0.0.1"
                socket.create_connection((host, int(port))).close()
            await sandbox.close()

    run(scenario())


@pytest.mark.parametrize("path", ["/etc", "code/../..", "../x", "code/\0"])
def test_code_outside_the_data_directory_is_refused(tmp_path: Path, path: str) -> None:
    async def scenario() -> None:
        async with driver_at(tmp_path) as driver:
            sandbox = await driver.create(EXEC)
            with pytest.raises(SandboxError):
                await sandbox.specialise(specialisation(path, "/bin/true"))
            await sandbox.close()

    run(scenario())


def test_a_start_sweeps_what_a_killed_run_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        left = tmp_path / "run" / "process-1-1"
        (left / "tmp").mkdir(parents=True)
        orphan = await asyncio.create_subprocess_exec("/bin/sleep", "1000", env={"TMPDIR": str(left / "tmp")})
        async with driver_at(tmp_path) as driver:
            assert await orphan.wait() == -signal.SIGKILL
            assert not left.exists()
            assert driver.level is IsolationLevel.L0
            assert "isolation" in driver.missing_features
            assert driver.zygote_ids() == {}

    run(scenario())
