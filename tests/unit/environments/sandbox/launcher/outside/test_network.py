"""Choosing addresses and names; links and packets are tested in tests/sandbox/network."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from lambent.environments.sandbox.launcher.netlink import Route
from lambent.environments.sandbox.launcher.outside.network import choose_pool, link_prefix


def route(prefix: str) -> Route:
    network = ipaddress.ip_network(prefix)
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    return Route(family, str(network.network_address), network.prefixlen, 2, 0, is_unicast=True)


def test_the_pool_follows_from_the_id_and_avoids_what_is_routed() -> None:
    first = choose_pool("a", [])
    assert first == choose_pool("a", [route("0.0.0.0/0"), route("0.0.0.0/1"), route("fd00::/8")])
    assert first.subnet_of(ipaddress.IPv4Network("198.18.0.0/15"))
    second = choose_pool("a", [route(str(first))])
    assert not second.overlaps(first)
    assert not choose_pool("a", [route(f"{first[7]}/32")]).overlaps(first)


def test_another_range_serves_when_the_first_is_taken() -> None:
    pool = choose_pool("a", [route("198.18.0.0/15")])
    assert pool.subnet_of(ipaddress.IPv4Network("100.64.0.0/10"))
    with pytest.raises(OSError, match="routed elsewhere"):
        choose_pool("a", [route("198.18.0.0/15"), route("100.64.0.0/10")])


def test_link_names_have_room_for_an_index_and_differ_by_installation() -> None:
    assert link_prefix("a") != link_prefix("b")
    assert len(link_prefix("a")) == 10
    assert len(link_prefix("a") + "fff") <= 15
