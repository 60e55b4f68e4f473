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
from tests.contract.store.conftest import a_function

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.store.conftest import Place

# Writes functions as fast as it can and says which are answered; every function has a tag with its own number.
_WRITER = """
import asyncio, pathlib, sys
from tests.contract.store.conftest import Place, a_function

async def main():
    store = (await Place(pathlib.Path(sys.argv[1]), sys.argv[2]).open()).functions
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
from tests.contract.store.conftest import Place, a_function

async def main():
    opened = await Place(pathlib.Path(sys.argv[1])).open()
    store = opened.functions
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
    await opened.close()
    print("refused", refused)

asyncio.run(main())
"""


def write_until_killed(place: Place, lines: int) -> list[str]:
    """Return what the writer said was answered: at least `lines`, up to its death."""
    command = [sys.executable, "-c", _WRITER, str(place.directory), place.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline().strip() for _ in range(lines)]
        os.kill(writer.pid, signal.SIGKILL)
        return told + writer.stdout.read().split()


@pytest.mark.slow
@pytest.mark.parametrize("lines", [1, 40, 200])
async def test_kill_9_keeps_what_was_answered_and_nothing_half(place: Place, lines: int) -> None:
    told = await asyncio.to_thread(write_until_killed, place, lines)
    assert all(told), "the writer must not end by itself"
    deleted = {name[1:] for name in told if name.startswith("-")}
    kept = {name for name in told if not name.startswith("-")} - deleted

    opened = await place.open()
    store = opened.functions
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
    await opened.close()


@pytest.mark.slow
def test_a_full_disk_is_told_and_later_work_goes_on(tmp_path: Path) -> None:
    # A limit on the size of files is a full disk without the rights to make one.
    run = subprocess.run([sys.executable, "-c", _FULL, str(tmp_path)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("refused")


async def test_secrets_are_nowhere_in_clear(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    secret = "planted-5ecret-planted"
    function = a_function(environment={"NAME_OF_SECRET": secret})
    assert secret not in repr(function)
    opened = await place.open()
    await opened.functions.insert(function, {"tag": "in-clear"})
    await opened.functions.update(a_function(environment={"A": secret}, revision_id="r2"), expected_revision_id="r1")

    def search() -> None:
        contents = {path: path.read_bytes() for path in place.files()}
        assert any(b"in-clear" in content for content in contents.values()), "the search must see what is stored"
        for path, content in contents.items():
            assert secret.encode() not in content, path
            assert b"NAME_OF_SECRET" not in content, path

    search()
    await opened.close()
    search()
    assert secret not in caplog.text


async def test_a_sealed_environment_does_not_open_in_another_record(place: Place) -> None:
    opened = await place.open()
    store = opened.functions
    await store.insert(a_function("rich", environment={"SECRET": "x"}), {})
    await store.insert(a_function("thief"), {})
    await place.execute(
        "UPDATE records SET sealed = (SELECT sealed FROM records WHERE name = 'rich' AND kind = 'function') "
        "WHERE name = 'thief' AND kind = 'function'"
    )
    with pytest.raises(ServiceError, match="cannot be opened"):
        await store.get(a_function("thief").arn)
    await opened.close()
