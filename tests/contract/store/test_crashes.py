"""Kill -9 amid writes, a full disk, and secrets that must be nowhere in clear."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lambent.model.errors import ServiceError
from tests.contract.store.conftest import a_function, open_sqlite

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lambent.store import SqliteFunctionStore

# Writes functions as fast as it can and says which are answered; every function has a tag with its own number.
_WRITER = """
import asyncio, pathlib, sys
from tests.contract.store.conftest import a_function, open_sqlite

async def main():
    store = open_sqlite(pathlib.Path(sys.argv[1]))
    async def write(lane):
        number = 0
        while True:
            name = f"{lane}-{number:05}"
            await store.insert(a_function(name, environment={"NAME": name}), {"name": name})
            print(name, flush=True)
            if number % 3 == 2:
                await store.delete(a_function(name).arn)
                print("-" + name, flush=True)
            number += 1
    async with asyncio.TaskGroup() as tasks:
        for lane in range(8):
            tasks.create_task(write(lane))

asyncio.run(main())
"""

_FULL = """
import asyncio, pathlib, resource, sys
from lambent.model.errors import ServiceError
from tests.contract.store.conftest import a_function, open_sqlite

async def main():
    store = open_sqlite(pathlib.Path(sys.argv[1]))
    await store.insert(a_function("before"), {})
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    refused = 0
    for number in range(40):
        try:
            await store.insert(a_function(str(number), description="x" * 20_000), {})
        except ServiceError as error:
            assert "nothing was changed" in error.message, error.message
            refused += 1
            assert await store.get(a_function(str(number)).arn) is None
    assert refused > 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await store.insert(a_function("after"), {})
    count, _ = await store.usage("000000000000", "us-east-1")
    assert count == 42 - refused, (count, refused)
    await store.close()
    print("refused", refused)

asyncio.run(main())
"""


def write_until_killed(data_directory: Path, lines: int) -> list[str]:
    """Return what the writer said was answered: at least `lines`, up to its death."""
    command = [sys.executable, "-c", _WRITER, str(data_directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline().strip() for _ in range(lines)]
        os.kill(writer.pid, signal.SIGKILL)
        return told + writer.stdout.read().split()


@pytest.mark.slow
@pytest.mark.parametrize("lines", [1, 40, 200])
async def test_kill_9_keeps_what_was_answered_and_nothing_half(tmp_path: Path, lines: int) -> None:
    told = await asyncio.to_thread(write_until_killed, tmp_path, lines)
    assert all(told), "the writer must not end by itself"
    deleted = {name[1:] for name in told if name.startswith("-")}
    kept = {name for name in told if not name.startswith("-")} - deleted

    store = open_sqlite(tmp_path)
    found = {f.name: f for f in await store.list_functions("000000000000", "us-east-1", after_name=None, limit=100_000)}
    # At most one write of each lane was committed and not answered.
    assert deleted.isdisjoint(found)
    missing = kept - found.keys()
    assert all(int(name.rpartition("-")[2]) % 3 == 2 for name in missing), missing
    assert len(missing) + len(found.keys() - kept) <= 8
    for name, function in found.items():
        assert function.environment == {"NAME": name}
        assert await store.get_tags(function.arn) == {"name": name}
    await store.insert(a_function("after"), {})
    await store.close()


@pytest.mark.slow
def test_a_full_disk_is_told_and_later_work_goes_on(tmp_path: Path) -> None:
    # A limit on the size of files is a full disk without the rights to make one.
    run = subprocess.run([sys.executable, "-c", _FULL, str(tmp_path)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("refused")


async def test_secrets_are_nowhere_in_clear(
    opener: Callable[[Path], SqliteFunctionStore], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "planted-5ecret-planted"
    function = a_function(environment={"NAME_OF_SECRET": secret})
    assert secret not in repr(function)
    store = opener(tmp_path)
    await store.insert(function, {})
    await store.update(a_function(environment={"A": secret}, revision_id="r2"), expected_revision_id="r1")
    with pytest.raises(ServiceError):
        await store._writer.write(lambda connection: connection.execute("SELECT * FROM nowhere", (secret,)))

    def search() -> None:
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert {"lambent.db", "lambent.db-wal"} <= {path.name for path in files} or store._writer._is_closed
        for path in files:
            content = path.read_bytes()
            assert secret.encode() not in content, path
            assert b"NAME_OF_SECRET" not in content, path

    search()
    await store.close()
    search()
    assert secret not in caplog.text


async def test_a_sealed_environment_does_not_open_in_another_row(
    opener: Callable[[Path], SqliteFunctionStore], tmp_path: Path
) -> None:
    store = opener(tmp_path)
    await store.insert(a_function("rich", environment={"SECRET": "x"}), {})
    await store.insert(a_function("thief"), {})

    def steal(connection: object) -> None:
        connection.execute(  # type: ignore[attr-defined]
            "UPDATE functions SET environment = (SELECT environment FROM functions WHERE name = 'rich') "
            "WHERE name = 'thief'"
        )

    await store._writer.write(steal)
    with pytest.raises(ServiceError, match="cannot be opened"):
        await store.get(a_function("thief").arn)
    await store.close()
