"""A sandbox's life: created without a function, specialised once, asked, reset, closed; nothing is left."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lambent.environments.sandbox.sandbox import RuntimeExit, RuntimeFamily, SandboxError
from lambent.model.environment import IsolationLevel
from tests.sandbox.conftest import UID_BASE, UIDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.conftest import Farm, Running

pytestmark = pytest.mark.slow

ECHO = "def handler(event):\n    return {'event': event}\n"
LOOK = """
import os, socket
def handler(event):
    return {
        "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(), "pid": os.getpid(),
        "processes": sorted(name for name in os.listdir("/proc") if name.isdigit()),
        "root": sorted(os.listdir("/")), "tmp": os.listdir("/tmp"), "cwd": os.getcwd(),
        "variables": dict(os.environ), "links": [name for _, name in socket.if_nameindex()],
        "fds": sorted(os.listdir("/proc/self/fd")),
    }
"""
BASH = """#!/bin/bash
exec 3<>/dev/tcp/127.0.0.1/9001
echo next >&3
while read -r line <&3; do printf '{"shell": "%s", "pid": %d}\\nnext\\n' "$GREETING" $$ >&3; done
"""
OWNERS = """
import grp, pathlib, pwd, stat
def handler(event):
    found = {}
    for name in ("/", "/usr", "/opt", "/tmp", "/var/task", "/var/task/app.py", "/var/runtime", "/lambda-entrypoint.sh"):
        state = pathlib.Path(name).stat()
        names = [pwd.getpwuid(state.st_uid).pw_name, grp.getgrgid(state.st_gid).gr_name]
        found[name] = [*names, stat.filemode(state.st_mode)]
    return found
