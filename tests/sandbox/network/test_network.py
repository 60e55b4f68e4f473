"""Links and firewall with real packets, in network namespaces that the scene makes for itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REFUSED = "ConnectionRefusedError"
NOTHING: dict[str, Any] = {"links": [], "routes": [], "ruleset": "", "forwarding": ["0", "0"]}


def namespaces_missing() -> str:
    """Return why this machine cannot play the scenes, or nothing."""
    if shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin") is None:
        return "nft is not installed"
    if sys.platform != "linux" or subprocess.run([*unshare(), "true"], check=False, capture_output=True).returncode:
        return "no network namespaces for this account"
    return ""


def unshare() -> list[str]:
    """Return the command that starts a program in a network namespace of its own."""
    own_user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *own_user, "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(namespaces_missing()), reason=f"network namespaces: {namespaces_missing()}"),
]


def play(scene: str) -> dict[str, Any]:
    command = [*unshare(), sys.executable, str(Path(__file__).with_name("scene.py")), scene]
    path = os.pathsep.join([*os.environ["PATH"].split(os.pathsep), "/usr/sbin", "/sbin"])
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=100, env={"PATH": path})
    assert done.returncode == 0, done.stderr[-2_000:]
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


@pytest.fixture(scope="module")
def open_egress() -> dict[str, Any]:
    return play("open")


def test_outgoing_tcp_and_udp_work_and_carry_the_hosts_address(open_egress: dict[str, Any]) -> None:
    assert open_egress["tcp"]["internet"] == "203.0.113.2"
    assert open_egress["tcp"]["internet ipv6"] == "2001:db8::2"
    assert open_egress["udp"]["internet"] == "203.0.113.2"
    assert open_egress["udp"]["internet ipv6"] == "2001:db8::2"


@pytest.mark.parametrize(
    "target",
    [
        "host",
        "host ipv6",
        "host's other address",
        "host mapped",
        "gateway",
        "not opened port",
        "opened port at the host's address",
        "neighbour",
        "neighbour's runtime api",
        "neighbour ipv6",
        "nobody in the pool",
        "metadata",
        "metadata ipv6",
        "any",
        "nat64",
    ],
)
def test_tcp_is_refused_at_once(open_egress: dict[str, Any], target: str) -> None:
    assert open_egress["tcp"][target] == REFUSED


def test_group_addresses_are_no_destination(open_egress: dict[str, Any]) -> None:
    assert open_egress["tcp"]["multicast"].endswith(("Error", "TimeoutError"))
    assert open_egress["tcp"]["broadcast"].endswith(("Error", "TimeoutError"))


@pytest.mark.parametrize("target", ["host", "neighbour", "metadata"])
def test_udp_is_refused(open_egress: dict[str, Any], target: str) -> None:
    assert open_egress["udp"][target] == REFUSED


def test_refusals_by_reset_are_not_rate_limited(open_egress: dict[str, Any]) -> None:
    assert set(open_egress["many refusals"]) == {REFUSED}


def test_an_opened_host_port_is_reached_on_loopback_by_the_gateways_address(open_egress: dict[str, Any]) -> None:
    assert open_egress["tcp"]["opened port"] == open_egress["ipv4"]


def test_a_clean_stop_takes_everything_back(open_egress: dict[str, Any]) -> None:
    assert len(open_egress["host sees"]["links"]) == 2
    assert len(open_egress["host sees"]["notes"]) == 2
    assert open_egress["after stop"] == NOTHING


def test_flows_of_one_environment_are_bounded() -> None:
    seen = play("flood")
    assert 3_000 < seen["flows"] <= 4_200
    assert seen["neighbour"] == "203.0.113.2"


def test_a_list_opens_its_entries_only_and_never_the_host() -> None:
    seen = play("list")
    assert seen == {"listed": "203.0.113.2", "not listed": REFUSED, "host though listed": REFUSED}


def test_closed_egress_refuses() -> None:
    assert play("none") == {"internet": REFUSED}


def test_a_killed_run_is_swept_and_nobody_elses_things() -> None:
    seen = play("killed")
    assert seen["old link"] is False
    assert seen["other's link"] is True
    assert seen["pools differ"] is True
    # Forwarding was off once: who switched it on remembers, and hands that on to whoever stays longer.
    assert seen["notes"] == ["note_ipv4_forwarding_was_off", "note_ipv6_forwarding_was_off"]
    assert seen["works"] == "203.0.113.2"
    assert seen["still works"] == "203.0.113.2"
    assert seen["notes handed on"] == 2
    assert seen["other works"] == "203.0.113.2"
    assert seen["left"] == NOTHING


def test_links_by_the_hundred_and_a_failed_one_leaves_nothing() -> None:
    seen = play("many")
    assert seen["before"] == seen["after"] == 300
    assert seen["failure"]
    assert seen["addresses"] == 301  # without an IPv6 route no IPv6 address: one empty text for all
    assert seen["left"] == NOTHING


def test_no_nft_means_no_network() -> None:
    seen = play("no_nft")
    assert "apt install nftables" in seen["reason"]
    assert seen["left"] == NOTHING


def test_the_addresses_of_a_host_outside_are_refused_and_kept_fresh() -> None:
    assert play("refresh") == {"host": REFUSED, "before refresh": "203.0.113.2", "after refresh": REFUSED}


def test_another_firewall_that_drops_forwarded_packets_is_named() -> None:
    seen = play("obstacle")
    assert seen["before"] == ""
    assert "ip filter FORWARD" in seen["after"]
