"""Level 1: an ordinary user's sandboxes. Run as root these tests become that user."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox import any_user
from tests.sandbox.conftest import SLOWNESS
from tests.sandbox.fixtures import names
from tests.sandbox.fixtures.beside import check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
# Nobody's account, and another one for each run: processes are counted per account.
NOBODY = 50_000 + os.getpid() % 10_000


@pytest.fixture
def as_user(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Run one scenario of fixtures/rootless.py as an ordinary user."""

    def run(name: str, cgroup: Path | None = None) -> dict[str, Any]:
        command = [sys.executable]
        if os.geteuid() == 0:
            command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", _interpreter()]
            for directory in (tmp_path, *tmp_path.parents[:2]):
                directory.chmod(0o755)
            os.chown(tmp_path, NOBODY, NOBODY)
        command += [str(HERE / "fixtures/rootless.py"), str(tmp_path), str(HERE / "conftest.py"), name]
        if cgroup is not None:
            command = ["/bin/sh", "-c", 'echo 0 >"$0" && exec "$@"', str(cgroup / "cgroup.procs"), *command]
        environment = {**any_user.variables(), "PATH": os.environ["PATH"], "TESTS_SLOWNESS": str(SLOWNESS)}
        result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/", check=False)
        if "no user namespace for an ordinary user" in result.stderr:
            pytest.skip("this machine allows no user namespaces to ordinary users")
        assert result.returncode == 0, result.stderr
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    return run


@pytest.fixture
def delegation() -> Iterator[Path]:
    """A v2 cgroup that is the ordinary user's, made as systemd makes one with Delegate=yes."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    root = next((Path(fields[1]) for fields in mounts if fields[2] == "cgroup2"), None)
    if root is None:
        pytest.skip("this host has no cgroup v2 hierarchy")
    for controller in (root / "cgroup.controllers").read_text().split():
        with contextlib.suppress(OSError):
            (root / "cgroup.subtree_control").write_text(f"+{controller}")
    directory = root / f"delegated-to-{NOBODY}"
    directory.mkdir()
    for path in (directory, *(directory / f"cgroup.{name}" for name in ("procs", "threads", "subtree_control"))):
        os.chown(path, NOBODY, NOBODY)
    yield directory
    assert [path.name for path in directory.iterdir() if path.is_dir()] in ([], ["lambent-members"])
    for path in (directory / "lambent-members", directory):
        with contextlib.suppress(FileNotFoundError):
            path.rmdir()


def is_delegated() -> bool:
    """Whether the user who runs the tests does so in a cgroup of that user's own."""
    own = next((line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")), "0::")
    return os.geteuid() != 0 and os.access(f"/sys/fs/cgroup{own[3:]}/cgroup.procs", os.W_OK)


def test_extensions_run_beside_the_runtime(as_user: Callable[..., dict[str, Any]]) -> None:
    check(as_user("beside"))


def test_names_of_aws_lead_to_us(as_user: Callable[..., dict[str, Any]]) -> None:
    names.check(as_user("aws_names"))


def _interpreter() -> str:
    path = any_user.interpreter()
    if path is None:
        pytest.skip(any_user.MISSING)
    return path


def test_life(as_user: Callable[[str], dict[str, Any]]) -> None:
    seen = as_user("look")
    assert seen["level"] == "L1"
    assert seen["uid"] == 993
    assert seen["tmp"] == seen["tmp after reset"] == ["kept"]
    assert seen["processes"] == ["1", "2"]
    assert "home" not in seen["root"]
    assert seen["links"] == ["lo"]
    assert "CapEff:\t0000000000000000" in seen["status"]
    assert "Seccomp:\t2" in seen["status"]
    assert seen["left"] == []
    assert ("cgroup memory" not in seen["missing"]) is is_delegated()


def test_memory_is_watched(as_user: Callable[[str], dict[str, Any]]) -> None:
    assert as_user("memory") == {"signal": signal.SIGKILL, "is_out_of_memory": True, "answer": 60 << 20}


def test_disk_is_watched(as_user: Callable[[str], dict[str, Any]]) -> None:
    assert as_user("disk") == {"signal": signal.SIGKILL, "is_out_of_memory": False}


def test_processes_are_counted_per_sandbox(as_user: Callable[[str], dict[str, Any]]) -> None:
    seen = as_user("forks")
    assert seen["errno"] == errno.EAGAIN
    assert 500 <= seen["count"] <= 1024


@pytest.mark.usefixtures("needs_root")
def test_a_delegated_cgroup_limits(as_user: Callable[..., dict[str, Any]], delegation: Path) -> None:
    given = set((delegation / "cgroup.controllers").read_text().split()) & {"memory", "cpu", "pids"}
    seen = as_user("delegated", delegation)
    assert seen["level"] == "L1"
    missing = {name.removeprefix("cgroup ") for name in seen["missing"] if name.startswith("cgroup ")}
    assert missing == {"memory", "cpu"} - given
    assert seen["is_out_of_memory"]
    assert "memory" not in given or 60 <= seen["peak_mib"] <= 100
    expected = {
        "memory": ("memory.max", str(128 << 20)),
        "cpu": ("cpu.max", "10000 20000"),
        "pids": ("pids.max", "1100"),
    }
    assert seen["limits"] == dict(expected[controller] for controller in given)
    assert seen["members"] == f"/{delegation.name}" + ("/lambent-members" if given else "")


def test_a_root_of_an_image(as_user: Callable[..., dict[str, Any]]) -> None:
    seen = as_user("image_root")
    text = "\n".join(seen["lines"])
    # From Linux 6.5 on overlayfs takes layers by descriptor, an ordinary user's too; before, they are merged.
    kernel = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    assert ("overlay" in seen["missing"]) == (kernel < (6, 5))
    assert seen["lines"][0] == "993"
    assert "new file" in text.replace("\n", "")
    assert "touch: /new: Read-only file system" in text
    assert "tmp" in seen["lines"]
    assert seen["lines"][-1] == "end"
