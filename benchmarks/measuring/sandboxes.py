"""Environments made and destroyed per second, driven through the sandbox driver itself, without the door.

Runs as a program of its own (`python -m benchmarks.measuring.sandboxes --egress none`) and prints one JSON object, so
that the launcher is started by a small process. The launcher gets a network namespace of its own in place of the
host's: links are made and destroyed, but never among this machine's.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measuring.rows import Row, missing
from lambent.environments.sandbox.launch import Launcher, LauncherOptions, start_launcher
from lambent.environments.sandbox.launcher import netlink, syscalls
from lambent.environments.sandbox.namespaces import NamespaceDriver
from lambent.environments.sandbox.sandbox import Interpreter, RuntimeFamily, SandboxKind, Specialisation

if TYPE_CHECKING:
    from benchmarks.measuring.context import Context

UID_BASE = 4_000_000
WORKERS = 3
NEXT_SECONDS = 10.0
_TARGETS = {"none": (340.0, "without a link"), "open": (220.0, "with a veth pair each")}


def rows(context: Context) -> list[Row]:
    """Run the program for both kinds of network."""
    if os.geteuid() != 0:
        return [
            missing("churn", "environments created and destroyed", "1/s", "the driver's levels L2 and L3 need root")
        ]
    found = []
    for egress, (target, words) in _TARGETS.items():
        key, what = f"churn_{egress}", f"environments created and destroyed per second, {words}"
        command = [
            sys.executable,
            "-m",
            "benchmarks.measuring.sandboxes",
            "--egress",
            egress,
            "--seconds",
            str(context.seconds),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            found.append(missing(key, what, "1/s", done.stderr.strip()[-300:]))
            continue
        seen = json.loads(done.stdout)
        found.append(Row(key, what, seen["created_per_second"], "1/s", target, is_high_good=True, detail=seen))
        what = f"environments created, specialised, started and destroyed per second, {words}"
        found.append(Row(f"{key}_started", what, seen["started_per_second"], "1/s", is_high_good=True))
    return found


def _start_in_own_network(options: LauncherOptions) -> Launcher:
    started: list[Launcher] = []

    def start() -> None:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        netlink.bring_up_loopback()
        started.append(start_launcher(options))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    return started[0]


class _Churn:
    def __init__(self, driver: NamespaceDriver, kind: SandboxKind, seconds: float) -> None:
        self._driver, self._kind, self._seconds = driver, kind, seconds
        self.done = 0

    async def run(self, *, is_started: bool) -> float:
        """Make and destroy for the time given; return how many per second."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        self.done = 0

        async def work() -> None:
            while loop.time() < begin + self._seconds:
                await self._one(is_started=is_started)
                self.done += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(work())
        return self.done / (loop.time() - begin)

    async def _one(self, *, is_started: bool) -> None:
        sandbox = await self._driver.create(self._kind)
        try:
            if is_started:
                variables = {
                    "AWS_LAMBDA_RUNTIME_API": sandbox.runtime_api_address, "_HANDLER": "app.handler",
                    "LAMBDA_TASK_ROOT": "/var/task", "AWS_LAMBDA_FUNCTION_NAME": "f",
                    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
                    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_REGION": "us-east-1", "PATH": "/usr/bin:/bin",
                }  # fmt: skip
                await sandbox.specialise(Specialisation("code/f", 256, 512, variables))
                sandbox.runtime_listener.setblocking(False)
                async with asyncio.timeout(NEXT_SECONDS):
                    connection, _ = await asyncio.get_running_loop().sock_accept(sandbox.runtime_listener)
                connection.close()
        finally:
            await sandbox.close()


def _own_interpreter() -> Interpreter:
    version = ".".join(str(part) for part in sys.version_info[:3])
    roots = (os.path.realpath(sys.base_prefix),)
    return Interpreter(RuntimeFamily.PYTHON, os.path.realpath(sys.executable), version, roots)


async def _measure(data: Path, egress: str, seconds: float) -> dict[str, float]:
    interpreter = _own_interpreter()
    launcher = await asyncio.to_thread(
        _start_in_own_network,
        LauncherOptions(data, (*interpreter.roots, str(data / "client")), uid_base=UID_BASE, egress=egress),
    )
    try:
        driver = NamespaceDriver(launcher.socket)
        async with asyncio.TaskGroup() as group:
            loop = group.create_task(driver.run())
            await driver.wait_ready()
            kind = SandboxKind(RuntimeFamily.PYTHON, "000000000000", interpreter, str(data / "client"))
            churn = _Churn(driver, kind, seconds)
            await (await driver.create(kind)).close()
            created = await churn.run(is_started=False)
            started = await churn.run(is_started=True)
            loop.cancel()
    finally:
        launcher.stop()
    return {"created_per_second": created, "started_per_second": started, "workers": WORKERS, "seconds": seconds}


def main() -> None:
    """Measure one kind of network and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--egress", choices=tuple(_TARGETS), default="none")
    parser.add_argument("--seconds", type=float, default=5)
    arguments = parser.parse_args()
    data = Path(tempfile.mkdtemp(prefix="lambent-bench-"))
    data.chmod(0o755)
    clients = Path(__file__).resolve().parents[2] / "src/lambent/environments/runtimes/clients/python"
    shutil.copytree(clients, data / "client")
    (data / "code" / "f").mkdir(parents=True)
    (data / "code" / "f" / "app.py").write_text("def handler(event, context):\n    return None\n")
    begin = time.monotonic()
    try:
        seen = asyncio.run(_measure(data, arguments.egress, arguments.seconds))
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(data)
    print(json.dumps(seen | {"whole_seconds": time.monotonic() - begin}))


if __name__ == "__main__":
    main()
