"""What the system call filter refuses, asked from inside; and that ordinary programs do not notice it."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import pytest

from lambent.environments.sandbox.launcher import seccomp, syscalls

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.conftest import Farm

pytestmark = pytest.mark.slow

ASK = """
import ctypes, os, socket, subprocess, threading
libc = ctypes.CDLL(None, use_errno=True)

def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(value) for value in (*arguments, 0, 0, 0, 0, 0)][:6])
    return ctypes.get_errno() if result == -1 else 0

def family(number):
    try:
        socket.socket(number, socket.SOCK_STREAM if number != 16 else socket.SOCK_RAW).close()
    except OSError as error:
        return error.errno
    return 0

def handler(event):
    if "calls" in event:
        return {name: call(number, *arguments) for name, (number, arguments) in event["calls"].items()}
    if "families" in event:
        return {str(number): family(number) for number in event["families"]}
    thread = threading.Thread(target=lambda: None); thread.start(); thread.join()
    return subprocess.run(["/bin/sh", "-c", "echo $((6 * 7))"], stdout=subprocess.PIPE).stdout.decode()
"""


def test_denied_calls(in_farm: Callable[..., None]) -> None:
    column = 1 if syscalls.IS_AARCH64 else 0
    numbers = {name: each[column] for name, each in seccomp.DENIED.items() if each[column] is not None}
    assert len(numbers) >= 50
    calls: dict[str, tuple[int | None, tuple[int, ...]]] = {name: (number, ()) for name, number in numbers.items()}
    for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        calls[f"clone {flag:#x}"] = (syscalls.NR_CLONE, (flag | 17,))

    async def scenario(farm: Farm) -> None:
        running = await farm.run(ASK)
        answers = await running.ask({"calls": calls})
        assert {name: number for name, number in answers.items() if number != errno.EPERM} == {}
        assert await running.ask({"calls": {"clone3": (435, ())}}) == {"clone3": errno.ENOSYS}
        if not syscalls.IS_AARCH64:
            # getpid by its number of the x32 architecture
            assert await running.ask({"calls": {"x32": (0x40000000 + 39, ())}}) == {"x32": errno.ENOSYS}
        assert await running.ask({}) == "42\n"
        await running.close()

    in_farm(scenario)


def test_socket_families(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        running = await farm.run(ASK)
        answers = {int(number): code for number, code in (await running.ask({"families": list(range(46))})).items()}
        allowed = {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK}
        assert {number for number, code in answers.items() if code == 0} <= allowed
        assert {number for number, code in answers.items() if code != errno.EPERM} == allowed
        await running.close()

    in_farm(scenario)
