"""Archives of Java classes: made once, whole or not at all."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from lambent.environments.sandbox import java_archive
from lambent.environments.sandbox.java_archive import JavaArchives, archive_name
from lambent.environments.sandbox.sandbox import (
    Interpreter,
    RuntimeExit,
    RuntimeFamily,
    Sandbox,
    SandboxError,
    SandboxKind,
    Specialisation,
)

if TYPE_CHECKING:
    from pathlib import Path

_CONTENT = bytes(range(256)) * 2_000


class _FakeSandbox:
    """Says what it was given over its log, then ends."""

    def __init__(self, content: bytes, code: int) -> None:
        self.log_fd, self._write_fd = os.pipe2(os.O_NONBLOCK)
        os.set_blocking(self._write_fd, True)
        self._content = content
        self._code = code
        self.specialisation: Specialisation | None = None

    async def specialise(self, specialisation: Specialisation) -> None:
        self.specialisation = specialisation

    async def wait_exited(self) -> RuntimeExit:
        await asyncio.to_thread(os.write, self._write_fd, self._content)
        return RuntimeExit(self._code, None)

    async def close(self) -> None:
        os.close(self.log_fd)
        os.close(self._write_fd)


class _Scene:
    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(java_archive, "_PAUSE_SECONDS", 0.0)
        self.directory = tmp_path / "java"
        client = tmp_path / "client"
        client.mkdir()
        (client / "lambent-runtime.jar").write_bytes(b"jar")
        self.executable = tmp_path / "java-program"
        self.executable.write_bytes(b"java")
        self.interpreter = Interpreter(RuntimeFamily.JAVA, str(self.executable), "17.0.1")
        self.kind = SandboxKind(RuntimeFamily.JAVA, "0", self.interpreter, str(client), memory_mib=128)
        self.sandboxes: list[_FakeSandbox] = []
        self.outcomes: list[tuple[bytes, int] | SandboxError] = []
        self.archives = JavaArchives(self._create)

    async def _create(self, kind: SandboxKind) -> Sandbox:
        assert kind.family is RuntimeFamily.EXEC
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, SandboxError):
            raise outcome
        self.sandboxes.append(_FakeSandbox(*outcome))
        return self.sandboxes[-1]  # type: ignore[return-value]

    async def run_until(self, is_done: object) -> None:
        """Run the maker until the callable says so."""
        assert callable(is_done)
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.archives.run(self.directory))
            while not is_done():
                await asyncio.sleep(0.001)
            running.cancel()


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Scene:
    return _Scene(tmp_path, monkeypatch)


async def test_made_once_and_found_again(scene: _Scene) -> None:
    """Also after a crash, whose unfinished work is removed, as are archives of an earlier state of the JVM."""
    name = archive_name(scene.interpreter, str(scene.kind.client_directory))
    scene.outcomes.append((_CONTENT, 0))
    for left in (f"{name}.partial", f"{name[:16]}-0123456789abcdef", "another-machine"):
        (scene.directory / left).mkdir(parents=True)
    assert scene.archives.path_of(scene.kind) is None
    await scene.run_until(lambda: scene.archives.path_of(scene.kind) is not None)
    assert scene.archives.path_of(scene.kind) == f"java/{name}"
    assert (scene.directory / name / "runtime.jsa").read_bytes() == _CONTENT
    assert sorted(os.listdir(scene.directory)) == sorted([name, "another-machine"])
    (sandbox,) = scene.sandboxes
    assert sandbox.specialisation is not None
    assert sandbox.specialisation.code_directory == f"java/{name}.partial"
    again = JavaArchives(scene._create)
    scene.archives = again
    await scene.run_until(lambda: again.path_of(scene.kind) is not None)
    assert len(scene.sandboxes) == 1


@pytest.mark.parametrize("outcome", [(_CONTENT, 1), SandboxError("no sandbox")])
async def test_one_that_fails_is_not_used(scene: _Scene, outcome: tuple[bytes, int] | SandboxError) -> None:
    """Nothing is left of it, and the virtual machine starts without."""
    scene.outcomes.append(outcome)
    other = Interpreter(RuntimeFamily.JAVA, str(scene.executable), "8.0.402")
    old = SandboxKind(RuntimeFamily.JAVA, "0", other, str(scene.directory.parent / "no-such-client"))
    asked = False

    def is_done() -> bool:
        nonlocal asked
        assert scene.archives.path_of(scene.kind) is None
        assert scene.archives.path_of(old) is None
        asked = asked or scene.directory.is_dir()
        return asked and not scene.outcomes and not os.listdir(scene.directory)

    await scene.run_until(is_done)
    assert os.listdir(scene.directory) == []


async def test_other_families_have_none(scene: _Scene) -> None:
    scene.directory.mkdir()
    node = SandboxKind(RuntimeFamily.NODEJS, "0", scene.interpreter, scene.kind.client_directory, memory_mib=128)
    assert scene.archives.path_of(node) is None


def test_names_follow_what_an_archive_is_made_from(scene: _Scene) -> None:
    client = str(scene.kind.client_directory)
    first = archive_name(scene.interpreter, client)
    scene.executable.write_bytes(b"another java")
    second = archive_name(scene.interpreter, client)
    assert first != second
    assert first[:16] == second[:16]
