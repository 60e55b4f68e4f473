"""The supervisor's message door: a hostile daemon gains nothing and stops nothing."""

from __future__ import annotations

import array
import asyncio
import json
import os
import random
import socket
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from lambent.environments.sandbox.launcher.messages import SCHEMA, RefusedError, parse
from lambent.environments.sandbox.launcher.zygotes import ReadableDirectories
from lambent.environments.sandbox.sandbox import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.sandbox.conftest import Farm

ECHO = "def handler(event):\n    return event\n"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
GOOD: dict[str, Any] = {
    "kind": "create", "id": 1, "zygote": 2, "argv": ["a"], "shared": None, "generation": 1,
}  # fmt: skip


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_is_refused_or_ignored(data: bytes) -> None:
    with pytest.raises(RefusedError):
        parse(data, 1)


@given(st.sampled_from(sorted(SCHEMA)), st.dictionaries(st.sampled_from(["id", "zygote", "code", "argv"]), JSON))
def test_half_right_messages_are_refused(kind: str, members: dict[str, Any]) -> None:
    data = json.dumps({"kind": kind, "generation": 1} | members).encode()
    try:
        message = parse(data, 1)
    except RefusedError:
        return
    assert message is not None
    assert message.keys() - {"kind"} == SCHEMA[kind].keys()


@pytest.mark.parametrize(
    "change",
    [
        {"id": True},
        {"id": -1},
        {"id": 1.0},
        {"id": "1"},
        {"id": 2**40},
        {"argv": ["\0"]},
        {"argv": "a"},
        {"argv": ["x"] * 33},
        {"argv": ["x" * 5000]},
        {"extra": 1},
        {"kind": "exec"},
        {"kind": None},
        {"generation": True},
        {"generation": None},
    ],
)
def test_every_member_is_checked(change: dict[str, Any]) -> None:
    assert parse(json.dumps(GOOD).encode(), 1) is not None
    with pytest.raises(RefusedError):
        parse(json.dumps(GOOD | change).encode(), 1)


def test_messages_for_an_earlier_supervisor_are_dropped() -> None:
    assert parse(json.dumps(GOOD).encode(), 2) is None


@pytest.mark.parametrize("path", ["/etc", "/", "relative", "/opt/runtime/../../etc", "/opt/runtimes", "/usr/../etc"])
def test_directories_not_given_at_start_are_refused(path: str) -> None:
    readable = ReadableDirectories(("/opt/runtime",))
    readable.check("/opt/runtime/python3.11")
    readable.check("/usr/lib/jvm")
    with pytest.raises(RefusedError):
        readable.check(path)


@pytest.mark.slow
def test_the_supervisor_survives_a_hostile_daemon(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        bystander = await farm.run(ECHO)
        (zygote,) = farm.driver.zygote_ids().values()
        supervisor = farm.driver.supervisor_pid
        generator = random.Random(7)
        door = farm.launcher.socket.dup()
        door.setblocking(True)
        for _ in range(3000):
            data = _hostile(generator, bystander.sandbox.identifier)
            fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(generator.choice([0, 0, 0, 1, 3]))]
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
            await asyncio.sleep(0)
            door.sendmsg([data], ancillary)
            for fd in fds:
                os.close(fd)
        door.close()
        assert await bystander.ask("still here") == "still here"
        again = await farm.run(ECHO)
        assert await again.ask(1) == 1
        assert farm.driver.supervisor_pid == supervisor
        assert zygote in farm.driver.zygote_ids().values()
        # Only the descriptors of what lives: nothing that was sent along is kept.
        assert len(os.listdir(f"/proc/{supervisor}/fd")) < 60
        await bystander.close()
        await again.close()

    in_farm(scenario)


def _hostile(generator: random.Random, living: int) -> bytes:
    """One packet: noise, almost right, or right and out of place. Never one that ends the bystander."""
    if generator.random() < 0.2:
        return generator.randbytes(generator.randint(1, 300))
    if generator.random() < 0.05:
        return b"[" * generator.randint(1, 60000)
    kind = generator.choice([*SCHEMA, "exec", "mount", ""])
    message: dict[str, Any] = {"kind": kind, "generation": generator.choice([1, 1, 1, 0, 2, "1"])}
    values = [
        living + 1000,
        living,
        0,
        -1,
        2**31,
        "../../etc",
        "/etc/shadow",
        "code/../../x",
        None,
        [],
        ["a"],
        True,
        "\0",
    ]
    for name in SCHEMA.get(kind, {"id": ("int", 0, 0)}):
        message[name] = generator.choice(values)
    if generator.random() < 0.1:
        message[generator.choice(["extra", "kind", "id"])] = generator.choice(values)
    if kind in ("close", "cpu") and message.get("id") == living:
        message["id"] = living + 1000
    return json.dumps(message).encode()


@pytest.mark.slow
@pytest.mark.usefixtures("needs_root")
def test_what_the_daemon_can_write_is_never_run_as_root(in_farm: Callable[..., None], tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    planted.mkdir()

    async def scenario(farm: Farm) -> None:
        with pytest.raises(SandboxError, match="not among the directories given at start"):
            await farm.driver.create(replace(farm.kind(), client_directory=str(planted)))

    os.chown(tmp_path, 64_990, 64_990)
    in_farm(scenario, readable=(str(planted),))