"""
NODE = "exports.handler = async (event) => ({ event, uid: process.getuid(), pid: process.pid });\n"


def test_python_answers(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        assert farm.driver.level is (IsolationLevel.L2 if os.geteuid() == 0 else IsolationLevel.L1)
        running = await farm.run(LOOK, variables={"COLOUR": "red"})
        seen = await running.ask({"x": 1})
        assert (seen["uid"], seen["gid"], seen["pid"]) == (993, 990, 2)
        # An ordinary user's process cannot leave its groups; they have no name and no file inside.
        assert set(seen["groups"]) <= (set() if os.geteuid() == 0 else {990, 65534})
        assert seen["processes"] == ["1", "2"]
        assert set(seen["root"]) <= {
            *(
                "bin",
                "dev",
                "etc",
                "lambda-entrypoint.sh",
                "lib",
                "lib64",
                "opt",
                "proc",
                "root",
                "run",
                "sbin",
                "tmp",
                "usr",
                "var",
            ),
        }
        assert seen["tmp"] == []
        assert seen["cwd"] == "/var/task"
        assert seen["variables"] == {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", "COLOUR": "red"}
        assert seen["fds"] == ["0", "1", "2", "3", "4"]
        await running.close()

    in_farm(scenario)


def test_fresh_interpreter_answers(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        assert farm.driver.level is (IsolationLevel.L3 if os.geteuid() == 0 else IsolationLevel.L1)
        running = await farm.run(LOOK)
        assert (await running.ask())["pid"] == 2
        await running.close()

    in_farm(scenario, is_fresh=True)


def test_every_file_has_an_owner_with_a_name(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        running = await farm.run(OWNERS)
        seen = await running.ask()
        assert {name for row in seen.values() for name in row[:2]} <= {"root", "nobody", "sbx_user1051"}
        # Source: recorded answer (test_runtime_introspection_x86).
        assert {seen[name][2] for name in ("/var/task", "/opt")} == {"drwxr-xr-x"}
        assert seen["/lambda-entrypoint.sh"][2] == "-rwxr-xr-x"
        if os.geteuid() == 0:  # An ordinary user's sandbox knows no other id than its own.
            ours = ("/var/task", "/var/task/app.py", "/opt", "/lambda-entrypoint.sh")
            assert {name for path in ours for name in seen[path][:2]} == {"root"}
        await running.close()

    in_farm(scenario)


def test_any_program_answers(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        kind = farm.kind(RuntimeFamily.EXEC)
        options = {"argv": ("/var/task/bootstrap",), "variables": {"GREETING": "hello"}}
        running = await farm.run_files({"bootstrap": BASH}, kind, **options)
        assert await running.ask() == {"shell": "hello", "pid": 2}
        await running.sandbox.reset()
        await running.connect()
        assert (await running.ask())["shell"] == "hello"
        await running.close()

    in_farm(scenario)


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on this machine")
def test_node_answers(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        running = await farm.run_files({"app.js": NODE}, farm.kind(RuntimeFamily.NODEJS))
        first = await running.ask({"x": 1})
        assert (first["event"], first["uid"]) == ({"x": 1}, 993)
        await running.sandbox.reset()
        await running.connect()
        assert (await running.ask())["pid"] > first["pid"]
        await running.close()

    in_farm(scenario)


def test_program_that_does_not_exist(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        sandbox = await farm.driver.create(farm.kind(RuntimeFamily.EXEC))
        running = await farm.specialise(sandbox, farm.write_code({"x": ""}), argv=("/var/task/bootstrap",))
        assert await sandbox.wait_exited() == RuntimeExit(127, None)
        assert b"Couldn't start /var/task/bootstrap" in running.log()
        await sandbox.close()

    in_farm(scenario)


@pytest.mark.parametrize("path", ["code/nothing", "../../etc", "/etc", "code/link", "keys", "code/../keys"])
def test_code_outside_is_refused(in_farm: Callable[..., None], path: str) -> None:
    async def scenario(farm: Farm) -> None:
        farm.write_code({"app.py": ECHO})
        (farm.data / "code" / "link").symlink_to("/etc")
        (farm.data / "keys").mkdir()
        sandbox = await farm.driver.create(farm.kind())
        with pytest.raises(SandboxError) as error:
            await farm.specialise(sandbox, path)
        assert not error.value.is_started
        await sandbox.close()

    in_farm(scenario)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import os; os._exit(3)", RuntimeExit(3, None)),
        ("import sys; sys.exit(0)", RuntimeExit(0, None)),
        ("import os; os.abort()", RuntimeExit(None, signal.SIGABRT)),
        ("import os; os.kill(os.getpid(), 9)", RuntimeExit(None, signal.SIGKILL)),
        ("import os; os.kill(os.getpid(), 15)", RuntimeExit(None, signal.SIGTERM)),
        ("import ctypes; ctypes.string_at(0)", RuntimeExit(None, signal.SIGSEGV)),
    ],
)
def test_true_exit_status(in_farm: Callable[..., None], code: str, expected: RuntimeExit) -> None:
    async def scenario(farm: Farm) -> None:
        sandbox = await farm.driver.create(farm.kind())
        running = await farm.specialise(sandbox, farm.write_code({"app.py": code}))
        assert await sandbox.wait_exited() == expected
        await running.close()

    in_farm(scenario)


def test_reset_keeps_tmp_and_code(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        running = await farm.run(
            "import os, subprocess\n"
            "def handler(event):\n"
            "    if event == 'write':\n"
            "        open('/tmp/kept', 'w').write('here')\n"
            "        subprocess.Popen(['/bin/sleep', '1000'])\n"
            "    if event == 'die':\n"
            "        os._exit(5)\n"
            "    processes = [name for name in os.listdir('/proc') if name.isdigit()]\n"
            "    return [os.getpid(), os.path.exists('/tmp/kept'), len(processes)]\n"
        )
        assert await running.ask("write") == [2, True, 3]
        await running.tell("die")
        assert await running.sandbox.wait_exited() == RuntimeExit(5, None)
        for _ in range(3):
            await running.sandbox.reset()
            await running.connect()
            pid, is_kept, processes = await running.ask("look")
            assert pid > 2
            assert is_kept
            assert processes == 2
        await running.close()

    in_farm(scenario)


def test_sigterm_reaches_the_function(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        code = "import signal, os\nsignal.signal(15, lambda *_: os._exit(9))\ndef handler(event):\n    return 1\n"
        running = await farm.run(code)
        await running.ask()
        running.sandbox.signal_runtime(signal.SIGTERM)
        assert await running.sandbox.wait_exited() == RuntimeExit(9, None)
        await running.close()

    in_farm(scenario)


def test_everything_is_harmless_after_the_end(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        running = await farm.run(ECHO)
        await running.close()
        running.sandbox.freeze()
        running.sandbox.thaw()
        running.sandbox.signal_runtime(signal.SIGTERM)
        await running.sandbox.apply_cpu_limit(1.0)
        await running.sandbox.close()
        with pytest.raises(SandboxError):
            await running.sandbox.reset()

    in_farm(scenario)


def test_log_is_stdout_and_stderr(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        running = await farm.run(
            "import os\n"
            "def handler(event):\n"
            "    os.write(1, b'out\\n'); os.write(2, b'err\\n')\n"
            "    open('/dev/stdout', 'w').write('opened\\n')\n"
            "    os.system('echo child')\n"
        )
        await running.ask()
        assert running.log() == b"out\nerr\nopened\nchild\n"
        await running.close()

    in_farm(scenario)


def process_file(running: Running, name: str) -> str:
    """Return what /proc tells of a sandbox's init."""
    return Path(f"/proc/{running.sandbox.pid}/{name}").read_text()


@pytest.mark.usefixtures("needs_root")
def test_every_sandbox_has_a_host_account_and_every_account_a_zygote(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        kinds = [farm.kind(account="111111111111"), farm.kind(account="222222222222")]
        running = [await farm.run_files({"app.py": ECHO}, kind) for kind in (*kinds, *kinds)]
        owners = [int(process_file(each, "status").partition("\nUid:\t")[2].split()[0]) for each in running]
        assert len(set(owners)) == 4
        assert all(UID_BASE < owner < UID_BASE + UIDS for owner in owners)
        maps = [process_file(each, "uid_map").split() for each in running]
        assert maps == [["0", str(UID_BASE), "1", "993", str(owner), "1"] for owner in owners]
        assert len(set(farm.driver.zygote_ids().values())) == 2
        assert set(farm.driver.zygote_ids()) == set(kinds)
        for each in running:
            await each.close()

    in_farm(scenario)


def test_two_hundred_lives_leave_nothing(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        code = farm.write_code({"app.py": ECHO})

        async def live() -> None:
            sandbox = await farm.driver.create(farm.kind())
            running = await farm.specialise(sandbox, code)
            await running.connect()
            assert await running.ask(7) == {"event": 7}
            await running.close()

        async def lives() -> None:
            for _ in range(50):
                await live()

        await live()
        before = len(os.listdir("/proc/self/fd"))
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(lives())
        assert len(os.listdir("/proc/self/fd")) == before

    in_farm(scenario)
