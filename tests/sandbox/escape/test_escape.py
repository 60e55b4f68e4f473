"""Nobody gets out: every probe of the table, run as customer code in a real sandbox, at every level there is.

L0 keeps nobody in and is not tried. A probe tells what it got hold of; the right answer is nothing.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox import any_user
from tests.sandbox.escape.table import BOMBS, QUIET_PROBES

ROOT = Path(__file__).parents[3]
# How many times slower than usual the machine is: an emulated one is told so by scripts/prove-cgroup-v2.
SLOWNESS = float(os.environ.get("TESTS_SLOWNESS", "1"))
SCENE_SECONDS = 110 * SLOWNESS
HOST_MEMORY_MIB_MAX = 4_096
LEVELS = ("L2", "L1")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SCENE_SECONDS + 60)]

# A device node of the scene's own: udev's default does not let an ordinary user open the real one.
OWN_TUN = "mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200"
# Without pasta the launcher takes slirp4netns.
NO_PASTA = "mount --bind /dev/null /usr/bin/pasta"


def missing(level: str) -> str:
    """Return why this machine cannot play a level, or nothing."""
    if sys.platform != "linux" or shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin") is None:
        return "the escape suite needs Linux and nft"
    if level == "L2" and os.geteuid() != 0:
        return "levels L2 and L3 need root"
    if subprocess.run([*unshare(), "true"], check=False, capture_output=True).returncode:
        return "no network namespaces for this account"
    return "" if interpreter(level) else any_user.MISSING


def unshare() -> list[str]:
    own_user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *own_user, "--net", "--mount", "--fork", "--kill-child"]


def interpreter(level: str) -> str | None:
    """Return an interpreter that whoever plays the level can run."""
    return os.path.realpath(sys.executable) if level == "L2" else any_user.interpreter()


@functools.cache
def play(level: str, part: str, preparation: str = "true", *options: str) -> dict[str, Any]:
    reason = missing(level)
    if reason:
        pytest.skip(reason)
    scene = f"{interpreter(level)} {Path(__file__).with_name('scene.py')} {' '.join((level, part, *options))}"
    if level == "L1" and os.geteuid() == 0:
        preparation = f"{OWN_TUN} && {preparation}"
    environment = {
        "PATH": os.pathsep.join([*os.environ["PATH"].split(os.pathsep), "/usr/sbin", "/sbin"]),
        **any_user.variables(ROOT),
        "TESTS_SLOWNESS": str(SLOWNESS),
    }
    command = [*unshare(), "sh", "-c", f"{preparation} && exec {scene}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SCENE_SECONDS, env=environment)
    assert done.returncode == 0, done.stderr[-3_000:]
    seen: dict[str, Any] = json.loads(done.stdout)
    assert seen["level"] == level
    return seen


def check_host(seen: dict[str, Any]) -> None:
    """Host and neighbour are as they were."""
    for moment in ("host before", "host during", "host"):
        if moment in seen:
            assert seen[moment]["starts programs"]
            assert seen[moment]["answers"]
            assert seen[moment]["used_mib"] - seen["host before"]["used_mib"] < HOST_MEMORY_MIB_MAX
    for who in ("neighbour", "neighbour during", "after reset", "a new one"):
        if who in seen:
            assert seen[who]["got"] == []
    assert seen["left"] == []


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("probe", QUIET_PROBES)
def test_nothing_is_got_hold_of(level: str, probe: str) -> None:
    seen = play(level, "quiet")
    if probe == "probe_network.allowed" and "egress" in seen["missing"]:
        pytest.skip(f"no egress here: {seen['missing']['egress']}")
    answer = seen["got"][probe]
    assert answer["got"] == []
    assert "broken" not in answer, answer["note"]


@pytest.mark.parametrize("level", LEVELS)
def test_the_host_is_unharmed_and_the_same_probes_find_it_from_outside(level: str) -> None:
    seen = play(level, "quiet")
    check_host(seen)
    control = seen["control"]
    assert len(control["canaries"]) == 6
    assert {"host", "host ipv6", "host's other address", "loopback only", "metadata"} <= set(control["streams"])
    assert len(control["sockets"]) >= 2


@pytest.mark.parametrize("level", ["L2", pytest.param("L1", marks=pytest.mark.long)])
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_stays_inside(level: str, bomb: str) -> None:
    seen = play(level, bomb)
    assert seen["bomb"]["got"] == []
    assert "broken" not in seen["bomb"], seen["bomb"]["note"]
    if BOMBS[bomb] and not (level == "L1" and bomb == "memory_files"):  # L1 has no memory files
        assert seen["bomb"]["out_of_memory"]
    assert seen["same supervisor"]
    # A thousand processes in the grip of the memory limit may take longer to end than a reset may take.
    assert "reset failed" not in seen or bomb == "forks"
    check_host(seen)


def test_slirp4netns_refuses_the_host_as_well() -> None:
    if shutil.which("slirp4netns") is None or os.geteuid() != 0:
        pytest.skip("slirp4netns in place of pasta needs both installed, and root to hide one")
    preparation = NO_PASTA if shutil.which("pasta") else "true"
    seen = play("L1", "quiet", preparation, "no-host-ports")
    for probe in ("probe_network.refused_streams", "probe_network.refused_datagrams", "probe_network.allowed"):
        assert seen["got"][probe]["got"] == []
