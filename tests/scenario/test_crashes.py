"""Processes of ours that die: calls fail clearly or are repeated, state is as committed, the pool heals."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import create_function, invoke

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

ECHO = "def handler(event, context):\n    return event\n"


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def works_again(client: Any, name: str) -> bool:
    try:
        return bool(invoke(client, name, 1) == 1)
    except (client.exceptions.ClientError, AssertionError):
        return False


def supervisor(server: LambentServer) -> int | None:
    """Return the process id of the launcher's supervisor, the guard's child; None while there is none."""
    (guard,) = [pid for pid in children(server.pid) if "launcher" in command(pid)]
    return next((pid for pid in children(guard) if command(pid)), None)


def test_kill_nine_keeps_what_was_committed(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory()
    client = server.client()
    for number in range(5):
        create_function(
            client, f"kept-{number}", {"index.py": ECHO}, Environment={"Variables": {"NUMBER": str(number)}}
        )
    invoke(client, "kept-0", 1)
    server.kill()
    server.start()
    client = server.client()
    assert [function["FunctionName"] for function in client.list_functions()["Functions"]] == [
        f"kept-{number}" for number in range(5)
    ]
    assert client.get_function_configuration(FunctionName="kept-3")["Environment"] == {"Variables": {"NUMBER": "3"}}
    assert invoke(client, "kept-3", {"a": 1}) == {"a": 1}


def test_a_killed_supervisor_is_replaced(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory()
    client = server.client()
    create_function(client, "echo", {"index.py": ECHO})
    assert invoke(client, "echo", 1) == 1
    before = supervisor(server)
    assert before is not None
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: supervisor(server) not in (None, before))
    wait_until(lambda: works_again(client, "echo"))


def test_a_killed_supervisor_under_load_loses_no_answer(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory()
    client = server.client()
    code = "import time\ndef handler(event, context):\n    time.sleep(0.05)\n    return event\n"
    create_function(client, "busy", {"index.py": code})
    invoke(client, "busy", 0)

    def call(number: int) -> str:
        if number == 60:
            victim = supervisor(server)
            assert victim is not None
            os.kill(victim, signal.SIGKILL)
        mine = server.client()
        try:
            return "ok" if invoke(mine, "busy", number) == number else "wrong"
        except mine.exceptions.ClientError as error:
            return str(error.response["Error"]["Code"])

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(call, range(200)))
    assert set(answers) <= {"ok", "ServiceException"}
    assert answers.count("ok") >= 150
    wait_until(lambda: works_again(client, "busy"))


def test_one_daemon_for_a_data_directory(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory()
    with pytest.raises(AssertionError, match="data directory"):
        lambent_server_factory(data_dir=server.data_dir)
    assert server.get("/_lambent/health")[0] == 200


def test_a_planted_secret_is_nowhere_on_disk(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory()
    client = server.client()
    secret = "planted-" + os.urandom(12).hex()
    create_function(client, "secretive", {"index.py": ECHO}, Environment={"Variables": {"TOKEN": secret}})
    invoke(client, "secretive", 1)
    client.update_function_configuration(FunctionName="secretive", Environment={"Variables": {"TOKEN": secret + "2"}})
    # What functions write into their own /tmp is theirs, and comes and goes.
    found = [
        str(path)
        for top in server.data_dir.iterdir()
        if top.name != "tmp-images"
        for path in (top, *top.rglob("*"))
        if path.is_file() and secret.encode() in path.read_bytes()
    ]
    assert found == []
    assert secret not in server.output()
