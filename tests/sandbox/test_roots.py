"""A sandbox whose root is an image's: what it sees, what stays outside, what a hostile daemon may not name."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from lambent.environments.sandbox.sandbox import RuntimeFamily, SandboxError, SandboxRoot, Specialisation
from lambent.images.layers.merging import MergeJob, merge_layers
from lambent.images.layers.unpacking import UnpackJob, unpack_layer
from lambent.images.trees import make_places
from tests.images import Entry, hex_of, make_tar
from tests.sandbox.conftest import DAEMON_UID

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.sandbox.conftest import Farm

pytestmark = pytest.mark.slow

LOOK = """
cd /
/bin/busybox id -u; /bin/busybox stat -c '%u' /bin/busybox; /bin/busybox ls / | /bin/busybox tr '\\n' ' '
/bin/busybox cat /data/file; /bin/busybox ls /data | /bin/busybox tr '\\n' ' '
/bin/busybox touch /new 2>&1; /bin/busybox touch /tmp/new && echo tmp
/bin/busybox mount -t tmpfs none /mnt 2>&1; /bin/busybox mknod /tmp/null c 1 3 2>&1
/bin/busybox cat /proc/1/environ 2>&1; /bin/busybox ls /proc/1/root 2>&1; echo end
"""


def unpack(data: Path, members: list[tuple[str, Entry | bytes | str]]) -> str:
    """Unpack a layer where the daemon does, and return its name."""
    layers = data / "images" / "layers"
    layers.mkdir(parents=True, exist_ok=True)
    make_places(data / "images" / "places")
    content = make_tar(members)
    packed = gzip.compress(content, 1)
    blob = data / "images" / "blob"
    blob.write_bytes(packed)
    name = hex_of(content)
    job = UnpackJob(str(blob), str(layers / name), hex_of(packed), name, 1 << 30)
    assert unpack_layer(job).refusal is None
    blob.unlink()
    return name


def two_layers(data: Path) -> tuple[str, ...]:
    """Return a shell with something in it, and a layer that changes and removes."""
    shell = shutil.which("busybox")
    assert shell is not None
    with open(shell, "rb") as file:
        program = file.read()
    members: list[tuple[str, Entry | bytes | str]] = [
        ("bin/busybox", program),
        ("data/file", "old"),
        ("data/gone", "x"),
    ]
    lower = unpack(data, [*members, ("mnt/x", ""), ("etc/hosts", "not ours"), ("tmp", Entry(kind=b"2", link="/etc"))])
    return lower, unpack(data, [("data/file", "new "), ("data/.wh.gone", "")])


def merged(data: Path, layers: tuple[str, ...]) -> str:
    """Merge layers into one, as the daemon does where overlayfs cannot be used, and return its name."""
    name = "0" * 64
    paths = tuple(str(data / "images" / "layers" / layer) for layer in layers)
    merge_layers(MergeJob(paths, str(data / "images" / "places"), str(data / "images" / "layers" / name)))
    return name


async def said(farm: Farm, root: SandboxRoot, script: str = LOOK, **changes: Any) -> list[str]:
    """Run a script of the shell in a root and return the lines that it wrote."""
    sandbox = await farm.driver.create(farm.kind(RuntimeFamily.EXEC))
    values: dict[str, Any] = {"memory_mib": 128, "ephemeral_storage_mib": 512, "variables": {"A": "B"}, **changes}
    argv = ("/bin/busybox", "sh", "-c", script)
    try:
        await sandbox.specialise(Specialisation(code_directory=None, root=root, argv=argv, **values))
        async with asyncio.timeout(20):
            await sandbox.wait_exited()
        return os.read(sandbox.log_fd, 1 << 16).decode().splitlines()
    finally:
        await sandbox.close()


@pytest.mark.parametrize("is_merged", [False, True])
def test_what_is_seen(in_farm: Callable[..., None], tmp_path: Path, is_merged: bool) -> None:
    async def scenario(farm: Farm) -> None:
        layers = two_layers(farm.data)
        if is_merged:
            layers = (merged(farm.data, layers),)
        lines = await said(farm, SandboxRoot(layers, is_merged))
        text = "\n".join(lines)
        assert lines[0] == "993"
        assert "new file" in text.replace("\n", ""), text
        assert "gone" not in text
        assert "bin data dev etc mnt opt proc sys tmp var" in text
        assert "touch: /new: Read-only file system" in text
        assert "tmp" in lines
        assert text.count("Operation not permitted") + text.count("Permission denied") >= 3
        assert lines[-1] == "end"
        hosts = await said(
            farm, SandboxRoot(layers, is_merged), "/bin/busybox cat /etc/hosts; /bin/busybox ls -d /tmp/."
        )
        assert hosts[0].startswith("127.0.0.1")
        assert "not ours" not in hosts

    in_farm(scenario)


@pytest.mark.usefixtures("needs_root")
def test_files_belong_to_root_inside(in_farm: Callable[..., None], tmp_path: Path) -> None:
    async def scenario(farm: Farm) -> None:
        layers = two_layers(farm.data)
        for parent, names, files in os.walk(farm.data / "images"):
            for name in (*names, *files):
                os.chown(os.path.join(parent, name), DAEMON_UID, DAEMON_UID, follow_symlinks=False)
        script = "/bin/busybox stat -c %u:%g /bin/busybox /data /data/file"
        assert await said(farm, SandboxRoot(layers), script) == ["0:0"] * 3

    os.chown(tmp_path, DAEMON_UID, DAEMON_UID)
    in_farm(scenario)


def test_a_layer_that_came_again_is_another(in_farm: Callable[..., None], tmp_path: Path) -> None:
    async def scenario(farm: Farm) -> None:
        layers = two_layers(farm.data)
        for _ in range(3):
            assert await said(farm, SandboxRoot(layers), "/bin/busybox cat /data/file") == ["new "]
        for name in layers:
            shutil.rmtree(farm.data / "images" / "layers" / name)
        with pytest.raises(SandboxError):
            await said(farm, SandboxRoot(layers), "true")
        assert two_layers(farm.data) == layers
        assert await said(farm, SandboxRoot(layers), "/bin/busybox cat /data/file") == ["new "]

    in_farm(scenario)


def test_programs_that_are_not_there(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        layers = two_layers(farm.data)
        sandbox = await farm.driver.create(farm.kind(RuntimeFamily.EXEC))
        root = SandboxRoot(layers, working_directory="/nowhere")
        asked = Specialisation(None, 128, 512, {}, argv=("x",), root=root)
        await sandbox.specialise(asked)
        ended = await sandbox.wait_exited()
        assert ended.start_failure == ("Runtime.InvalidWorkingDir", "chdir /nowhere: no such file or directory")
        await sandbox.reset()
        assert (await sandbox.wait_exited()).start_failure == ended.start_failure, "told after every reset"
        await sandbox.close()

    in_farm(scenario)


@pytest.mark.parametrize(
    "layers",
    [
        ("../../../../etc",),
        ("/etc",),
        ("0" * 63,),
        ("0" * 63 + "g",),
        ("0" * 64,) * 128,
        ("0" * 64,),
        (),
    ],
)
def test_roots_that_a_hostile_daemon_names(in_farm: Callable[..., None], layers: tuple[str, ...]) -> None:
    async def scenario(farm: Farm) -> None:
        with pytest.raises(SandboxError):
            await said(farm, SandboxRoot(layers))
        good = two_layers(farm.data)
        with pytest.raises(SandboxError):
            await said(farm, replace(SandboxRoot(good), is_merged=True))
        outside = farm.data / "images" / "layers" / ("1" * 64)
        outside.mkdir()
        (outside / "tree").symlink_to("/etc")
        with pytest.raises(SandboxError):
            await said(farm, SandboxRoot((good[0], "1" * 64)))
        assert await said(farm, SandboxRoot(good), "echo well") == ["well"]

    in_farm(scenario)
