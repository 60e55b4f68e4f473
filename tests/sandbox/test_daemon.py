"""The daemon without rights: it can do everything it needs, and when it is killed nothing of its sandboxes lives on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent


@contextmanager
def daemon(data: Path, *, stays: bool = False) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Run the unprivileged daemon; yields it and its report."""
    if os.geteuid() != 0:
        pytest.skip("levels L2 and L3 need root")
    for directory in (data, *data.parents[:2]):
        directory.chmod(0o755)
    data.joinpath("code").mkdir()
    for path in (data, data / "code"):
        os.chown(path, 64990, 64990)
    command = [sys.executable, str(HERE / "fixtures/daemon.py"), str(data), str(HERE / "conftest.py")]
    with subprocess.Popen([*command, "stay" if stays else "end"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            if stays:
                process.kill()


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_daemon_without_rights(tmp_path: Path) -> None:
    with daemon(tmp_path) as (process, report):
        assert process.wait(20) == 0
    assert report["answer"] == 993
    assert report["level"] == "L2"
    assert report["missing"] == {}
    assert 1 <= report["peak_mib"] < 40
    assert not report["root"]
    for line in (
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Uid:\t64990\t64990\t64990",
    ):
        assert line in report["status"]


def test_daemon_killed(tmp_path: Path) -> None:
    with daemon(tmp_path, stays=True) as (process, report):
        assert is_alive(report["guard"])
        process.kill()
        deadline = time.monotonic() + 10
        while any(is_alive(report[name]) for name in ("guard", "pid")) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not is_alive(report["guard"])
        assert not is_alive(report["pid"])
        identity = tmp_path.joinpath("launcher/installation-id").read_text()
        assert list(Path("/sys/fs/cgroup").glob(f"**/lambent-{identity}/e*")) == []
